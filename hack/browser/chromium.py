"""A headless Chromium, spoken to in its DevTools protocol through its standard input and output.

    with Chromium(root, folder) as browser:
        page = browser.open("report.html")     # a file of `folder`
        page.seen                              # what it asked for, ran and complained about
        page.evaluate("document.title")
        page.picture(View(1280, 900)); page.pdf()

Messages are JSON, each ended by a NUL byte; see the protocol's domains Page, Network, Debugger, Log and Emulation.
"""

import base64
import json
import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hack.browser.root import SHARED, command

FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-color-profile=srgb", "--font-render-hinting=none", "--user-data-dir=/tmp/profile",
)  # fmt: skip
"""No sandbox of its own, for root has none; it stands in namespaces without a network instead."""
_PIPE: Final = 'exec "$@" --remote-debugging-pipe 3<&0 4>&1 </dev/null >&2'
MOST_SECONDS: Final = 120.0
"""For any one answer, on a machine that is busy with other things."""
A4: Final = {"paperWidth": 8.27, "paperHeight": 11.69}
"""Inches."""
PHONE: Final = 600
"""Narrower is a phone, which lays a page out by its `viewport`."""
_OURS: Final = "ours"


class Failed(Exception):  # noqa: N818 - says what happened
    """Chromium refused a command, ended or did not answer; with its last words."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page did by itself, in order."""

    requests: tuple[str, ...]
    """Addresses it asked for, itself first, whether or not they could be had."""
    refused: tuple[str, ...]
    """Those of them that its own policy forbade: nothing was sent."""
    scripts: tuple[str, ...]
    """Where what ran of its own was written."""
    said: tuple[str, ...]
    """What the browser complained about: refused by the page's policy, not to be had."""


@dataclass(frozen=True, slots=True)
class View:
    """What it is looked at with: CSS pixels; `scale` is pixels of the picture for one of them."""

    width: int
    height: int = 900
    scale: float = 1
    dark: bool = False
    paper: bool = False
    """As if it were printed."""


class Chromium:
    """One browser process with an empty profile. `folder` is what it can see of this machine."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._words = command(root, folder, ("sh", "-c", _PIPE, "chromium", "/usr/bin/chromium", *FLAGS))
        self._number = 0
        self._buffer = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._log = os.memfd_create("chromium")
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()  # with all of its own: they are in its process namespace
        self._process.communicate()
        os.close(self._log)

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Its answer; events that come meanwhile are kept.

        Raises:
            Failed: it refused, or there is no answer.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        text = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        if self._process.stdin is None:
            raise Failed("no pipe")
        try:
            self._process.stdin.write(text)
        except BrokenPipeError:
            raise Failed(f"{method}: Chromium has ended: {self._last_words()}") from None
        while True:
            said = self._next(method)
            if said.get("id") != self._number:
                self.events.append(said)
            elif "error" in said:
                raise Failed(f"{method}: {said['error'].get('message')}")
            else:
                return dict(said["result"])

    def heard(self, session: str, event: str) -> list[dict[str, Any]]:
        """What the events of that name said, in order."""
        found = (e for e in self.events if e.get("method") == event and e.get("sessionId") == session)
        return [dict(e["params"]) for e in found]

    def wait(self, session: str, event: str) -> None:
        """Until there is one of that name."""
        while not self.heard(session, event):
            self.events.append(self._next(event))

    def open(self, name: str) -> "Page":
        """A new tab with a file of the folder, loaded to its end."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.load(f"file://{SHARED}/{name}")
        return page

    def _next(self, awaited: str) -> dict[str, Any]:
        end = time.monotonic() + MOST_SECONDS
        if self._process.stdout is None:
            raise Failed("no pipe")
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Failed(f"no answer to {awaited} in {MOST_SECONDS:g} s: {self._last_words()}")
            read = os.read(self._process.stdout.fileno(), 2**20)
            if not read:
                raise Failed(f"{awaited}: Chromium has ended: {self._last_words()}")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _last_words(self) -> str:
        size = os.fstat(self._log).st_size
        return os.pread(self._log, 1500, max(0, size - 1500)).decode(errors="replace")


class Page:
    """A tab."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        for domain in ("Page", "Network", "Runtime", "Log", "Debugger"):
            self._call(f"{domain}.enable")

    def load(self, url: str) -> None:
        """Go there and wait until all it needs has come or failed."""
        if error := self._call("Page.navigate", url=url).get("errorText"):
            raise Failed(f"{url}: {error}")
        self._browser.wait(self._session, "Page.loadEventFired")

    @property
    def seen(self) -> Seen:
        """Up to now."""
        asked = {e["requestId"]: e["request"]["url"] for e in self._heard("Network.requestWillBeSent")}
        failed = self._heard("Network.loadingFailed")
        refused = (asked[e["requestId"]] for e in failed if e.get("blockedReason") == "csp")
        ran = (f"{e['url']}:{e['startLine'] + 1}" for e in self._heard("Debugger.scriptParsed") if e["url"] != _OURS)
        said = (e["entry"]["text"] for e in self._heard("Log.entryAdded"))
        return Seen(tuple(asked.values()), tuple(refused), tuple(ran), tuple(said))

    def look(self, view: View) -> None:
        """Show it that way from here on, before other tabs: one behind them is not drawn."""
        self._call("Page.bringToFront")
        size = {"width": view.width, "height": view.height, "deviceScaleFactor": view.scale}
        self._call("Emulation.setDeviceMetricsOverride", mobile=view.width < PHONE, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if view.dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="print" if view.paper else "screen", features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript of ours, as JSON knows it."""
        answer = self._call(
            "Runtime.evaluate", expression=f"{expression}\n//# sourceURL={_OURS}", returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise Failed(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def picture(self, view: View) -> bytes:
        """A PNG of its top."""
        self.look(view)
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def pdf(self) -> bytes:
        """As printed on A4 by somebody with a dark screen, with its structure (headings, tables, rows) marked in it."""
        dark = {"name": "prefers-color-scheme", "value": "dark"}
        self._call("Emulation.setEmulatedMedia", media="", features=[dark])  # a medium set before would be printed
        answer = self._call("Page.printToPDF", generateTaggedPDF=True, printBackground=False, **A4)
        return base64.b64decode(answer["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def _heard(self, event: str) -> list[dict[str, Any]]:
        return self._browser.heard(self._session, event)
