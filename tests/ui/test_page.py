"""A person at the page: real Chromium against a stand-in gateway on the loopback."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.ui.chromium import Page
from tests.ui.stand_in import (
    ASLEEP,
    CATALOGUE,
    DONE,
    KEY,
    NO_KEY,
    StandIn,
    delta,
    event,
    finish,
    refused,
    streamed,
    usage,
)

ANSWERED = "document.querySelector('.answer:last-of-type:not(.running)')"


def sign_in(page: Page, gateway: StandIn) -> None:
    page.goto(f"{gateway.url}/#key={KEY}")
    page.until("document.querySelector('.welcome')?.checkVisibility()")


def ask(page: Page, question: str) -> None:
    page.click("#prompt")
    page.type(question)
    page.press("Enter")


def stored(page: Page, shelf: str) -> dict[str, str]:
    found: dict[str, str] = page.js(f"({{...{shelf}}})")
    return found


def meter(page: Page) -> dict[str, str]:
    entries: dict[str, str] = page.js(
        "Object.fromEntries([...document.querySelectorAll('.answer:last-of-type .meter-entry')]"
        ".map(e => [e.querySelector('dt').innerText, e.querySelector('dd').innerText]))"
    )
    return entries


# --- signing in


def test_the_link_signs_in_and_leaves_no_key_in_the_address(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    assert page.js("location.href") == f"{gateway.url}/"
    visited = page.call("Page.getNavigationHistory")["entries"]
    assert not any(KEY in entry["url"] for entry in visited)
    assert stored(page, "sessionStorage")["tollgate.key"] == KEY
    assert KEY not in json.dumps(stored(page, "localStorage"))
    assert not any(KEY in url for url in page.requests())
    assert page.complaints() == []


def test_without_a_key_the_page_tells_how_to_get_one(page: Page, gateway: StandIn) -> None:
    page.goto(gateway.url)
    page.until("document.querySelector('#key')")
    assert "tollgate link" in page.texts(".command")
    assert "docker compose exec gateway tollgate link" in page.texts(".command")
    page.click("button[type=submit]")
    assert page.text("#key-problem") == "Paste a key first."
    page.click("#key")
    page.type(KEY)
    page.click("#remember-key")
    page.press("Enter")
    page.until("document.querySelector('.welcome')")
    assert stored(page, "localStorage")["tollgate.key"] == KEY
    assert "tollgate.key" not in stored(page, "sessionStorage")


def test_a_wrong_key_is_forgotten_and_said_so(page: Page, gateway: StandIn) -> None:
    page.goto(f"{gateway.url}/#key=gw-wrong")
    page.until("document.querySelector('.problem')?.checkVisibility()")
    assert "did not accept this key" in page.text(".problem")
    assert "tollgate.key" not in stored(page, "sessionStorage")
    page.js(f"location.hash = 'key={KEY}'")
    page.until("document.querySelector('.welcome')")
    assert page.js("location.hash") == ""


def test_the_key_is_moved_and_forgotten_in_the_settings(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    page.click("#open-settings")
    assert KEY not in page.text(".settings")
    page.click("#keep-key")
    assert stored(page, "localStorage")["tollgate.key"] == KEY
    page.click(".settings [data-part=sign-out]")
    page.until("document.querySelector('#key')")
    assert KEY not in json.dumps([stored(page, "localStorage"), stored(page, "sessionStorage")])


# --- models


def test_models_are_grouped_and_the_unavailable_say_why(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    page.click("#pick-model")
    page.until("document.querySelector('.picker-option.active')")
    headings = page.texts(".picker-heading")
    assert headings == ["OpenAI", "Google Gemini", "Upstage SOLAR", "This machine", "Anthropic"]
    assert page.texts(".picker-reason") == [NO_KEY]
    assert page.texts(".picker-option-reason") == ["The upstream refused the key."]
    assert page.texts(".picker-option-label") == ["demo, knows little"]
    disabled = page.js("document.querySelectorAll('[role=option][aria-disabled=true]').length")
    assert disabled == sum(not row["available"] for row in CATALOGUE)
    page.click("[data-id='solar:solar-pro2']")
    assert page.text(".picker-name") == "gpt-4o-mini"


def test_a_model_is_found_and_picked_with_the_keyboard_and_remembered(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    page.js("document.getElementById('pick-model').focus()")
    page.press("Enter")
    page.until("document.activeElement.getAttribute('role') === 'combobox'")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.dataset.id"
    assert page.js(active) == "openai:gpt-4o-mini"
    page.press("ArrowDown")
    assert page.js(active) == "openai:gpt-4.1"
    page.press("ArrowUp")
    page.press("ArrowUp")
    assert page.js(active) == "anthropic:claude-haiku-4-5"
    page.press("Enter")
    assert page.shows("#picker-panel")
    page.type("google fla")
    page.until("document.querySelectorAll('[role=option]').length === 1")
    page.press("Enter")
    page.until("document.querySelector('.picker-name').innerText === 'gemini-2.5-flash'")
    assert page.js("document.activeElement.id") == "prompt"
    page.goto(f"{gateway.url}/?again")
    page.until("document.querySelector('.picker-name')?.innerText === 'gemini-2.5-flash'")


def test_a_search_without_a_match_says_so(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    page.click("#pick-model")
    page.until("document.activeElement.getAttribute('role') === 'combobox'")
    page.type("nothing<b>")
    page.until("document.querySelector('.picker-empty').checkVisibility()")
    assert page.text(".picker-empty") == "No model matches “nothing<b>”."
    page.press("Escape")
    page.until("!document.querySelector('#picker-panel').checkVisibility()")


def test_without_any_usable_model_the_page_says_what_to_do(page: Page, gateway: StandIn) -> None:
    gateway.models = [row | {"available": False, "unavailable_reason": NO_KEY} for row in CATALOGUE]
    page.goto(f"{gateway.url}/#key={KEY}")
    page.until("document.querySelector('#check-again')")
    panel = page.text(".panel")
    assert "secrets/api_keys.yaml" in panel
    assert "OPENAI_API_KEY" in panel
    assert "GGUF" in panel
    assert "make local" not in panel
    gateway.models = CATALOGUE
    page.click("#check-again")
    page.until("document.querySelector('.welcome')")


def test_where_only_the_engine_is_missing_the_page_says_how_to_build_it(page: Page, gateway: StandIn) -> None:
    gateway.models = [row | {"available": False, "unavailable_reason": NO_KEY} for row in CATALOGUE]
    gateway.local = {"status": "failed", "engine": False, "reason": "there is no llama-server", "models": [ASLEEP]}
    page.goto(f"{gateway.url}/#key={KEY}")
    page.until("document.querySelector('.engine')?.checkVisibility()")
    assert page.text(".engine code") == "make local"
    assert "GGUF" not in page.text(".panel")
    assert page.js(CONTRAST) == []
    gateway.models, gateway.local = CATALOGUE, None
    page.click("#check-again")
    page.until("document.querySelector('.welcome')")


# --- the models on this machine


def local_facts(page: Page) -> dict[str, str]:
    facts: dict[str, str] = page.js(
        "Object.fromEntries([...document.querySelectorAll('.local-facts div')]"
        ".map(e => [e.querySelector('dt').innerText, e.querySelector('dd').innerText]))"
    )
    return facts


def test_the_settings_show_how_the_local_models_are_while_they_are_open(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    assert not any(url.endswith("/status") for url in page.requests())
    page.click("#open-settings")
    page.until("document.querySelector('.local-facts')?.checkVisibility()")
    assert page.texts(".local-model h3") == ["tiny", "other"]
    assert page.texts(".local-state") == ["Ready", "Idle: it is loaded when somebody asks it"]
    assert local_facts(page) == {
        "Answering now": "2 of 4 at once",
        "Waiting in line": "3",
        "Writing": "1,235 tok/s",
        "Reading": "96 tok/s",
        "Loaded in": "0.43 s",
        "Memory": "86 MB",
    }
    broken = ASLEEP | {"state": "failed", "reason": "needs 9.0 GB, 2.1 GB are free"}
    gateway.local = {"status": "failed", "engine": True, "reason": broken["reason"], "models": [broken]}
    page.press("Escape")
    page.click("#open-settings")
    page.until("document.querySelector('.local-state.failed')")
    assert "needs 9.0 GB" in page.text(".local-model")


def test_without_a_local_model_the_settings_do_not_speak_of_any(page: Page, gateway: StandIn) -> None:
    gateway.local = None
    sign_in(page, gateway)
    page.click("#open-settings")
    page.until("document.querySelector('dialog').open")
    page.until("performance.getEntriesByType('resource').some(entry => entry.name.endsWith('/status'))")
    assert not page.shows(".local-models")


# --- chatting


def test_an_answer_streams_and_its_bill_stands_under_it(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gate, later = threading.Event(), threading.Event()
    parts: list[bytes | threading.Event] = [
        delta("**Hel"),
        gate,
        delta("lo** <b>x</b>"),
        later,
        finish(),
        usage(1000, 200, 400),
        DONE,
    ]
    gateway.replies = [streamed(*parts, x_tollgate_dropped="top_k")]
    ask(page, "Hi")
    page.until("document.querySelector('.prose')?.innerText.includes('Hel')")
    assert page.js("document.querySelector('#send').ariaLabel") == "Stop answering"
    assert not page.shows(".receipt")
    gate.set()
    page.until("document.querySelector('.prose strong')?.innerText === 'Hello'")
    page.js("new Promise(resolve => setTimeout(resolve, 150))")
    later.set()
    page.until(ANSWERED)
    assert page.text(".prose") == "Hello <b>x</b>"
    shown = meter(page)
    assert (shown["In"], shown["Out"], shown["Cost"]) == ("1,000", "200", "~$0.00024")
    assert shown["First token"].endswith(" s")
    assert shown["Speed"].endswith(" tok/s")
    assert "top_k" in page.text(".dropped")
    sent = gateway.chats[0]
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]
    assert sent["model"] == "openai:gpt-4o-mini"
    assert page.complaints() == []


def test_a_plain_answer_shows_the_cost_that_the_gateway_told(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    body: dict[str, Any] = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    body |= {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}
    reply = streamed(json.dumps(body).encode(), x_tollgate_cost_usd="0.000123")
    reply.headers["Content-Type"] = "application/json"
    gateway.replies = [reply]
    ask(page, "Hi")
    page.until(ANSWERED)
    assert meter(page)["Cost"] == "$0.000123"


def test_an_unknown_price_is_called_so(page: Page, gateway: StandIn) -> None:
    gateway.models = [row for row in CATALOGUE if row["id"] == "openai:unpriced-preview"]
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("Hi"), finish(), usage(1, 1), DONE)]
    ask(page, "Hi")
    page.until(ANSWERED)
    assert meter(page)["Cost"] == "price unknown"


def test_stop_hangs_up_and_keeps_what_came(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("Once upon"), threading.Event())]
    ask(page, "Tell")
    page.until("document.querySelector('.prose')?.innerText === 'Once upon'")
    page.click("#send")
    page.until(ANSWERED)
    assert page.text(".note") == "You stopped this answer."
    assert page.text(".prose") == "Once upon"
    assert gateway.hung_up.wait(5)
    assert page.js("document.querySelector('#send').ariaLabel") == "Send"


def test_a_stream_without_its_end_is_shown_as_cut_short(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("Once upon"))]
    ask(page, "Tell")
    page.until(ANSWERED)
    assert "cut short" in page.text(".note")


@pytest.mark.parametrize(
    ("status", "words"),
    [(429, "Too many requests just now. Try again in 7 s."), (502, "The model’s provider failed."), (404, "not found")],
)
def test_a_failure_is_told_in_plain_words_and_can_be_tried_again(
    page: Page, gateway: StandIn, status: int, words: str
) -> None:
    sign_in(page, gateway)
    headers = {"Retry_After": "7"} if status == 429 else {}
    gateway.replies = [refused(status, "The gateway's own <i>words</i>", **headers), streamed(delta("Hi"), DONE)]
    ask(page, "Hello")
    page.until("document.querySelector('.failure')?.checkVisibility()")
    assert words in page.text(".failure-text")
    assert "The gateway's own <i>words</i>" in page.text(".failure-detail")
    page.click("[data-part=retry]")
    page.until("document.querySelector('.prose')?.innerText === 'Hi'")
    assert len(page.texts(".answer")) == 1
    assert gateway.chats[0]["messages"] == gateway.chats[1]["messages"]


def test_an_error_inside_the_stream_keeps_what_came(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    failure = event({"error": {"message": "Overloaded", "type": "upstream_error", "code": "upstream_failed"}})
    gateway.replies = [streamed(delta("Part"), failure)]
    ask(page, "Hello")
    page.until("document.querySelector('.failure')?.checkVisibility()")
    assert page.text(".prose") == "Part"
    assert "Overloaded" in page.text(".failure-detail")


def test_thoughts_are_folded_away(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    thought = event({"choices": [{"delta": {"reasoning_content": "Let me see"}}]})
    gate = threading.Event()
    gateway.replies = [streamed(thought, gate, delta("42"), DONE)]
    ask(page, "Think")
    page.until("document.querySelector('.reasoning summary')?.innerText === 'Thinking…'")
    assert not page.shows(".reasoning-text")
    gate.set()
    page.until(ANSWERED)
    page.click(".reasoning summary")
    page.until("document.querySelector('.reasoning-text').checkVisibility()")
    assert page.text(".reasoning-text") == "Let me see"


def test_enter_while_hangul_is_composed_does_not_send(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("네"), DONE)]
    page.click("#prompt")
    page.call("Input.imeSetComposition", text="안녀", selectionStart=2, selectionEnd=2)
    # While composing, Enter reaches the page as a key event that says so; the browser's own event is imitated here
    # since the protocol has no input method that would send it.
    page.js(
        "document.getElementById('prompt').dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    page.type("안녕")
    assert gateway.chats == []
    page.press("Enter", shift=True)
    page.type("하세요")
    page.press("Enter")
    page.until(ANSWERED)
    assert [chat["messages"][0]["content"] for chat in gateway.chats] == ["안녕\n하세요"]


def test_settings_are_sent_and_numbers_out_of_bounds_are_not(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("Ok"), DONE)]
    page.click("#open-settings")
    for field, value in {"#system": "Be brief.", "#temperature": "0.2", "#max-tokens": "0"}.items():
        page.click(field)
        page.type(value)
    assert page.js("document.querySelector('#max-tokens').ariaInvalid") == "true"
    page.press("Escape")
    page.until("!document.querySelector('dialog').open")
    ask(page, "Hi")
    page.until(ANSWERED)
    sent = gateway.chats[0]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["temperature"] == 0.2
    assert "max_tokens" not in sent


def test_edit_again_and_new_chat(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta(f"answer {number}"), DONE) for number in (1, 2, 3)]
    ask(page, "one")
    page.until(ANSWERED)
    page.click("[data-part=regenerate]")
    page.until("document.querySelector('.prose')?.innerText === 'answer 2'")
    page.js("document.querySelector('[data-part=edit]').focus()")
    page.press("Enter")
    page.until("document.activeElement.matches('.editor textarea')")
    page.js("document.activeElement.select()")
    page.type("two")
    page.press("Enter")
    page.until("document.querySelector('.prose')?.innerText === 'answer 3'")
    asked: list[Any] = [[message["content"] for message in chat["messages"]] for chat in gateway.chats]
    assert asked == [["one"], ["one"], ["two"]]
    page.click("#new-chat")
    page.until("document.querySelector('.welcome')")
    assert page.texts(".question") == []


def test_a_reload_keeps_the_conversation(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("Kept"), finish(), usage(1, 1), DONE), streamed(delta("Half"), threading.Event())]
    ask(page, "one")
    page.until(ANSWERED)
    ask(page, "two")
    page.until("document.querySelector('.answer:last-of-type .prose').innerText === 'Half'")
    page.click("#prompt")
    page.type("a draft")
    page.goto(f"{gateway.url}/?again")
    page.until("document.querySelectorAll('.answer').length === 2")
    assert page.texts(".question-text") == ["one", "two"]
    assert "cut short" in page.texts(".note")[-1]
    assert page.js("document.querySelector('#prompt').value") == "a draft"


def test_a_suggestion_is_asked_at_once(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("Sure"), DONE)]
    assert len(page.texts(".suggestion")) == 3
    page.click(".suggestion")
    page.until(ANSWERED)
    assert gateway.chats[0]["messages"][0]["content"].startswith("Explain how HTTPS")


# --- safety, languages, looks, speed


def test_an_answer_cannot_become_code_or_load_anything(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    evil = (
        "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\n\n"
        "[click](javascript:window.hacked=1) ![p](https://example.com/leak.png)\n\n"
        "| <svg onload=hacked> |\n|---|\n| <iframe src=//example.com> |\n\n```html\n<script>hacked</script>\n```\n"
    )
    gateway.replies = [streamed(delta(evil), DONE)]
    ask(page, "<img src=x onerror='window.hacked=1'>")
    page.until(ANSWERED)
    assert page.js("window.hacked === undefined")
    assert page.js("document.querySelectorAll('.messages :is(script, img, iframe, [onerror], [onload])').length") == 0
    links: list[list[str]] = page.js("[...document.querySelectorAll('.prose a')].map(a => [a.href, a.rel, a.target])")
    assert links == [["https://example.com/leak.png", "noopener noreferrer nofollow", "_blank"]]
    assert all(url.startswith((gateway.url, "data:")) for url in page.requests())
    assert page.complaints() == []


def test_code_is_copied(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gateway.replies = [streamed(delta("```py\nprint('안녕')\n```"), DONE)]
    ask(page, "code")
    page.until(ANSWERED)
    page.js("navigator.clipboard.writeText = async (text) => { window.copied = text }")
    page.click("[data-action=copy-code]")
    page.until("document.querySelector('[data-action=copy-code]').innerText === 'Copied'")
    assert page.js("window.copied") == "print('안녕')"


def test_korean_by_the_browser_and_by_the_switch(page: Page, gateway: StandIn) -> None:
    page.look(lang="ko-KR")
    sign_in(page, gateway)
    assert page.js("document.documentElement.lang") == "ko"
    assert page.text(".welcome h2") == "무엇이 궁금하세요?"
    gateway.replies = [streamed(delta("네"), finish(), usage(3, 1), DONE)]
    ask(page, "안녕")
    page.until(ANSWERED)
    assert {"입력", "출력", "비용"} <= meter(page).keys()
    page.type("초안")
    page.click("#switch-language")
    page.until("document.documentElement.lang === 'en'")
    page.until("document.querySelector('.prose')?.innerText === '네'")
    assert page.js("document.activeElement.id") == "switch-language"
    assert page.js("document.querySelector('#prompt').value") == "초안"
    page.goto(f"{gateway.url}/?again")
    page.until("document.documentElement.lang === 'en'")


def test_the_theme_follows_the_system_until_it_is_switched(page: Page, gateway: StandIn) -> None:
    page.look(dark=True)
    sign_in(page, gateway)
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.js(paper)
    page.click("#switch-theme")
    page.until(f"{paper} !== {json.dumps(dark)}")
    page.goto(f"{gateway.url}/?again")
    page.until("document.documentElement.dataset.theme === 'light'")


CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const says = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!says || !e.checkVisibility() || e.closest(':disabled, .visually-hidden, .skip')) continue;
    const [one, two] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5) poor.push(`${e.className || e.tagName} ${ratio.toFixed(2)} ${e.innerText.slice(0, 30)}`);
  }
  return poor;
})()"""

UNNAMED = """[...document.querySelectorAll('button, input, textarea, select, a, [role=listbox], dialog')]
  .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.innerText?.trim() || e.labels?.length
    || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML)"""


@pytest.mark.parametrize("lang", ["en-US", "ko-KR"])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 1200])
def test_every_screen_fits_is_named_and_has_contrast(
    page: Page, gateway: StandIn, width: int, dark: bool, lang: str
) -> None:
    page.look(width=width, height=700, dark=dark, lang=lang)

    def check() -> None:
        assert page.js("document.documentElement.scrollWidth") <= width
        assert page.js(CONTRAST) == []
        assert page.js(UNNAMED) == []

    page.goto(gateway.url)
    page.until("document.querySelector('#key')")
    check()
    sign_in(page, gateway)
    check()
    page.click("#pick-model")
    page.until("document.querySelector('.picker-option.active')")
    check()
    page.press("Escape")
    page.click("#open-settings")
    page.until("document.querySelector('dialog').open")
    page.until("document.querySelector('.local-facts')?.checkVisibility()")
    page.js("Promise.allSettled(document.getAnimations().map(a => a.finished))")
    check()
    page.press("Escape")
    wide = "| a | b | c | d | e |\n|---|---|---|---|---|\n| 1 | 2 | 3 | 4 | 5 |\n\n`" + "x" * 200 + "`\n\n> quote"
    gateway.replies = [
        streamed(delta(wide), finish("length"), usage(123456, 65432), DONE, x_tollgate_dropped="top_k"),
        refused(503, "y" * 200),
    ]
    for question in ("z" * 200, "again"):
        ask(page, question)
        page.until(
            f"!document.querySelector('.stop') && document.querySelector('.messages').innerText.includes('{question}')"
        )
        page.until(ANSWERED)
        check()


LISTEN = """window.heard = [];
  const announcer = document.querySelector('[data-part=announcer]');
  new MutationObserver(() => heard.push(announcer.textContent)).observe(announcer, {childList: true})"""


def test_screen_readers_hear_blocks_not_tokens(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    page.js(LISTEN)
    words = [delta(word + " ") for word in ("one", "two", "three", "four", "five", "six", "seven")]
    gate = threading.Event()
    gateway.replies = [streamed(*words, delta("\n\nNext "), delta("block\n"), gate, delta("\nLast"), DONE)]
    ask(page, "Read")
    page.until("window.heard.some(text => text.includes('seven'))")
    gate.set()
    page.until("window.heard.some(text => text.includes('complete'))")
    heard: list[str] = page.js("window.heard")
    assert heard[0] == "openai:gpt-4o-mini is answering."
    assert len(heard) <= 4
    assert "Last" in heard[-1]
    assert page.js("document.querySelector('[data-part=announcer]').getAttribute('role')") == "status"


DIFFERENT = """import('/lib/markdown.js').then(({MarkdownView}) => {
  const draw = (step) => {
    const box = document.createElement('div');
    const view = new MarkdownView(box, {copy: 'c', code: 'd', table: 't'});
    for (let end = step; end < TEXT.length; end += step) view.update(TEXT.slice(0, end));
    view.update(TEXT);
    return new XMLSerializer().serializeToString(box);
  };
  return [1, 2, 3, 7].filter((step) => draw(step) !== draw(TEXT.length));
})"""


def test_what_is_drawn_while_streaming_is_what_is_drawn_at_once(page: Page, gateway: StandIn) -> None:
    text = (
        "# T\n\npara *one*\nline\n- a\n  - b\n\n  c\n- d\n\n1. x\n\n   ```py\n   code\n\n   more\n   ```\n2. y\n\n"
        "| a | b |\n|--|:-:|\n| 1 | 2 |\n\n> q\n> r\n\n```\nopen\n\nfence\n```\n---\nend - \n- z"
    )
    sign_in(page, gateway)
    assert page.js(DIFFERENT.replace("TEXT", f"({json.dumps(text)})")) == []


def test_the_reader_who_scrolls_up_is_left_alone(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    gate = threading.Event()
    gateway.replies = [streamed(delta("line\n\n" * 60), gate, delta("more\n\n" * 30), DONE)]
    ask(page, "long")
    gap = "(e => e.scrollHeight - e.scrollTop - e.clientHeight)(document.querySelector('.scroller'))"
    page.until(f"document.querySelectorAll('.prose p').length >= 59 && {gap} < 2")
    page.js("document.querySelector('.scroller').scrollTop = 100")
    page.until("document.querySelector('.latest').checkVisibility()")
    gate.set()
    page.until(ANSWERED)
    assert page.js("document.querySelector('.scroller').scrollTop") == 100
    page.click(".latest")
    page.until(f"{gap} < 2")


def test_the_first_load_is_small_and_in_one_go(page: Page, gateway: StandIn) -> None:
    sign_in(page, gateway)
    assert gateway.sent_bytes < 60_000
    assert all(url.startswith(gateway.url) for url in page.requests())


def test_a_long_stream_stays_smooth(page: Page, gateway: StandIn) -> None:
    """4,000 deltas over a page that already holds 200 messages: no frame of the page may take long."""
    sign_in(page, gateway)
    old: list[dict[str, Any]] = []
    template = {"reasoning": "", "status": "done", "problem": None, "finish": "stop", "usage": None, "cost": None}
    for number in range(100):
        old.append({"id": 2 * number + 1, "role": "user", "text": f"question {number}"})
        answer = {"id": 2 * number + 2, "role": "assistant", "model": "m", "text": "some **text**\n\n" * 8} | template
        old.append(answer | {"dropped": [], "firstTokenMs": 1, "totalMs": 2})
    chat = {"messages": old, "settings": {"system": "", "temperature": None, "maxTokens": None}, "draft": ""}
    page.js(
        f"addEventListener('pagehide', () => sessionStorage.setItem('tollgate.chat.1', {json.dumps(json.dumps(chat))}))"
    )
    page.goto(f"{gateway.url}/?again")
    page.until("document.querySelectorAll('.answer').length === 100")
    paragraph = "word **bold** `code` and so on, "
    gateway.replies = [streamed(*[delta(paragraph + ("\n\n" if n % 20 == 0 else "")) for n in range(4000)], DONE)]
    page.js(
        "window.longest = 0; new PerformanceObserver((list) => { for (const e of list.getEntries())"
        " longest = Math.max(longest, e.duration) }).observe({type: 'longtask'})"
    )
    ask(page, "long")
    page.until("document.querySelectorAll('.answer').length === 101 && !document.querySelector('.stop')", 30)
    page.until(ANSWERED)
    assert page.js("document.querySelectorAll('.answer:last-of-type .prose p').length") == 201
    assert page.js("window.longest") < 1000
