import os
import socket
import time
from contextlib import closing

import pytest

from flows.services import processes, programs
from polyspace.errors import ConfigError


def run(tmp_path, code):
    environment = {"PATH": os.environ["PATH"]}
    return processes.start(("sh", "-c", code), environment=environment, log=tmp_path / "log")


def test_what_has_ended_is_said_with_its_last_words(tmp_path):
    process = run(tmp_path, "echo first; echo no such database; exit 3")
    with pytest.raises(ConfigError, match="the server has ended: no such database"):
        processes.wait(process, lambda: False, "the server", tmp_path / "log")


def test_a_process_ends_with_its_children(tmp_path):
    process = run(tmp_path, "sleep 300 & echo $!; wait")
    deadline = time.monotonic() + 30
    while not (said := (tmp_path / "log").read_text()):
        assert time.monotonic() < deadline
    processes.end(process)
    assert process.returncode is not None
    while alive(int(said)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_sees_nothing_of_the_environment_but_what_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("SOMEBODY_ELSES_TOKEN", "hidden")
    run(tmp_path, "env").wait()
    assert "hidden" not in (tmp_path / "log").read_text()


def test_somebody_listens_or_nobody_does():
    (port,) = processes.free_ports(1)
    assert not processes.listens(port)()
    assert not processes.answers(f"http://127.0.0.1:{port}")()
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert processes.listens(listening.getsockname()[1])()


def test_free_ports_differ():
    assert len(set(processes.free_ports(20))) == 20


def test_a_program_that_is_nowhere_is_named_with_what_brings_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "DEBIAN", tmp_path)
    with pytest.raises(ConfigError, match="no program initdb: apt-get install postgresql"):
        programs.find("initdb")


def test_the_newest_postgresql_of_debian_is_taken(monkeypatch, tmp_path):
    for version in ("9.6", "15", "17"):
        path = tmp_path / version / "bin/initdb"
        path.parent.mkdir(parents=True)
        path.touch(mode=0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "DEBIAN", tmp_path)
    assert programs.find("initdb") == str(tmp_path / "17/bin/initdb")


def alive(pid):
    """Whether a process runs; one that has ended may still wait for somebody to take notice."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_runs_in_the_folder_that_it_is_given(tmp_path):
    (tmp_path / "place").mkdir()
    environment = {"PATH": os.environ["PATH"]}
    process = processes.start(
        ("pwd",), environment=environment, log=tmp_path / "log", folder=tmp_path / "place"
    )
    assert process.wait(timeout=30) == 0
    assert (tmp_path / "log").read_text().strip() == str(tmp_path / "place")


def test_a_search_path_has_no_empty_folder_which_would_mean_this_one(tmp_path):
    assert processes.search(tmp_path, "") == str(tmp_path)
    assert processes.search(tmp_path, "/bin:/sbin") == f"{tmp_path}:/bin:/sbin"
