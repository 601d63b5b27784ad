"""A headless Chromium that tests open pages in, driven over its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import websocket

from greenimi.testing.support import PATIENCE, wait_until

_STARTS = 30.0
"""Seconds that the browser may take to start on a busy machine."""

_FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--remote-debugging-port=0",
)


class Page:
    """One tab.  ``problems`` collects what its console says of errors and of what a Content-Security-Policy forbade."""

    def __init__(self, link: websocket.WebSocket) -> None:
        self.problems: list[str] = []
        self._link = link
        self._last = 0
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol and its result.  AssertionError with the browser's own words when it refuses."""
        self._last += 1
        self._link.send(json.dumps({"id": self._last, "method": method, "params": params, **self._session}))
        while True:
            told = json.loads(self._link.recv())
            if told.get("id") == self._last:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        match told.get("method"):
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.problems.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if params["type"] == "error":
                self.problems.append(" ".join(str(value.get("value", value.get("description"))) for value in params["args"]))

    def open(self, url: str) -> None:
        """Go there and wait until it has loaded."""
        found = self.call("Page.navigate", url=url)
        assert "errorText" not in found, f"{url}: {found['errorText']}"
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise.  AssertionError when it throws."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, f"{script}: {found['exceptionDetails']}"
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = PATIENCE) -> None:
        """Until the expression is true, or an element.  AssertionError, with what went wrong on the page, after ``seconds``."""
        try:
            wait_until(lambda: self.evaluate(f"!!({script})"), seconds)
        except AssertionError as error:
            raise AssertionError(f"{script}: {error}; the page's problems: {self.problems}") from None


@contextmanager
def opened_browser(folder: Path) -> Iterator[Page]:
    """A browser of its own with its profile in ``folder``, ended afterwards.  Skips the test where no Chromium is installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed: see debian_for_tests in scripts/_lib.sh")
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # its sandbox does not work for root
    with (folder / "chromium.log").open("wb") as log:
        command = [program, *flags, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        port = folder / "profile/DevToolsActivePort"
        wait_until(lambda: process.poll() is not None or (port.is_file() and port.read_text().count("\n")), _STARTS)
        assert process.poll() is None, f"{program} ended at once:\n{(folder / 'chromium.log').read_text(errors='replace')}"
        number, path = port.read_text().split()
        link = websocket.create_connection(f"ws://127.0.0.1:{number}{path}", timeout=_STARTS, suppress_origin=True)
        try:
            yield Page(link)
        finally:
            link.close()
    finally:
        process.terminate()
        try:
            process.wait(_STARTS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STARTS)
