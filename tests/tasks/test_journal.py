import json
import threading

import pytest

from polyspace.errors import CorruptStoreError
from polyspace.store import storage
from polyspace.store.lease import Leases
from tasks.journal import Journal


@pytest.fixture
def leases(tmp_path):
    held = Leases(storage.at(tmp_path))
    yield held
    held.close()


@pytest.fixture
def journal(tmp_path, leases):
    return Journal(tmp_path / "study.jsonl", leases)


def test_what_was_said_is_read_from_any_line_on(journal):
    journal.append_logs([{"n": 0}, {"n": 1}])
    journal.append_logs([{"n": 2}])

    assert list(journal.read_logs(0)) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert list(journal.read_logs(2)) == [{"n": 2}]
    assert list(journal.read_logs(3)) == []


def test_nothing_was_said_before_there_is_a_file(journal):
    assert list(journal.read_logs(0)) == []


def test_half_a_line_was_never_said_and_the_next_one_does_not_continue_it(
    journal, tmp_path, leases
):
    journal.append_logs([{"n": 0}])
    path = tmp_path / "study.jsonl"
    path.write_bytes(path.read_bytes() + b'{"n": 1, "wo')

    assert list(journal.read_logs(0)) == [{"n": 0}]
    journal.append_logs([{"n": 2}])
    assert list(Journal(path, leases).read_logs(0)) == [{"n": 0}, {"n": 2}]


def test_a_changed_line_is_named(journal, tmp_path, leases):
    journal.append_logs([{"n": 0}, {"n": 1}])
    path = tmp_path / "study.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))

    with pytest.raises(CorruptStoreError, match="line 2 is not as it was written"):
        list(Journal(path, leases).read_logs(0))


def test_others_wait_their_turn(journal, tmp_path):
    others = [Leases(storage.at(tmp_path)) for _ in range(3)]
    writers = [Journal(tmp_path / "study.jsonl", held) for held in others]

    def say(number):
        for count in range(10):
            writers[number].append_logs([{"who": number, "count": count}])

    threads = [threading.Thread(target=say, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for held in others:
        held.close()

    said = list(journal.read_logs(0))
    for number in range(3):
        assert [log["count"] for log in said if log["who"] == number] == list(range(10))


def test_lines_are_json_that_others_can_read(journal, tmp_path):
    journal.append_logs([{"op_code": 0}])

    (line,) = (tmp_path / "study.jsonl").read_text().splitlines()
    assert json.loads(line)["op_code"] == 0
