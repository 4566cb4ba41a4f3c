"""Several writers of one store: threads of this process, and processes that get killed."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr

from polyspace.errors import LeaseError, StoreError
from polyspace.store import chunks, ledger
from polyspace.store.journal import LedgerFile
from polyspace.store.layout import PARTS
from polyspace.store.reader import FeatureStore
from polyspace.store.seal import seal, unseal
from tests.torture.nursery import nursery
from tests.torture.specimen import Specimen, differences, ledger_lines
from tests.torture.worker import Job

PATIENCE_SECONDS = 60


def declare_dead(path):
    """Let the owner of a work item look like a process that is gone."""
    (file,) = path.glob("leases/item-*")
    holder = json.loads(unseal(file.read_bytes()[:-1])) | {"started": "1"}
    holder.pop("crc32c", None)
    file.write_bytes(seal(json.dumps(holder)))


@pytest.fixture
def original(written):
    return FeatureStore.open(written).fingerprint


def work(sample, path):
    """Write what is left, beside others, until nothing is; give what was written."""
    written = []
    with sample.open(path) as writer:
        while writer.awaits_work():
            for item in writer.claims():
                write(writer, sample, item)
                written.append(item.index)
    return written


def write(writer, sample, item):
    writer.write(item, sample.blocks(item), {})


def test_each_item_is_one_writers_and_nobody_elses(sample, path, original):
    with sample.open(path) as first, sample.open(path) as second:
        mine, theirs = next(first.claims()), next(second.claims())
        assert (mine.index, theirs.index) == (0, 1)
        with pytest.raises(LeaseError, match=r"item-00001 of .* is being written.*process \d+ on"):
            write(first, sample, theirs)
        write(first, sample, mine)
        write(second, sample, theirs)
        with pytest.raises(LeaseError, match="was just finished"):
            write(second, sample, mine)
        (rest,) = second.claims()
        assert list(first.claims()) == []
        write(second, sample, rest)
        assert not first.awaits_work()
    assert FeatureStore.open(path).fingerprint == original
    assert os.listdir(path / "leases") == []


@pytest.mark.parametrize("writers", [2, 4])
def test_threads_that_take_what_is_left_write_every_item_once(make_sample, tmp_path, writers):
    sample, path = make_sample(clips=60), tmp_path / "shared.zarr"

    with ThreadPoolExecutor(writers) as threads:
        lists = threads.map(work, [sample] * writers, [path] * writers)
        written = [item for items in lists for item in items]
    assert sorted(written) == list(range(15))
    assert len(ledger_lines(path)) == 30
    alone = sample.write(tmp_path / "alone.zarr")
    assert FeatureStore.open(path).fingerprint == FeatureStore.open(alone).fingerprint
    assert set(np.asarray(zarr.open_array(path / "state", mode="r")[:])) == {"done"}


def test_writers_of_different_backbones_make_one_store(sample, path, original):
    first, second = (sample.named(name) for name in ("student", "teacher"))
    with ThreadPoolExecutor(2) as threads:
        assert [*map(sorted, threads.map(work, (first, second), (path, path)))] == [[0, 1, 2]] * 2
    assert FeatureStore.open(path).fingerprint == original


def test_who_has_nothing_left_to_claim_waits_for_the_others(sample, path):
    with sample.open(path) as first, sample.open(path) as second:
        *others, last = first.claims()
        for item in others:
            write(first, sample, item)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(second.awaits_work)
            assert not waiting.done()
            write(first, sample, last)
            assert waiting.result(PATIENCE_SECONDS) is False


def test_and_takes_over_when_one_of_them_dies(sample, path, original):
    with sample.open(path) as first, sample.open(path) as second:
        held = next(first.claims())
        for item in second.claims():
            write(second, sample, item)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(second.awaits_work)
            declare_dead(path)
            assert waiting.result(PATIENCE_SECONDS) is True
        (taken,) = second.claims()
        assert taken == held
        write(second, sample, taken)
        assert not second.awaits_work()
    assert FeatureStore.open(path).fingerprint == original


@pytest.fixture
def taken_over(sample, path):
    """A writer, its item, and the one who takes that over, when it is asked to."""
    with sample.open(path) as slow, sample.open(path) as fast:
        item = next(slow.claims())

        def take_over():
            declare_dead(path)
            assert next(fast.claims()) == item

        yield slow, item, fast, take_over


def test_who_was_taken_over_can_no_longer_publish_a_file(taken_over, sample, path):
    slow, item, fast, take_over = taken_over
    take_over()
    with pytest.raises(LeaseError, match="was taken over"):
        write(slow, sample, item)
    assert not [file for part in PARTS for file in (path / part).rglob("c.*")]
    write(fast, sample, item)
    assert {entry.fence for entry in ledger.read(path).entries.values()} == {2}


def test_nor_a_line_when_its_files_are_there_already(taken_over, sample, path, monkeypatch):
    slow, item, fast, take_over = taken_over

    def publish(place, chunk, values, admit):
        stored = published(place, chunk, values, admit)
        if chunk.part == PARTS[-1]:
            take_over()
        return stored

    published = chunks.publish
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "publish", publish)
        with pytest.raises(LeaseError, match="was taken over"):
            write(slow, sample, item)
    assert ledger.read(path).entries == {}
    write(fast, sample, item)
    assert FeatureStore.open(path).rows(["student", "teacher"]).tolist() == [0, 1, 2, 3]


def test_nor_the_file_that_it_was_just_writing(taken_over, sample, path, monkeypatch):
    slow, item, fast, take_over = taken_over

    def stop(self, lease):
        asked(self, lease)
        # Stopped right here, before the file gets its name, for longer than a term.
        patch.undo()
        take_over()

    asked = slow._leases.assert_held.__func__
    with monkeypatch.context() as patch:
        patch.setattr(type(slow._leases), "assert_held", stop)
        with pytest.raises(StoreError):
            write(slow, sample, item)
    assert not [file for part in PARTS for file in (path / part).rglob("c.*")]
    write(fast, sample, item)


def test_a_line_that_comes_too_late_all_the_same_does_not_count(
    taken_over, sample, path, monkeypatch
):
    slow, item, fast, take_over = taken_over

    def append(self, line):
        patch.undo()
        take_over()
        write(fast, sample, item)
        appended(self, line)

    appended = LedgerFile.append
    with monkeypatch.context() as patch:
        patch.setattr(LedgerFile, "append", append)
        with pytest.raises(LeaseError):
            write(slow, sample, item)
    assert len(ledger_lines(path)) == 3
    assert {entry.fence for entry in ledger.read(path).entries.values()} == {2}
    assert len(FeatureStore.open(path).rows(["student", "teacher"])) == 4


def test_an_error_gives_every_lease_back(sample, path):
    def fail():
        with sample.open(path) as writer:
            assert len(list(writer.claims())) == 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert os.listdir(path / "leases") == []
    with sample.open(path) as writer:
        assert len(list(writer.claims())) == 3


@pytest.fixture(scope="module")
def nurse(tmp_path_factory):
    with nursery(tmp_path_factory.mktemp("said")) as nurse:
        yield nurse


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Specimen().write(tmp_path_factory.mktemp("whole") / "whole.zarr")


def test_processes_that_are_killed_again_and_again_lose_nothing_and_repeat_nothing(
    nurse, whole, tmp_path
):
    path, acknowledged = tmp_path / "killed.zarr", []
    for verb in ("claimed 1", "acknowledged 4", "claimed 8"):
        child = nurse.start(Job(str(path), pause_seconds=0.01))
        child.await_line(verb)
        child.send(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        acknowledged += child.items("acknowledged")
        with Specimen().open(path) as writer:
            assert not {item.index for item in writer.pending()} & set(acknowledged)
    child = nurse.start(Job(str(path)))
    assert child.wait() == 0
    acknowledged += child.items("acknowledged")
    assert len(set(acknowledged)) == len(acknowledged) >= Specimen().items - 3
    assert not list(path.rglob("*.partial"))
    assert differences(path, whole) == []


def test_processes_share_a_store_and_take_over_from_one_that_is_killed(nurse, whole, tmp_path):
    path = str(tmp_path / "shared.zarr")
    # It claims an item, and would hold it for ever.
    victim = nurse.start(Job(path, pause_seconds=PATIENCE_SECONDS))
    victim.await_line("claimed 0")
    others = [nurse.start(Job(path, pause_seconds=0.01)) for _ in range(2)]
    for other in others:
        other.await_line("claimed")
    assert 0 not in [item for other in others for item in other.items("claimed")]
    victim.send(signal.SIGKILL)
    victim.wait()
    assert [other.wait() for other in others] == [0, 0]
    acknowledged = [item for other in others for item in other.items("acknowledged")]
    assert sorted(acknowledged) == list(range(Specimen().items))
    assert differences(tmp_path / "shared.zarr", whole) == []
