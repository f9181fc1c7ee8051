from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from local_llm.gguf import NoModel, read_facts
from tests.local_llm import tiny_gguf

HEADER = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tiny_gguf.write(path, context=512, shape=tiny_gguf.Shape(pools=gguf.PoolingType.MEAN))
    return path


def test_says_what_the_file_says(tiny: Path) -> None:
    facts = read_facts(tiny)
    assert (facts.name, facts.architecture, facts.quantisation) == ("random-tiny", "llama", "F16")
    assert (facts.context, facts.layers, facts.width, facts.vocabulary) == (512, 2, 64, 1024)
    assert facts.file_bytes == tiny.stat().st_size
    # 2 layers, 2 of 4 heads of 16 numbers for keys and values each, 2 bytes a number.
    assert facts.kv_bytes_per_token == 2 * 2 * (16 + 16) * 2
    # f16 and f32 tensors: the header aside, two to four bytes a weight.
    assert facts.parameters * 2 < facts.file_bytes < facts.parameters * 4
    assert facts.chat_template
    assert (facts.pooling, facts.causal) == (1, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + bytes(40), r"broken\.gguf is not a GGUF file"),
        (b"", r"broken\.gguf is not a GGUF file"),
        (HEADER[:10], r"broken\.gguf is cut off after 10 bytes"),
        (b"GGUF" + (1).to_bytes(4, "little") + bytes(16), "GGUF version 1, not 2 or 3"),
        (b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16, "is damaged"),
    ],
)
def test_what_is_no_gguf_is_named_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(NoModel, match=said) as problem:
        read_facts(tmp_path / "broken.gguf")
    assert "\n" not in str(problem.value)


def test_a_file_is_never_taken_for_whole_when_it_was_cut(tiny: Path, tmp_path: Path) -> None:
    whole = tiny.read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in (24, 25, 60, 300, 5_000, 20_000, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(NoModel, match="cut off after"):
            read_facts(cut)


def test_damage_anywhere_in_the_head_is_told_or_harmless(tiny: Path, tmp_path: Path) -> None:
    whole = bytearray(tiny.read_bytes())
    damaged = tmp_path / "damaged.gguf"
    refused = 0
    for at in range(4, 1200, 7):
        kept, whole[at] = whole[at], whole[at] ^ 0xFF
        damaged.write_bytes(whole)
        whole[at] = kept
        try:
            read_facts(damaged)
        except NoModel:
            refused += 1
    assert refused > 20
