"""Whatever the schema of the API allows, and what it does not, is answered: never with a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from tests.deployment import MASTER_KEY, Deployment
from tests.e2e.anyllm import CHAT, HELLO, answer
from tests.replay import Upstream

MANAGEMENT = "^/(v1/(keys|users|budgets|limits|pricing|audit|usage)|api/usage|traces)"
# Every run asks the same, and ends: a little more of what changes things.
EXAMPLES = {True: 6, False: 3}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, module_postgres_url: str) -> Iterator[Deployment]:
    """On Postgres, which takes less than SQLite does."""
    folder = tmp_path_factory.mktemp("schema")
    with Upstream() as upstream, Deployment(folder, upstream.url, database_url=module_postgres_url) as deployment:
        answer(upstream)
        yield deployment


@pytest.mark.parametrize("management", [True, False], ids=["management", "the rest"])
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_call_is_a_server_error(place: Deployment, mode: GenerationMode, management: bool) -> None:
    described = httpx.get(f"{place.url}/openapi.json").json()
    whole = schemathesis.openapi.from_dict(described)
    api = whole.include(path_regex=MANAGEMENT) if management else whole.exclude(path_regex=MANAGEMENT)
    operations = [each.ok() for each in api.get_all_operations() if isinstance(each, Ok)]
    asked = 0
    for operation in operations:
        headers = {"Authorization": f"Bearer {MASTER_KEY if management else place.key}"}

        @given(operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES[management],
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        def answered(case: Case[Any]) -> None:
            case.call_and_validate(base_url=place.url, headers=headers, checks=[not_a_server_error])  # noqa: B023

        try:
            answered()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # whatever can be said to it is allowed
        else:
            asked += 1
    assert asked > (15 if mode is GenerationMode.NEGATIVE else 25)


# ------------------------------------------------------------------------------------------- by hand, field by field
# JSON as it stands on the wire: some of it no encoder writes.
TEXTS = {
    "nul": r'"a\u0000b"',
    "new line and header": r'"x\r\nx-evil: 1"',
    "half a surrogate": r'"\ud800"',
    "huge": '"' + "x" * 100_000 + '"',
}
NUMBERS = {
    "negative": "-1",
    "minus zero point": "-0.0000001",
    "not a number": "NaN",
    "infinity": "Infinity",
    "beyond a float": "1e400",
    "enormous": "9" * 400,
    "as text": '"much"',
}
KINDS = {"list": "[[]]", "true": "true", "object": '{"$ne": 1}', "deep": "[" * 500 + "]" * 500}
TIMES = {"word": '"soon"', "no such day": '"2026-02-30T00:00:00Z"', "no such zone": '"2026-01-01T00:00:00+99:99"'}
TIMES |= {"too far": '"9999-12-31T23:59:59Z"', "number": "1e40"}
ZONES = {"planet": '"Mars/Olympus"', "path": '"../../etc/passwd"', "empty": '""', "lower": '"asia/seoul"'}
SECONDS = {"nothing": "0", "part": "1.5", "century": str(10**12)}
NAME = {**TEXTS, "number": "7", **KINDS}
MONEY = {**NUMBERS, **KINDS, "too fine": "0.0000000000001"}
LIMITS = {"word": '"many"', "list": "[1]", "unknown": '{"per_year": 1}', "nothing": '{"requests_per_minute": 0}'}
LIMITS |= {"nan": '{"tokens_per_day": NaN}', "enormous": '{"tokens_per_minute": %s}' % ("9" * 40)}
OBJECT = {
    "list": "[]",
    "text": '"x"',
    "nul": r'{"a": "\u0000"}',
    "nan": '{"a": NaN}',
    "enormous": '{"a": %s}' % ("9" * 30),
}
MODELS = {"text": '"openai"', "empty": '[""]', "nul": r'["\u0000"]', "numbers": "[1]"}
TAGS = {"number": '{"a": 1}', "no name": '{"": "x"}', "header": r'{"a\r\nb": "x"}', "list": "[]"}

FIELDS: dict[str, dict[str, dict[str, str]]] = {
    "/v1/keys": {
        "key_name": NAME,
        "user_id": {**NAME, "empty": '""'},
        "expires_at": TIMES,
        "metadata": OBJECT,
        "tags": TAGS,
        "allowed_models": MODELS,
        "limits": LIMITS,
        "budget_id": NAME,
    },
    "/v1/users": {
        "user_id": {**NAME, "empty": '""', "nothing": "null"},
        "alias": NAME,
        "blocked": {"word": '"perhaps"', "list": "[]", "number": "2"},
        "metadata": OBJECT,
        "limits": LIMITS,
        "budget_id": NAME,
    },
    "/v1/budgets": {
        "max_budget": MONEY,
        "budget_duration_sec": {**NUMBERS, **SECONDS, **KINDS},
        "soft_threshold": {**MONEY, "more than all": "1.01"},
        "name": NAME,
        "period": {"year": '"year"', **KINDS},
        "zone": {**ZONES, **KINDS},
        "scopes": {
            "word": '"all"',
            "unknown": '[{"scope": "user", "id": "x"}]',
            "nul": r'[{"scope": "tag", "id": "a=\u0000"}]',
            "no provider": '[{"scope": "model", "id": "gpt"}]',
        },
    },
    "/v1/pricing": {
        "model_key": {**NAME, "no provider": '"gpt"', "colon": '":"'},
        "input_price_per_million": MONEY,
        "output_price_per_million": MONEY,
        "cache_read_price_per_million": MONEY,
        "cache_write_1h_price_per_million": MONEY,
        "reasoning_price_per_million": MONEY,
        "input_audio_price_per_million": MONEY,
        "output_image_price_per_million": MONEY,
        "price_per_request": MONEY,
        "price_per_image": MONEY,
        "price_per_audio_hour": MONEY,
        "price_per_second": MONEY,
        "effective_at": TIMES,
    },
}
REQUIRED = {
    "/v1/users": '"user_id": "somebody"',
    "/v1/pricing": '"model_key": "openai:x", "input_price_per_million": 1, "output_price_per_million": 1',
}


def _wrong(response: httpx.Response, path: str, field: str, value: str) -> str | None:
    """What is wrong with the answer to such a field; None: it is 4xx and names the field."""
    where = f"{path} {field}={value[:60]}: {response.status_code} {response.text[:300]}"
    if response.status_code == 400 and len(value) > 300:
        return None  # numbers or levels that no JSON parser takes
    if response.status_code != 422 or "x-evil" in response.headers:
        return where
    told = [item["loc"][:2] for item in response.json()["detail"]]
    named = ["body", field] in told and response.json()["error"]["param"].split(".")[0] == field
    return None if named else where


@pytest.mark.parametrize("path", FIELDS)
def test_a_bad_field_is_named(place: Deployment, path: str) -> None:
    """When it is made and when it is changed."""
    headers = {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"}
    made = place.post(path, f"{{{REQUIRED.get(path, '')}}}".encode(), key=MASTER_KEY).json()
    changed = {"/v1/keys": "id", "/v1/users": "user_id", "/v1/budgets": "budget_id"}.get(path)
    wrong = []
    with httpx.Client(base_url=place.url, headers=headers, timeout=30) as client:
        for field, values in FIELDS[path].items():
            for value in values.values():
                before = REQUIRED.get(path, "")
                body = f"{{{before}{', ' if before else ''}{json.dumps(field)}: {value}}}".encode()
                wrong.append(_wrong(client.post(path, content=body), path, field, value))
                if changed is not None and (path, field) not in (("/v1/keys", "user_id"), ("/v1/users", "user_id")):
                    body = f"{{{json.dumps(field)}: {value}}}".encode()
                    wrong.append(_wrong(client.patch(f"{path}/{made[changed]}", content=body), path, field, value))
        assert client.get(path).status_code == 200
    assert not [each for each in wrong if each], "\n".join(each for each in wrong if each)


COUNTS = {**NUMBERS, "nothing": "0", "part": "1.5", "true": "true", "list": "[]"}
LIMIT_NAMES = (
    "requests_per_minute",
    "tokens_per_minute",
    "output_tokens_per_minute",
    "tokens_per_day",
    "concurrent_calls",
)


def test_a_bad_limit_or_time_of_grace_is_named(place: Deployment) -> None:
    headers = {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"}
    key = place.post("/v1/keys", {}, key=MASTER_KEY).json()["id"]
    asked = [("PUT", "/v1/limits/model/openai:x", name, COUNTS) for name in LIMIT_NAMES]
    asked.append(("POST", f"/v1/keys/{key}/rotate", "grace_seconds", {**COUNTS, "nothing": "-5", "month": "2592001"}))
    wrong = []
    with httpx.Client(base_url=place.url, headers=headers, timeout=30) as client:
        for method, path, field, values in asked:
            for value in values.values():
                response = client.request(method, path, content=f"{{{json.dumps(field)}: {value}}}".encode())
                wrong.append(_wrong(response, path, field, value))
    assert not [each for each in wrong if each], "\n".join(each for each in wrong if each)


WRITES = ("POST /v1/keys", "POST /v1/users", "POST /v1/budgets", "POST /v1/pricing", "PUT /v1/limits/global/*")


@pytest.mark.parametrize("route", [*WRITES, *[f"PATCH /v1/{kind}/x" for kind in ("keys", "users", "budgets")]])
def test_a_body_that_is_no_object_is_refused(place: Deployment, route: str) -> None:
    method, path = route.split()
    headers = {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 50_000, b"NaN"):
        response = httpx.request(method, place.url + path, content=body, headers=headers, timeout=30)
        assert response.status_code in (400, 422), (body[:20], response.text)
        assert set(response.json()) == {"error", "detail"}
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    assert httpx.request(method, place.url + path, content=b"key_name=x", headers=form).status_code in (404, 422)


INJECTED = (
    "'; DROP TABLE account_keys; --",
    '" OR 1=1 --',
    "%27%20OR%201=1",
    "${7*7}",
    "{{7*7}}",
    "<script>",
    "톨\n게이트",
)


def test_what_looks_like_code_is_only_text(place: Deployment) -> None:
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    with httpx.Client(base_url=place.url, headers=headers, timeout=30) as client:
        for text in INJECTED:
            body = {"user_id": text, "alias": text, "metadata": {text: text}}
            assert client.post("/v1/users", json=body).status_code == 200, text
            shown = [user for user in client.get("/v1/users", params={"limit": 1000}).json() if user["user_id"] == text]
            assert [(user["alias"], user["metadata"]) for user in shown] == [(text, {text: text})]
            key = client.post("/v1/keys", json={"key_name": text, "user_id": text, "tags": {"team": "x"}}).json()
            assert (key["key_name"], key["user_id"]) == (text, text)
            for found in (("/v1/usage/count", "user_id"), ("/v1/usage", "model"), ("/v1/audit", "actor")):
                assert client.get(found[0], params={found[1]: text}).status_code == 200 or "\n" in text
        assert client.get("/v1/audit", params={"subject": "user", "limit": 1}).json()[0]["action"] == "create"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/keys/{}",
        "/v1/users/{}",
        "/v1/users/{}/usage",
        "/v1/budgets/{}",
        "/v1/budgets/{}/reset-logs",
        "/v1/pricing/{}",
        "/v1/pricing/{}/history",
        "/v1/models/{}",
        "/v1beta/models/{}",
        "/v1/limits/model/{}",
        "/v1/usage?user_id={}",
        "/v1/usage?cursor={}",
        "/v1/usage/count?request_id={}",
        "/v1/usage/count?start_date={}",
        "/v1/usage?skip={}",
        "/v1/audit?subject_id={}",
        "/v1/audit?before_id={}",
        "/v1/pricing?as_of={}",
        "/v1/usage/series?timezone={}",
        "/api/usage/session/{}",
        "/api/usage/daily?date={}",
        "/api/usage/monthly?month={}",
    ],
)
def test_strange_names_are_refused_or_unknown(place: Deployment, path: str) -> None:
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    strange = (
        "%00",
        "%0d%0ax-evil:%201",
        "%ff%fe",
        "%ed%a0%80",
        "x" * 5000,
        "'%20OR%201=1",
        "..%2f..%2fetc",
        "-1",
        "1e400",
    )
    for text in strange:
        response = httpx.get(place.url + path.format(text), headers=headers, timeout=30)
        assert response.status_code < 500, (text[:40], response.text)
        assert "x-evil" not in response.headers


STRANGE = ("a\r\nx-evil: 1", "a\x00", "톨게이트", "\ud800", "x" * 10_000, "../../etc", "a b\tc", "")


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_model_or_tag_reaches_no_header(place: Deployment, name: str) -> None:
    """The upstream answers for whichever model; what it answers is a row, whatever it is called."""
    answered = []
    for body in (
        {**HELLO, "model": f"openai:{name}"},
        {**HELLO, "user": name or "-"},
        {**HELLO, "service_tier": name},
        {**HELLO, "metadata": {"user_id": name}, "session_id": name},
    ):
        response = place.post(CHAT, body, **{"x-session-id": "a'; --"})
        assert response.status_code < 500, response.text
        answered += [response.headers["x-request-id"]] * (response.status_code == 200)
        assert "x-evil" not in response.headers
    gemini = httpx.post(
        f"{place.url}/v1beta/models/{quote(name.encode('utf-8', 'replace'))}:generateContent",
        json={"contents": [{"parts": [{"text": "hi"}]}]},
        headers={"x-goog-api-key": place.key},
    )
    assert gemini.status_code < 500
    assert bool(answered) is (name != "\ud800")  # JSON that is none
    for request_id in answered:
        place.rows(1, request_id=request_id)
