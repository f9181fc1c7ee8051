from __future__ import annotations

import orjson
import pytest

from tests.replay.answers import FIXTURES
from wire.errors import UpstreamMalformed, UpstreamTruncated
from wire.native_completion import NativeMeter, parse_native, read_native, with_usage
from wire.sse import SseSplitter

ANSWER = {"content": "Hi", "stop": True, "stop_type": "limit", "tokens_evaluated": 14, "tokens_predicted": 6}


def test_reads_usage_finish_and_size_of_a_whole_answer() -> None:
    raw = orjson.loads((FIXTURES / "local-completion.json").read_bytes())["response"]["body_text"]
    facts = read_native(parse_native(raw))
    assert facts.usage is not None
    assert (facts.usage.input, facts.usage.output, facts.usage.cache_read) == (14, 6, 0)
    assert (facts.finish, facts.text_bytes) == ("stop", len("Here is an answer."))


def test_usage_stands_beside_its_own_counts() -> None:
    answer = {**ANSWER, "timings": {"cache_n": 9}}
    counts = {
        "prompt_tokens": 14,
        "completion_tokens": 6,
        "total_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 9},
    }
    assert with_usage(answer) == {**answer, "usage": counts}
    assert with_usage([answer, 1]) == [{**answer, "usage": counts}, 1]
    assert with_usage({"content": "x"}) == {"content": "x"}


def test_several_prompts_are_one_sum() -> None:
    facts = read_native([ANSWER, ANSWER])
    assert facts.usage is not None
    assert (facts.usage.input, facts.usage.output, facts.text_bytes) == (28, 12, 4)
    assert facts.finish == "length"
    assert read_native([]).usage is None


@pytest.mark.parametrize("raw", [b"{", b"5"])
def test_what_is_no_answer_is_malformed(raw: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        parse_native(raw)


def metered(stream: bytes) -> NativeMeter:
    meter = NativeMeter()
    splitter = SseSplitter()
    for event in [*splitter.feed(stream), *splitter.close()]:
        assert meter.feed(event)
    return meter


def test_a_stream_ends_with_its_stop() -> None:
    piece = b'data: {"content":"a","stop":false}\n\n'
    meter = metered(b": sign\n\ndata: [1]\n\ndata: nothing\n\n" + piece)
    assert (meter.generated, meter.ended, meter.text_bytes) == (True, False, 1)
    with pytest.raises(UpstreamTruncated):
        meter.close()
    meter = metered(piece + b"data: " + orjson.dumps(ANSWER) + b"\n\n")
    meter.close()
    assert meter.usage is not None
    assert (meter.usage.output, meter.finish) == (6, "length")
    assert meter.last is not None
    assert orjson.loads(meter.last.removeprefix(b"data: "))["usage"]["total_tokens"] == 20


def test_an_error_in_a_stream_is_its_end() -> None:
    meter = metered(b'data: {"error":{"code":502,"message":"gone","type":"server_error"}}\n\n')
    meter.close()
    assert meter.failed is not None
    assert meter.failed.message == "gone"
