"""Stores in an object store, from the first request to the last; the server is a real process."""

import builtins
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import boto3
import numpy as np
import pytest
import torch
import zarr
from obstore.store import S3Store
from zarr.storage import ObjectStore

from polyspace.data import featurize
from polyspace.errors import ConfigError, CorruptStoreError, LeaseError, StoreError
from polyspace.store import objects, storage
from polyspace.store.loader import FeatureLoader
from polyspace.store.objects import ObjectPrefix
from polyspace.store.order import Window
from polyspace.store.reader import FeatureStore, find_store
from polyspace.store.repair import repair
from polyspace.store.verification import verify
from polyspace.store.writer import StoreWriter
from polyspace.train.sources import SourceSettings, open_clips
from tests.support.s3 import distrust, make_bucket, s3_server
from tests.support.stages import finish
from tests.support.ucf101 import make_ucf101

# Takes the lease on the first work item, and never gives it back.
HOLDER = """
import sys, time
from pathlib import Path
from polyspace.store import storage
from polyspace.store.lease import Leases
Leases(storage.at(Path(sys.argv[1]))).acquire("item-00000")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(server):
    return make_bucket(server)


@pytest.fixture(scope="module")
def _uploaded(server, written):
    return carry(written, make_bucket(server) / "features/motion_train.zarr")


@pytest.fixture
def remote(request):
    """A finished store in a bucket that other tests read, too."""
    return request.getfixturevalue("_uploaded")


@pytest.fixture
def own(written, bucket):
    """A finished store of this test's own."""
    return carry(written, bucket / "motion_train.zarr")


@pytest.fixture
def reads(monkeypatch):
    """Record the keys that are read."""
    keys = []

    def read(self, key, *, start=0):
        keys.append(key)
        return original(self, key, start=start)

    original = ObjectPrefix.read
    monkeypatch.setattr(ObjectPrefix, "read", read)
    return keys


def carry(source, target):
    """Copy a store file by file."""
    here, there = storage.at(source), storage.at(target)
    for key in here.list():
        there.publish(key, [here.read(key)])
    return target


def flip(path, key, byte=3):
    place = storage.at(path)
    content = bytearray(place.read(key))
    content[byte] ^= 1
    place.publish(key, [bytes(content)])


def test_a_store_is_written_and_read(sample, bucket, written):
    path = sample.write(bucket / "deep/motion_train.zarr")

    store, local = FeatureStore.open(path), FeatureStore.open(written)
    assert store.fingerprint == local.fingerprint
    assert (store.mapped, store.coverage.done) == (False, 10)
    rows = np.array([9, 0, 4, 4])
    for spec in sample.specs:
        expected = sample.stacked(spec, "tokens", rows)[:, 0]
        assert torch.equal(store.tokens(spec.backbone, rows), torch.from_numpy(expected).float())
        assert torch.equal(store.stored(spec.backbone, rows), local.stored(spec.backbone, rows))
        assert torch.equal(store.summary(spec.backbone, rows), local.summary(spec.backbone, rows))
        assert (store.seconds(spec.backbone, rows) == local.seconds(spec.backbone, rows)).all()
        assert store.tokens(spec.backbone, rows[:0]).shape == (0, spec.time, spec.space, spec.dim)
    mine, theirs = store.clip("v_Tähti_g07"), local.clip("v_Tähti_g07")
    assert torch.equal(mine.tokens["teacher"], theirs.tokens["teacher"])


def test_a_store_may_fill_a_whole_bucket(sample, bucket):
    assert FeatureStore.open(sample.write(bucket, items=1)).coverage.done == 4
    assert find_store(bucket, "motion", "train") == bucket


def test_keys_are_what_others_see(sample, bucket, server):
    odd = "My Features/ä#%1"
    sample.write(bucket / odd / "x.zarr", items=1)

    client = boto3.client("s3", endpoint_url=server)
    found = client.list_objects_v2(Bucket=bucket.name)["Contents"]
    keys = {entry["Key"].removeprefix(f"{odd}/x.zarr/") for entry in found}
    assert {"zarr.json", "tokens/student/c.0.0.0.0.0"} <= keys


def test_a_store_opens_wherever_it_is_carried(written, remote, tmp_path):
    back = carry(remote, tmp_path / "motion_train.zarr")

    stores = [FeatureStore.open(path) for path in (written, remote, back)]
    assert len({store.fingerprint for store in stores}) == 1
    assert not finish(stores[1].verify()).problems
    rows = np.arange(10)
    assert torch.equal(stores[1].tokens("teacher", rows), stores[2].tokens("teacher", rows))


def test_any_zarr_client_reads_it(remote, sample):
    bucket, *prefix = remote.parts[1:]
    files = S3Store(bucket, prefix="/".join(prefix), client_options={"allow_http": True})
    place = ObjectStore(files, read_only=True)

    tokens = zarr.open_array(place, path="tokens/student", mode="r")[:]
    states = np.asarray(zarr.open_array(place, path="state", mode="r")[:])
    assert np.array_equal(tokens, sample.stacked(sample.specs[0], "tokens", range(10)))
    assert states.tolist() == ["done"] * 10


def test_it_is_found_in_its_folder(remote):
    assert find_store(Path(f"s3://{remote.parts[1]}/features"), "motion", "train") == remote
    assert find_store(remote.parent, None, "train") == remote
    assert find_store(remote, "motion", "train") == remote


def test_what_else_is_there_is_said(remote):
    with pytest.raises(
        StoreError, match=r"no feature store motion_test.zarr .* it holds motion_tr"
    ):
        find_store(remote.parent, "motion", "test")
    with pytest.raises(StoreError, match="nothing is there"):
        find_store(remote.parent / "gone", None, "train")
    with pytest.raises(StoreError, match="make one with"):
        FeatureStore.open(remote.parent)


def test_two_writers_share_the_work(sample, bucket, written):
    path = bucket / "motion_train.zarr"
    with sample.open(path) as one, sample.open(path) as other:
        first = next(one.claims())
        rest = list(other.claims())
        assert (first.index, [item.index for item in rest]) == (0, [1, 2])
        with pytest.raises(LeaseError, match="ask claims"):
            other.write(first, sample.blocks(first), {})
        for writer, items in ((one, [first]), (other, rest)):
            for item in items:
                writer.write(item, sample.blocks(item), {})
        assert not one.awaits_work()

    assert FeatureStore.open(path).fingerprint == FeatureStore.open(written).fingerprint
    assert storage.at(path).list("leases/") == {}


def test_what_a_killed_writer_had_claimed_is_taken_over(sample, bucket, written):
    path = sample.write(bucket / "motion_train.zarr", items=0)
    child = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE)
    with child, sample.open(path) as writer:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        items = list(writer.claims())
        child.kill()
        child.wait()
        assert [item.index for item in items] == [1, 2]
        for item in items:
            writer.write(item, sample.blocks(item), {})
        assert writer.awaits_work()
        [left] = writer.claims()
        writer.write(left, sample.blocks(left), {})

    assert FeatureStore.open(path).fingerprint == FeatureStore.open(written).fingerprint


def test_a_writer_that_was_taken_over_writes_nothing(sample, bucket, monkeypatch):
    path = bucket / "motion_train.zarr"
    settings = (path, sample.header, sample.rows, sample.specs)
    # Neither renews anything: the one is stale as soon as the other has looked for long enough.
    monkeypatch.setattr("polyspace.store.lease.Leases._keep_renewing", lambda self: None)
    slow, quick = (StoreWriter.open(*settings, term_seconds=0.05) for _ in range(2))
    lost = next(slow.claims())
    while not (taken := [item for item in quick.claims() if item.index == 0]):
        pass
    with pytest.raises(LeaseError, match="was taken over"):
        slow.write(lost, sample.blocks(lost), {})
    assert not any(key.startswith("tokens/student/c.0") for key in storage.at(path).list())
    quick.write(taken[0], sample.blocks(taken[0]), {})
    assert FeatureStore.open(path).coverage.done == 4


def test_a_put_that_arrives_late_replaces_nothing(bucket):
    place, other = storage.at(bucket / "x"), storage.at(bucket / "x")
    place.publish("a", [b"a dead writer's"])
    asked = []

    def admit():
        # Two questions: before it is known that the file is there, and before it is replaced.
        asked.append(None)
        if len(asked) == 2:
            other.publish("a", [b"the successor's"])

    with pytest.raises(LeaseError, match="by another writer at the same moment"):
        place.publish("a", [b"a stopped writer's"], admit)
    assert (len(asked), place.read("a")) == (2, b"the successor's")


def test_a_bucket_is_filled_by_extraction_and_read_by_training(
    bucket, tmp_path, monkeypatch, capsys
):
    root, out = make_ucf101(tmp_path, groups=2, clips=1), f"s3://{bucket.name}/features"
    options = f"--dataset ucf101 --root {root} --out {out} --split train --frames 4 --workers 0"
    command = f"featurize {options} --student motion_vectors --teachers"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as end:
        featurize.main()
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    assert "ucf101_train.zarr: 2 of 2 clips (100.0%) seen by motion_vectors; 0.0 MB" in said.out

    settings = SourceSettings(
        dataset="ucf101",
        root=root,
        student="motion_vectors",
        use_cached_features=True,
        cached_features_path=Path(out),
    )
    cpu, unused = torch.device("cpu"), tmp_path / "unused"
    clips = finish(open_clips(settings, split="train", device=cpu, scratch=unused))
    assert clips.tokens("motion_vectors", np.array([1, 0])).isfinite().all()
    assert not any(tmp_path.glob("s3*"))


def test_a_flipped_bit_is_found_and_exactly_its_clip_is_done_again(sample, own):
    before = FeatureStore.open(own)
    flip(own, "tokens/student/c.1.0.0.0.0")

    with pytest.raises(CorruptStoreError, match=r"c\.1\.0\.0\.0\.0 is altered.*clips v_Tähti_g04"):
        before.tokens("student", np.array([5]))
    assert before.tokens("student", np.array([0])).isfinite().all()
    [problem] = finish(verify(own)).problems
    assert problem.clips == ("v_Tähti_g04",)
    assert finish(repair(own)).clips == ("v_Tähti_g04",)
    assert FeatureStore.open(own).coverage.pending == 1
    sample.write(own)
    after = FeatureStore.open(own)
    assert after.fingerprint == before.fingerprint
    assert not finish(verify(own)).problems


def test_a_file_that_could_not_be_fetched_is_fetched_again(own):
    store, place, key = FeatureStore.open(own), storage.at(own), "tokens/student/c.0.0.0.0.0"
    content = place.read(key)
    place.delete(key)
    with pytest.raises(CorruptStoreError, match="missing"):
        store.tokens("student", np.array([0]))
    place.publish(key, [content])
    assert store.tokens("student", np.array([0])).isfinite().all()


def test_an_epoch_reads_each_chunk_once(remote, reads):
    store = FeatureStore.open(remote)
    loader = FeatureLoader(store, ["student", "teacher"], batch=3)
    reads.clear()

    seen = sorted(row for batch in loader for row in batch.rows.tolist())

    assert seen == list(range(10))
    assert sorted(reads) == sorted(
        f"tokens/{name}/c.{item}.0.0.0.0" for name in ("student", "teacher") for item in range(3)
    )


def test_shuffling_keeps_to_what_is_kept(remote, written, monkeypatch):
    # Room for four chunks of the larger array: those of one window, and of the next.
    monkeypatch.setattr("polyspace.store.fetched.KEPT_BYTES", 4 * 480)
    window = FeatureStore.open(remote).window(["student", "teacher"])

    assert window == Window(clips_per_chunk=4, chunks=2)
    assert FeatureStore.open(written).window(["student", "teacher"]) is None


def test_what_is_expected_is_fetched_before_it_is_asked_for(remote, reads):
    store = FeatureStore.open(remote)
    store.expect(["student"], np.array([0, 9]))
    reads_of_rows = store.tokens("student", np.array([0, 9]))
    count = len(reads)
    assert torch.equal(store.tokens("student", np.array([9, 0])), reads_of_rows.flip(0))
    assert len(reads) == count


def test_what_is_no_address_is_refused():
    for address in ("s3://", "s3://a", "s3://a bucket/x", "s3://bucket/../x"):
        with pytest.raises(ConfigError, match="expected s3://BUCKET/FOLDER"):
            storage.at(Path(address))


def test_what_is_no_endpoint_is_refused(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL is 'localhost:9000': expected a URL"):
        storage.at(Path("s3://bucket/x"))


EVERY_REQUEST = {
    "list": lambda place: place.list(),
    "names": lambda place: place.names(),
    "read": lambda place: place.read("a"),
    "read many": lambda place: place.read_many({"a": 0}),
    "publish": lambda place: place.publish("a", [b"."]),
    "replace": lambda place: place.replace("a", [b"."], lambda: None),
    "create": lambda place: place.create("a", b"."),
    "delete": lambda place: place.delete("a"),
    "journal": lambda place: place.journal("a.jsonl").append(b"."),
}


@pytest.mark.parametrize("ask", EVERY_REQUEST.values(), ids=EVERY_REQUEST.keys())
def test_credentials_that_are_not_known_are_told_in_one_line(server, bucket, ask):
    place = storage.at(bucket / "x")
    with distrust(server), pytest.raises(StoreError, match="check AWS_ACCESS_KEY_ID") as caught:
        ask(place)
    assert "\n" not in str(caught.value)


def test_a_bucket_that_does_not_exist_is_told_in_one_line(server, sample):
    path, advice = Path("s3://no-such-bucket/x.zarr"), r"NoSuchBucket: .*: make the bucket, or mend"
    for ask in (FeatureStore.open, sample.write, lambda path: find_store(path, None, "train")):
        with pytest.raises(StoreError, match=advice) as caught:
            ask(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "retry_timeout: 100ms .*: check the network"),
        ({"AWS_ACCESS_KEY_ID": None}, "set both AWS_ACCESS_KEY_ID and AWS_SECRET"),
        (
            {
                "AWS_ACCESS_KEY_ID": None,
                "AWS_SECRET_ACCESS_KEY": None,
                "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",
            },
            "retry_timeout: 100ms .*: set AWS_ACCESS_KEY_ID and AWS_SECRET",
        ),
    ],
    ids=["unreachable", "half a key", "no key"],
)
def test_what_nobody_answers_is_told_soon_and_in_one_line(bucket, monkeypatch, changes, remedy):
    monkeypatch.setattr(objects, "PATIENCE", timedelta(milliseconds=100))
    for name, value in changes.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    with pytest.raises(StoreError, match=remedy) as caught:
        FeatureStore.open(bucket / "x")
    assert "\n" not in str(caught.value)


def test_without_obstore_it_is_said_how_to_get_it(monkeypatch):
    original = builtins.__import__

    def fail(name, *rest, **more):
        if name.startswith("obstore"):
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ConfigError, match=r"pip install 'polyspace\[s3\]'"):
        storage.at(Path("s3://bucket/x"))
