import subprocess
import sys

import pytest

START = "from polyspace.export.proof.confine import confine\nimport io, pickle, socket\n"
NETWORK = (
    "socket.create_connection(('127.0.0.1', 9), timeout=1)",
    "socket.getaddrinfo('huggingface.co', 443)",
    "socket.socket().connect(('127.0.0.1', 9))",
    "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))",
    "socket.socket().bind(('127.0.0.1', 0))",
    "socket.gethostbyname('localhost')",
)
PICKLE = (
    "pickle.loads(pickle.dumps(print))",
    "pickle._loads(pickle._dumps(print))",
    "__import__('numpy').load(io.BytesIO(ARRAY), allow_pickle=True)",
    "__import__('torch').load(io.BytesIO(FILE), weights_only=False)",
)
ALLOWED = (
    "pickle.loads(pickle.dumps({'a': [1, 2.0, None]}))",
    "__import__('torch').load(io.BytesIO(STATE), weights_only=True)['a'].sum()",
)
FILES = {
    "FILE": "import io, torch\nfile = io.BytesIO()\ntorch.save(print, file)\n",
    "ARRAY": "import io, numpy\nfile = io.BytesIO()\nnumpy.save(file, numpy.array([print]))\n",
    "STATE": "import io, torch\nfile = io.BytesIO()\ntorch.save({'a': torch.ones(3)}, file)\n",
}
"""What makes the files that lines read; most lines don't, and torch takes a second to import."""


def run(line):
    """Run a line in a confined process."""
    files = "".join(
        f"{code}{name} = file.getvalue()\n" for name, code in FILES.items() if name in line
    )
    code = f"{START}{files}confine()\n{line}\n"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("line", NETWORK)
def test_a_confined_process_has_no_network(line):
    ended = run(line)
    assert ended.returncode == 1
    assert "ExportError: loading or running the bundle asked for the network" in ended.stderr


@pytest.mark.parametrize("line", PICKLE)
def test_a_confined_process_unpickles_nothing_that_has_a_name(line):
    ended = run(line)
    assert ended.returncode == 1
    assert "ExportError: loading or running the bundle asked for pickle" in ended.stderr


@pytest.mark.parametrize("line", ALLOWED)
def test_plain_values_and_weights_are_still_read(line):
    ended = run(line)
    assert ended.returncode == 0, ended.stderr
