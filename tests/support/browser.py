"""A headless Chromium, driven over its DevTools websocket: Debian's, no driver program needed."""

import base64
import hashlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.sync.client import connect
from websockets.sync.connection import Connection

CHROMIUM = shutil.which("chromium")
MISSING = "no chromium in PATH: apt-get install chromium"
PATIENCE_SECONDS = 90.0
"""How long a page may take on a busy machine."""
OPENED = 3
"""How often a page is opened that shows too little."""
CLICKS = 6
"""How often something is clicked that does nothing."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
TRUST = "--ignore-certificate-errors-spki-list"


class Page:
    """One tab."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def open(self, url: str) -> None:
        """Go to an address; nothing is waited for."""
        self._call("Page.navigate", url=url)

    def open_until(self, url: str, script: str) -> Any:
        """Go to an address until an expression is true: again, where a page stays half empty."""
        for _ in range(OPENED - 1):
            self.open(url)
            with suppress(AssertionError):
                return self.wait(script, PATIENCE_SECONDS / OPENED)
        self.open(url)
        return self.wait(script)

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page; give its JSON value."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Evaluate an expression until it is true; give what it is then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # What isn't there yet is no mistake.
            if value := self.run(
                f"(() => {{ try {{ return {script} }} catch {{ return null }} }})()"
            ):
                return value
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}\n{self.run('document.body?.innerText')}")

    def click(self, script: str) -> None:
        """Click, as a mouse does, into the middle of the element that an expression gives."""
        spot = self.wait(
            f"(e => {{ if (!e) return null; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect();"
            f" return [r.x + r.width / 2, r.y + r.height / 2] }})({script})"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=spot[0],
                y=spot[1],
                button="left",
                clickCount=1,
            )

    def click_until(self, script: str, seen: str) -> None:
        """Click until something is seen of it, as a person does."""
        for _ in range(CLICKS - 1):
            self.click(script)
            with suppress(AssertionError):
                self.wait(seen, PATIENCE_SECONDS / CLICKS)
                return
        self.click(script)
        self.wait(seen)

    def fill(self, script: str, text: str) -> None:
        """Replace the text of the field that an expression gives, as typing does."""
        self.click(script)
        self.run(f"({script}).select()")
        self._call("Input.insertText", text=text)

    def size(self, width: int, height: int) -> None:
        """Set the window's size."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path) -> None:
        """Save what the window shows as a PNG."""
        answer = self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(said))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, (said, answer["error"])
                return answer["result"]


@contextmanager
def chromium(folder: Path, authority: Path | None = None) -> Generator[Page]:
    """A browser with a profile of its own, which ends with the block.

    Args:
        folder: Of the profile.
        authority: A certificate; those that its key has signed are believed, and no others.
    """
    assert CHROMIUM, MISSING
    trusted = () if authority is None else (f"{TRUST}={_fingerprint(authority)}",)
    command = (CHROMIUM, *FLAGS, *trusted, f"--user-data-dir={folder}", "about:blank")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = _tab(_port(folder / "DevToolsActivePort"))
        with connect(address, max_size=None, proxy=None) as socket:
            page = Page(socket)
            page.size(1280, 900)
            yield page
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fingerprint(certificate: Path) -> str:
    """Give the SHA-256 of a certificate's public key, in base64."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


def _port(path: Path) -> int:
    """Read the port that the browser has chosen, once it has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if path.is_file() and (words := path.read_text().split()):
            return int(words[0])
        time.sleep(0.1)
    raise AssertionError("chromium did not start")


def _tab(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_SECONDS) as answer:
        tabs = json.load(answer)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
