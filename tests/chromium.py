"""Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from websockets.sync.client import connect

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]
FLAGS += ["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]


class Browser:
    """One tab; use it as a context.

    Parameters
    ----------
    folder : for its profile
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert program, "the marker 'browser' needs Chromium: apt-get install chromium"
        profile = folder / "profile"
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.screen = 0
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._asked = 0
        port = _until(lambda: _first_line(profile / "DevToolsActivePort"), 60)
        self._open = ExitStack()
        self._root = self._open.enter_context(
            connect(f"ws://127.0.0.1:{port[0]}{port[1]}", max_size=None, ping_interval=None)
        )
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_) -> None:
        self._open.close()
        self._process.terminate()
        self._process.wait(30)

    def call(self, method: str, **params) -> dict:
        """One command of the protocol, and its answer; what happens meanwhile is noted."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params}
        self._root.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            told = json.loads(self._root.recv(60))
            if told.get("id") == self._asked:
                assert "error" not in told, told["error"]
                return told["result"]
            self._note(told)

    def _note(self, told: dict) -> None:
        params = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description") or details["text"])
        elif told.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif told.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.faults.append(str(params["args"]))
        elif told.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("Page.navigate", url=url)

    def leave(self) -> None:
        """Close the page that is open and forget what was noted of it."""
        self.open("about:blank")
        self.wait("location.href === 'about:blank'")
        self.faults.clear()
        self.requests.clear()

    def size(self, width: int, height: int, is_dark: bool = False, ratio: float = 1) -> None:
        """The window is so large, the person likes it dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def ask(self, script: str):
        """Value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 20):
        """The value of an expression once it is true."""
        return _until(lambda: self.ask(script), seconds, script)

    def press(self, key: str, code: int) -> None:
        """A key goes down and up."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            text = {"text": " "} if key == " " and kind == "keyDown" else text
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def picture(self, path: Path, is_whole: bool = True) -> None:
        """A screenshot of the whole page, or of what the window shows."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        path.write_bytes(base64.b64decode(found["data"]))


def _first_line(path: Path) -> list[str] | None:
    lines = path.read_text().splitlines() if path.exists() else []
    return lines if len(lines) == 2 else None


def _until(found, seconds: float, what: str = "Chromium"):
    late = time.monotonic() + seconds
    while True:
        if value := found():
            return value
        assert time.monotonic() < late, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
