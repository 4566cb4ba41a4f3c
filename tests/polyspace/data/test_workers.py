import os
import signal
import subprocess
import sys
import time

from polyspace.data import workers

STARTS_A_WORKER = """
import os, sys, time
from polyspace.data import workers

print("imported", flush=True)
with workers.pool(1) as executor:
    print(executor.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def start(tmp_path, project):
    script = tmp_path / "program.py"
    script.write_text(STARTS_A_WORKER)
    program = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    said = [program.stdout.readline().strip() for _ in range(2)]
    return program, said


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_neither_needs_nor_runs_the_main_module(tmp_path, pytestconfig):
    # The program has no `if __name__ == "__main__"`: run again in a worker, it would never end.
    program, said = start(tmp_path, pytestconfig.rootpath)
    program.kill()
    program.communicate()

    assert said[0] == "imported"
    assert said[1].isdigit()


def test_workers_end_when_their_parent_is_killed(tmp_path, pytestconfig):
    program, said = start(tmp_path, pytestconfig.rootpath)
    worker = int(said[1])
    assert is_running(worker)

    program.send_signal(signal.SIGKILL)
    program.communicate()

    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(worker)


def test_work_is_done_in_another_process():
    with workers.pool(1) as executor:
        assert executor.submit(os.getpid).result() != os.getpid()
