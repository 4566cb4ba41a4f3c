"""A proxy on loopback that passes, refuses or hangs, and an MLflow server behind it."""

import os
import socket
import subprocess
import sys
import threading
import warnings
from contextlib import closing, contextmanager, suppress

SERVER = """
import sys
from tests.support.faults import mlflow_server
with mlflow_server(sys.argv[1]) as port:
    print(port, flush=True)
    sys.stdin.read()
"""


class FaultProxy:
    """Between a client and a server, as good or bad as it is told to be."""

    def __init__(self, target, host="127.0.0.1", port=0):
        """Take the server's port on loopback, and where to listen; port 0: any that is free."""
        self.target, self.host = target, host
        with closing(socket.socket()) as probe:
            probe.bind((host, port))
            self.port = probe.getsockname()[1]
        self.fault = None
        self._listener = None
        self._open = set()
        self._passing = threading.Event()

    def become(self, mode):
        """Be one of "pass", "refuse" and "hang" from now on."""
        if mode == "refuse":
            self._close()
        elif self._listener is None:
            self._listen()
        if mode == "pass":
            self._passing.set()
        else:
            self._passing.clear()

    def close(self):
        self._close()
        self._passing.set()

    def _close(self):
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source, sink):
        self._open |= {source, sink}
        try:
            while data := source.recv(65536):
                self._passing.wait()
                sink.sendall(data)
        except OSError:
            pass
        finally:
            self._open -= {source, sink}
            for one in (source, sink):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()


@contextmanager
def mlflow_server(folder):
    """MLflow's own routes over a database in a folder, in this process; gives the port."""
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/served",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starlette's, of a module that MLflow imports later
        from mlflow.server import app
        from mlflow.server import fastapi_app as fastapi_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def mlflow_process(folder):
    """The same in a process of its own; gives the port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()
