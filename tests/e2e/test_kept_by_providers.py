"""Responses that a provider keeps are good for the user whose call made them, and for nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import MASTER_KEY, Deployment
from tests.replay import Upstream
from tests.replay.answers import Answer

URL = "/v1/responses"


def _answer(response_id: str) -> Answer:
    body = {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o-mini",
        "output": [
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "hello", "annotations": []}]}
        ],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    }  # fmt: skip
    return Answer(pieces=(json.dumps(body).encode(),))


def _ask(**more: Any) -> dict[str, Any]:
    return {"model": "openai:gpt-4o-mini", "input": "hello", **more}


def test_a_response_is_its_users_alone(tmp_path: Path) -> None:
    config = {"providers": {"openai": {"api_key": "k", "api_base": "", "dialects": ["openai_responses"]}}}
    with Upstream() as upstream:
        config["providers"]["openai"]["api_base"] = f"{upstream.url}/v1"
        upstream.on("/v1/responses", _answer("resp_first"), _answer("resp_second"))
        with Deployment(tmp_path, upstream.url, config=config) as deployment:
            other = deployment.post("/v1/keys", {"user_id": "eve"}, key=MASTER_KEY).json()["key"]
            first = deployment.post(URL, _ask())
            assert first.status_code == 200, first.text
            assert first.json()["id"] == "resp_first"

            mine = deployment.post(URL, _ask(previous_response_id="resp_first"))
            assert mine.status_code == 200, mine.text
            assert upstream.calls[-1].json["previous_response_id"] == "resp_first"
            reached = len(upstream.calls)

            foreign = deployment.post(URL, _ask(previous_response_id="resp_first"), key=other)
            unknown = deployment.post(URL, _ask(previous_response_id="resp_nobody"))
            conversation = deployment.post(URL, _ask(conversation={"id": "conv_nobody"}))
            file = {"type": "input_file", "file_id": "file-nobody"}
            filed = deployment.post(URL, _ask(input=[{"role": "user", "content": [file]}]))
            for refused in (foreign, unknown, conversation, filed):
                assert refused.status_code == 404, refused.text
                assert refused.json()["error"]["type"] == "not_found_error"
            assert filed.json()["error"]["param"] == "input[0].content[0].file_id"
            assert deployment.post(URL, _ask(background=True)).status_code == 400
            assert len(upstream.calls) == reached

            # A restart forgets nothing: the database knows.
            deployment.gateway.stop()
            deployment.start_gateway()
            assert deployment.post(URL, _ask(previous_response_id="resp_second")).status_code == 200
            assert deployment.post(URL, _ask(previous_response_id="resp_second"), key=other).status_code == 404


@pytest.mark.parametrize("value", [7, "", {"id": 3}, ["x"]])
def test_an_id_that_is_none_is_400(tmp_path: Path, value: Any) -> None:
    with Upstream() as upstream, Deployment(tmp_path, upstream.url) as deployment:
        refused = deployment.post(URL, _ask(previous_response_id=value))
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "previous_response_id"
