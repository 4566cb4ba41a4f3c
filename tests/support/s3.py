"""A real S3 server in a process of its own: moto's, on this machine only.

Run as a script it is that process, and prints its port.
"""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest


@contextmanager
def s3_server() -> Generator[str]:
    """Run a server that this process's environment leads to; give its URL."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process, pytest.MonkeyPatch.context() as patch:
        try:
            assert process.stdout
            url = f"http://127.0.0.1:{int(process.stdout.readline())}"
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_ACCESS_KEY_ID", "someone")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            patch.setenv("AWS_REGION", "us-east-1")
            yield url
        finally:
            process.kill()


def make_bucket(server: str) -> Path:
    """Make an empty bucket of a new name; give its address."""
    name = f"bucket-{uuid4().hex[:8]}"
    urlopen(Request(f"{server}/{name}", method="PUT")).close()
    return Path(f"s3://{name}")


@contextmanager
def distrust(server: str) -> Generator[None]:
    """Let the server refuse every request, because it has no such user."""
    _ask_for_users_after(server, "0")
    try:
        yield
    finally:
        _ask_for_users_after(server, "inf")


def _ask_for_users_after(server: str, requests: str) -> None:
    headers = {"Content-Type": "text/plain"}
    urlopen(Request(f"{server}/moto-api/reset-auth", requests.encode(), headers)).close()


def _serve() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    # One request at a time: moto doesn't check the condition of a put and write in one step.
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app))
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve()
