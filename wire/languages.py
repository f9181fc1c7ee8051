"""The languages in which the gateway itself speaks to people: English, and Korean where they ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from wire.errors import (
    GatewayError,
    LimitReached,
    NotReady,
    UpstreamCredentials,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimedOut,
)

Language = Literal["en", "ko"]

_KOREAN_BY_CODE: Mapping[str, str] = {
    "missing_credentials": "API 키가 없습니다. Authorization 헤더에 키를 넣어 주세요.",
    "invalid_api_key": "API 키가 올바르지 않습니다.",
    "inactive_key": "사용이 중지된 API 키입니다.",
    "expired_key": "만료된 API 키입니다.",
    "own_key_refused": "제공자가 보내 주신 API 키를 거부했습니다.",
    "own_key_not_allowed": "이 게이트웨이에서는 해당 제공자의 개인 API 키를 사용할 수 없습니다.",
    "own_key_other_provider": "openai_api_key는 OpenAI 모델에만 사용할 수 있습니다.",
    "own_key_in_background": "백그라운드 작업에는 개인 API 키를 사용할 수 없습니다.",
    "invalid_provider_key": "보내 주신 제공자 API 키의 형식이 올바르지 않습니다.",
    "model_not_found": "알 수 없는 모델입니다.",
    "model_not_allowed": "이 키로는 사용할 수 없는 모델입니다.",
    "price_unknown": "가격을 알 수 없는 모델이므로 사용할 수 없습니다.",
    "budget_exceeded": "예산을 모두 사용했습니다.",
    "budget_held": "남은 예산이 진행 중인 호출에 묶여 있습니다. 잠시 후 다시 시도해 주세요.",
    "rate_limit_exceeded": "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.",
    "request_exceeds_limit": "요청이 허용된 토큰 한도보다 큽니다.",
    "context_length_exceeded": "입력이 모델의 컨텍스트 크기를 넘습니다.",
    "request_too_large": "요청 본문이 너무 큽니다.",
    "too_many_jobs": "백그라운드 작업이 너무 많습니다. 잠시 후 다시 시도해 주세요.",
    "job_not_found": "해당 작업을 찾을 수 없습니다.",
    "interrupted": "작업이 여러 번 중단되어 실패했습니다.",
    "conversation_not_found": "해당 대화를 찾을 수 없습니다.",
    "no_web_search": "이 모델은 웹 검색을 지원하지 않습니다.",
    "provider_unavailable": "이 제공자는 지금 사용할 수 없습니다.",
    "database_away": "데이터베이스에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    "internal_error": "내부 오류가 발생했습니다.",
}
_KOREAN_BY_KIND: tuple[tuple[type[GatewayError], str], ...] = (
    (UpstreamTimedOut, "제공자가 제때 응답하지 않았습니다."),
    (UpstreamRateLimited, "제공자의 요청 한도를 넘었습니다. 잠시 후 다시 시도해 주세요."),
    (UpstreamCredentials, "제공자가 게이트웨이의 인증 정보를 거부했습니다."),
    (UpstreamError, "제공자 호출에 실패했습니다."),
    (LimitReached, "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요."),
    (NotReady, "지금은 요청을 처리할 수 없습니다. 잠시 후 다시 시도해 주세요."),
)
_KOREAN_BY_STATUS: Mapping[int, str] = {
    401: "인증에 실패했습니다.",
    403: "허용되지 않은 요청입니다.",
    404: "찾을 수 없습니다.",
    413: "요청 본문이 너무 큽니다.",
    429: "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.",
    500: "내부 오류가 발생했습니다.",
}


def preferred(accept_language: str | None) -> Language | None:
    """The language of ours that the header likes best, None when it names none.

    https://www.rfc-editor.org/rfc/rfc9110#name-accept-language
    """
    best: tuple[float, Language] | None = None
    for entry in (accept_language or "").split(","):
        tag, _, parameter = entry.partition(";")
        language = _ours(tag)
        weight = _weight(parameter)
        if language is not None and weight > 0 and (best is None or weight > best[0]):
            best = (weight, language)
    return None if best is None else best[1]


def in_language(error: GatewayError, language: Language | None) -> GatewayError:
    """The error with its message in that language; the same one where it is English already.

    What a provider says of the request itself stays as it said it, behind ours.
    """
    if language != "ko":
        return error
    said = _korean(error)
    return _Told(
        said,
        status=error.status,
        type=error.type,
        code=error.code,
        param=error.param,
        retry_after=error.retry_after,
        detail=_detail(error, said),
        headers=error.headers,
    )


class _Told(GatewayError):
    """An error that has been put into words for its reader."""


def _korean(error: GatewayError) -> str:
    if isinstance(error, _Told):
        return error.message
    if said := _KOREAN_BY_CODE.get(error.code or ""):
        return said
    if error.status == 400 or (error.status == 422 and isinstance(error, UpstreamError)):
        about = f"'{error.param}' 값이 올바르지 않습니다" if error.param else "요청이 올바르지 않습니다"
        return f"{about}: {error.message}"
    for kind, said in _KOREAN_BY_KIND:
        if isinstance(error, kind):
            return said
    return _KOREAN_BY_STATUS.get(error.status, f"요청을 처리하지 못했습니다: {error.message}")


def _detail(error: GatewayError, said: str) -> Any:
    return said if isinstance(error.detail, str) else error.detail


def _ours(tag: str) -> Language | None:
    match tag.strip().lower().partition("-")[0]:
        case "ko":
            return "ko"
        case "en":
            return "en"
        case _:
            return None


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
