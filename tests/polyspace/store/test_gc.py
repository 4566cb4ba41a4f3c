import os
import subprocess
import sys

import pytest

from polyspace.errors import LeaseError
from polyspace.store import storage
from polyspace.store.gc import collect
from polyspace.store.lease import Leases
from polyspace.store.reader import FeatureStore


def test_a_finished_store_has_nothing_to_collect(store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    assert str(collect(store)) == f"{store}: nothing to collect"
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()} == before


def test_what_a_killed_writer_left_is_deleted_and_nothing_else(sample, path):
    sample.write(path, items=1)
    orphan = path / "tokens" / "student" / "c.2.0.0.0.0"
    half = path / "summary" / "student" / "c.1.0.0.0c0ffee.partial"
    other = path / "notes.txt"
    for file in (orphan, half, other):
        file.write_bytes(b"left behind")
    held = FeatureStore.open(path).fingerprint
    found = collect(path)
    assert {path / key for key in found.files} == {orphan, half}
    assert found.bytes == 22
    assert not orphan.exists()
    assert not half.exists()
    assert other.exists()
    assert FeatureStore.open(path).fingerprint == held


def test_a_dead_process_lease_is_deleted(store):
    hold = (
        "import os, sys; from pathlib import Path; from polyspace.store import lease, storage; "
        "assert lease.Leases(storage.at(Path(sys.argv[1]))).acquire('item-00001'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", hold, str(store)], check=False)
    assert len(os.listdir(store / "leases")) == 1
    assert collect(store).files == ("leases/item-00001.1",)
    assert os.listdir(store / "leases") == []


def test_nothing_is_deleted_while_somebody_writes(store):
    (store / "x.partial").write_bytes(b"half")
    leases = Leases(storage.at(store), term_seconds=0.4)
    assert leases.acquire("item-00001")
    with pytest.raises(LeaseError, match="is writing item-00001"):
        collect(store)
    assert (store / "x.partial").exists()
    leases.close()
    assert collect(store).files == ("x.partial",)
