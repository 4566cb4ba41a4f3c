"""A Prefect server for one command, where nobody has set one; it ends with the command.

Prefect would start one by itself, which hears the command's Ctrl-C, too, and is gone before it can
be told what became of the run; and the command would first import all of it.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_UI_URL,
    get_current_settings,
    temporary_settings,
)

from tasks import addresses

ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
"""No pages, and none of the services that make something happen later."""
PATIENCE_SECONDS = 10.0


def server() -> None:
    """Have a Prefect server for the rest of this process: what is set, or one of its own."""
    if get_current_settings().api.url:
        return
    # Whoever asks before it is ready is already in its queue.
    with socket.create_server((addresses.HOST, 0)) as door:
        port = door.getsockname()[1]
        process = _start(door)
    # Links lead to the server that shows the run later: both have one database.
    pages = {PREFECT_UI_URL: addresses.prefect_ui()}
    stack = ExitStack()
    stack.callback(_end, process)
    stack.enter_context(
        temporary_settings({PREFECT_API_URL: f"{addresses.local(port)}/api", **pages})
    )
    # Prefect sends its last words at exit, too, which it asked for later: so it comes before this.
    atexit.register(stack.close)


def _start(door: socket.socket) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, which no Ctrl-C reaches."""
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    return subprocess.Popen(
        (sys.executable, "-m", "flows.temporary", str(door.fileno())),
        pass_fds=(door.fileno(),),
        stdin=subprocess.PIPE,
        env=os.environ | settings | ENVIRONMENT,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve(door: int) -> None:
    """Be the server, until the command is gone, however it went."""
    import uvicorn
    from prefect.server.api.server import create_app

    def follow() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on")
    uvicorn.Server(config).run([socket.socket(fileno=door)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
