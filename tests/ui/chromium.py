"""A real Chromium, headless, driven through the DevTools protocol: what a person does, and what the page then shows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]
PATIENCE = 10.0


def find_chromium() -> str | None:
    """The browser to test with: `TOLLGATE_TEST_CHROMIUM`, else the first of the usual names on the path."""
    if named := os.environ.get("TOLLGATE_TEST_CHROMIUM"):
        return named
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Browser:
    """One Chromium process. `new_page` opens a page in a fresh profile of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, params: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        """One protocol command and its result. Raises RuntimeError with the browser's message."""
        self._last_id += 1
        command: dict[str, Any] = {"id": self._last_id, "method": method, "params": params or {}}
        if session:
            command["sessionId"] = session
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE * 2))
            if message.get("id") != self._last_id:
                self.events.append(message)
            elif "error" in message:
                raise RuntimeError(f"{method}: {message['error']['message']}")
            else:
                result: dict[str, Any] = message["result"]
                return result

    @contextmanager
    def new_page(self) -> Iterator[Page]:
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, context)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", {"browserContextId": context})
            self.events.clear()


class Page:
    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, params, self._session)

    def goto(self, url: str) -> None:
        """Open an address. Chromium breaks off what is loading when a network interface of the machine comes or goes
        (another test's container, say): that alone is loaded again."""
        self.call("Page.navigate", url=url)
        while self._network_changed():
            self.call("Page.reload")

    def _network_changed(self) -> bool:
        seen = len(self._events("Network.loadingFailed"))
        self.until("document.readyState === 'complete'")
        failed = self._events("Network.loadingFailed")[seen:]
        return any(event["params"]["errorText"] == "net::ERR_NETWORK_CHANGED" for event in failed)

    def look(
        self, *, width: int = 1200, height: int = 800, dark: bool = False, lang: str = "en-US", touch: bool = False
    ) -> None:
        """What the reader's device is like; before `goto`."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        agent = self._browser.call("Browser.getVersion")["userAgent"]
        self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=lang)

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", **asked)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def until(self, expression: str, patience: float = PATIENCE) -> None:
        """Wait until an expression is truthy."""
        deadline = time.monotonic() + patience
        while not self.js(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise AssertionError(f"never became true: {expression}\n{self.text()}\n{self.complaints()}")
            time.sleep(0.02)

    def text(self, selector: str = "body") -> str:
        return str(self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def texts(self, selector: str) -> list[str]:
        matches = f"[...document.querySelectorAll({json.dumps(selector)})]"
        found: list[str] = self.js(f"{matches}.filter(e => e.checkVisibility()).map(e => e.innerText)")
        return found

    def shows(self, selector: str) -> bool:
        return bool(self.js(f"!!document.querySelector({json.dumps(selector)})?.checkVisibility()"))

    def click(self, selector: str) -> None:
        """Press the middle of the first visible match with the mouse."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].find(e => e.checkVisibility())"
        self.until(found)
        box = self.js(
            f"(() => {{ const e = {found}; e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9, "Backspace": 8}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": 8 if shift else 0}
        if key == "Enter":
            event |= {"text": "\r"}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def requests(self) -> list[str]:
        """The addresses of all that this page asked for."""
        return [event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, CSP violations and uncaught exceptions."""
        self.js("1")
        said = [
            f"{event['params']['type']}: {event['params']['args']}"
            for event in self._events("Runtime.consoleAPICalled")
            if event["params"]["type"] in ("error", "warning", "assert")
        ]
        thrown = [
            str(event["params"]["exceptionDetails"].get("exception", {}).get("description"))
            for event in self._events("Runtime.exceptionThrown")
        ]
        logged = [
            f"{entry['level']}: {entry['text']} {entry.get('url', '')}"
            for event in self._events("Log.entryAdded")
            if (entry := event["params"]["entry"])["level"] in ("error", "warning")
        ]
        return said + thrown + logged

    def _events(self, method: str) -> list[dict[str, Any]]:
        events = self._browser.events
        return [event for event in events if event["method"] == method and event.get("sessionId") == self._session]


@contextmanager
def running_chromium(binary: str, folder: Path) -> Iterator[Browser]:
    """Start Chromium with its profile in `folder`; end it, and only it, afterwards."""
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"], stdout=log, stderr=log
        )
        try:
            with connect(_debugger(process, folder / "profile"), max_size=None, close_timeout=1) as socket:
                yield Browser(socket)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _debugger(process: subprocess.Popen[bytes], profile: Path) -> str:
    """The debugger's address, which Chromium writes into its profile once it listens."""
    deadline = time.monotonic() + PATIENCE * 3
    note = profile / "DevToolsActivePort"
    while time.monotonic() < deadline and process.poll() is None:
        lines = note.read_text().split() if note.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise RuntimeError("Chromium did not start")
