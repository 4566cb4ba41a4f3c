import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polyspace.errors import ConfigError, CorruptStoreError, StoreError
from polyspace.store.legacy import shards, sources

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
FEATURES = hnp.arrays(
    st.sampled_from([np.dtype("<f2"), np.dtype("<f4"), np.dtype(">f4")]),
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4),
)


def record(**changes):
    return {"path": "a.avi", "label": 1, "student": np.ones((2, 3), "f2"), **changes}


def pickled(path, *records, protocol=4):
    path.write_bytes(pickle.dumps(list(records), protocol=protocol))
    return path


def folder_of_arrays(path, **arrays):
    path.mkdir()
    for name, values in arrays.items():
        np.save(path / f"{name}.npy", values)
    return path


class Runs:
    """Pickles to a call that leaves a marker where it was executed."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


class Points:
    """Pickles to a persistent id, if its pickler is asked for one."""


class Pointing(pickle.Pickler):
    def persistent_id(self, obj):
        return "elsewhere" if isinstance(obj, Points) else None


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


@given(features=FEATURES, protocol=st.sampled_from(PROTOCOLS), fortran=st.booleans())
def test_pickled_features_come_back_bit_by_bit(tmp_path_factory, features, protocol, fortran):
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    written = np.asfortranarray(features) if fortran else features
    [clip] = shards.read(pickled(path, record(student=written), protocol=protocol)).clips
    found = clip.arrays["tokens", "student"]
    assert found.dtype == features.dtype
    assert found.tobytes() == features.tobytes()
    assert found.shape == features.shape


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_pickle_says_of_a_clip_is_read(tmp_path, protocol):
    said = record(
        path=np.str_("räty/a.avi"), label=np.int64(7), group="räty", vivit=np.zeros(4, "f4")
    )
    [clip] = shards.read(pickled(tmp_path / "a.pkl", said, protocol=protocol)).clips
    assert (clip.path, clip.id, clip.group, clip.label) == ("räty/a.avi", None, "räty", 7)
    assert set(clip.arrays) == {("tokens", "student"), ("tokens", "vivit")}


def test_numpys_older_module_names_are_known(tmp_path):
    path = pickled(tmp_path / "a.pkl", record(), protocol=2)
    content = path.read_bytes()
    assert b"numpy._core.multiarray" in content
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert shards.read(path).clips[0].arrays["tokens", "student"].shape == (2, 3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("place", ["path", "label", "student", "extra"])
def test_a_call_in_a_pickle_is_named_and_never_made(tmp_path, marker, protocol, place):
    path = pickled(tmp_path / "a.pkl", record(**{place: Runs(marker)}), protocol=protocol)
    with pytest.raises(StoreError, match=r"a\.pkl asks for '(posix|nt)\.mkdir'"):
        shards.read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (torch.ones(2), r"torch\._utils\._rebuild_tensor_v2' \(a torch tensor\)"),
        (PurePosixPath("a"), r"pathlib\.PurePosixPath"),
        (OrderedDict(a=1), r"collections\.OrderedDict"),
        (np.random.default_rng(0), r"numpy\.random\._pickle\.__generator_ctor"),
        (np.ones(2, "f2").view(np.matrix), r"numpy\.matrix"),
        (slice(1), r"builtins\.slice"),
        (print, r"builtins\.print"),
    ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_classes_are_refused_by_name(tmp_path, value, name):
    path = pickled(tmp_path / "a.pkl", record(student=value))
    with pytest.raises(StoreError, match=f"asks for '{name}.*convert it"):
        shards.read(path)


def test_what_lies_outside_of_the_file_is_refused(tmp_path):
    with (tmp_path / "a.pkl").open("wb") as file:
        Pointing(file).dump([record(student=Points())])
    with pytest.raises(StoreError, match="needs the pickle instruction 'BINPERSID'"):
        shards.read(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(np.array([{}], object), "O8"), (np.zeros(2, "i4,f4"), "V8"), (np.zeros(2, "M8[s]"), "M8")],
)
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, values, dtype):
    path = pickled(tmp_path / "a.pkl", record(student=values))
    with pytest.raises(StoreError, match=f"numpy type '{dtype}'"):
        shards.read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (record(), "a dict, expected a list of dicts"),
        ([[1]], "a list of list"),
        ([{1: 2}], "a dict with a int as key"),
        ([record(student={1, 2})], "the pickle instruction 'EMPTY_SET'"),
        ([record(student=[1.0, 2.0])], "a list under 'student'"),
        ([record(student=3.0)], "the float 3.0 under 'student'"),
        ([record(student=np.ones(2))], "an array of float64 under 'student'"),
        ([record(label=None)], "label is the NoneType None"),
        ([record(label="1")], "label is the str '1'"),
        ([record(path=None)], "without a path"),
        ([record(path=3)], "path is the int 3, not text"),
        ([record(group=3)], "group is the int 3, not text"),
    ],
)
def test_what_is_no_list_of_clips_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(StoreError, match=r"a\.pkl ") as caught:
        shards.read(tmp_path / "a.pkl")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_short_anywhere_is_damaged(tmp_path, protocol):
    content = pickled(tmp_path / "a.pkl", record(), protocol=protocol).read_bytes()
    for size in range(len(content)):
        (tmp_path / "a.pkl").write_bytes(content[:size])
        with pytest.raises(CorruptStoreError, match=r"a\.pkl is damaged"):
            shards.read(tmp_path / "a.pkl")


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_an_altered_pickle_is_read_or_refused_and_nothing_else(tmp_path_factory, place, byte):
    content = bytearray(pickle.dumps([record()]))
    content[place % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "altered.pkl"
    path.write_bytes(content)
    try:
        clips = shards.read(path).clips
    except StoreError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(isinstance(clip.label, int) for clip in clips)


@pytest.mark.parametrize(
    "opcode",
    [
        pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1),
        pickle.BINBYTES8 + struct.pack("<Q", 2**62),
        pickle.BYTEARRAY8 + struct.pack("<Q", 2**40),
        pickle.BINUNICODE8 + struct.pack("<Q", 2**63 - 1),
        pickle.LONG4 + struct.pack("<i", 2**31 - 1),
    ],
)
def test_sizes_that_a_pickle_only_claims_take_no_memory(tmp_path, opcode):
    (tmp_path / "a.pkl").write_bytes(pickle.PROTO + b"\x05" + pickle.NONE + opcode + pickle.STOP)
    tracemalloc.start()
    with pytest.raises(StoreError, match=r"a\.pkl"):
        shards.read(tmp_path / "a.pkl")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_pickle_whose_hash_would_never_end_is_refused(tmp_path):
    doubled = b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(60))
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02]}K\x01q\x00" + doubled + b"K\x01sa.")
    with pytest.raises(StoreError, match="a dict with a tuple as key"):
        shards.read(tmp_path / "a.pkl")


def test_an_array_that_claims_more_than_its_bytes_is_damaged(tmp_path):
    content = pickle.dumps([record(student=np.ones((2, 77), "f2"))], protocol=4)
    assert content.count(b"K\x02KM") == 1
    (tmp_path / "a.pkl").write_bytes(content.replace(b"K\x02KM", b"K\x03KM"))
    with pytest.raises(CorruptStoreError, match=r"308 bytes for shape \(3, 77\)"):
        shards.read(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"cnumpy\nndarray\nN}X\x04\x00\x00\x00evilK\x01s\x86b.", "a state for what was not"),
        (b"X\x04\x00\x00\x00evil)R.", "a call of what is no name"),
        (b"]cnumpy\ndtype\nX\x02\x00\x00\x00f2\x85Ra.", "a list of _Type"),
        (b"K\x01K\x02\x93.", "a name that is not text"),
        (b"K\x01K\x02a.", "entries for what is no list"),
        (b"K\x01X\x01\x00\x00\x00aK\x02s.", "entries for what is no dict"),
        (b"}(X\x01\x00\x00\x00au.", "ValueError"),
        (b"K\x01\x87.", "values that are not there"),
        (b"t.", "IndexError"),
        (b"h\x07.", "KeyError"),
        (b".", "IndexError"),
        (b"", "ValueError"),
    ],
)
def test_a_program_that_makes_no_sense_is_refused(tmp_path, program, words):
    (tmp_path / "a.pkl").write_bytes(program)
    with pytest.raises(StoreError, match=words):
        shards.read(tmp_path / "a.pkl")


CONCATENATED = {
    "labels": np.array([0, -1]),
    "paths": np.array(["a.avi", "b.avi"]),
    "student_concat": np.arange(15, dtype="f2").reshape(5, 3),
    "student_offs": np.array([0, 2, 5]),
}


def test_a_folder_of_arrays_is_parted_into_clips(tmp_path):
    clips = shards.read(folder_of_arrays(tmp_path / "a", **CONCATENATED)).clips
    assert [(clip.path, clip.label) for clip in clips] == [("a.avi", 0), ("b.avi", -1)]
    joined = CONCATENATED["student_concat"]
    assert np.array_equal(clips[0].arrays["tokens", "student"], joined[:2])
    assert np.array_equal(clips[1].arrays["tokens", "student"], joined[2:])


def test_an_archive_holds_columns_or_joined_tokens(tmp_path):
    names = {"ids": np.array(["x", "y"]), "groups": np.array(["g", "g"])}
    flow, cls = np.ones((2, 4, 1), "f4"), np.zeros((2, 4), "f4")
    shared = {"class_names": np.array(["pan", "tilt"]), "metadata": np.array("{}")}
    columns = {"flow": flow, "summary/flow": cls, "time_seconds/flow": np.zeros((2, 4, 2))}
    np.savez(tmp_path / "a.npz", **names, **CONCATENATED, **columns, **shared, allow_pickle=False)
    shard = shards.read(tmp_path / "a.npz")
    assert shard.class_names == ("pan", "tilt")
    assert [(clip.id, clip.group) for clip in shard.clips] == [("x", "g"), ("y", "g")]
    shapes = {key: array.shape for key, array in shard.clips[1].arrays.items()}
    assert shapes == {
        ("tokens", "student"): (3, 3),
        ("tokens", "flow"): (4, 1),
        ("summary", "flow"): (4,),
        ("time_seconds", "flow"): (4, 2),
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": None}, "no labels"),
        ({"paths": np.array(["a"])}, "2 labels, but path of 1 clips"),
        ({"flow": np.ones((3, 2), "f2")}, "2 labels, but flow of 3 clips"),
        ({"flow": np.float32(1)}, "2 labels, but flow of 0 clips"),
        ({"student_offs": None}, "student of 5 tokens with 0 offsets"),
        ({"student_offs": np.array([0, 2, 9])}, "rise from 0 to 5"),
        ({"student_offs": np.array([0, 6, 5])}, "rise from 0 to 5"),
        ({"student_offs": np.array([1, 2, 5])}, "rise from 0 to 5"),
        ({"labels": np.array([0.5, 1])}, "label is the float 0.5"),
    ],
)
def test_columns_that_do_not_fit_each_other_are_refused(tmp_path, changes, words):
    arrays = {k: v for k, v in {**CONCATENATED, **changes}.items() if v is not None}
    np.savez(tmp_path / "a.npz", **arrays, allow_pickle=False)
    with pytest.raises(StoreError, match=words):
        shards.read(tmp_path / "a.npz")


def test_pickled_objects_in_arrays_are_never_opened(tmp_path, marker):
    evil = np.array([Runs(marker), Runs(marker)], dtype=object)
    arrays = {**CONCATENATED, "paths": evil}
    np.savez(tmp_path / "a.npz", **arrays, allow_pickle=True)
    folder_of_arrays(tmp_path / "a", **arrays)
    for path in (tmp_path / "a.npz", tmp_path / "a"):
        with pytest.raises(CorruptStoreError, match=r"Object arrays cannot|Python objects in"):
            shards.read(path)
    assert not marker.exists()


def test_a_pickle_that_is_called_npz_is_never_opened(tmp_path, marker):
    pickled(tmp_path / "a.npz", Runs(marker))
    with pytest.raises(CorruptStoreError, match="damaged, or not what its name says"):
        shards.read(tmp_path / "a.npz")
    assert not marker.exists()


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path):
    bomb = {**CONCATENATED, "flow": np.zeros((2, 2**20), "f4")}
    np.savez_compressed(tmp_path / "a.npz", **bomb, allow_pickle=False)
    with pytest.raises(StoreError, match="would fill 8"):
        shards.read(tmp_path / "a.npz")


def test_an_array_shorter_than_its_header_says_is_damaged(tmp_path):
    header = {"shape": (2**40,), "fortran_order": False, "descr": "<i8"}
    archive = zipfile.ZipFile(tmp_path / "a.npz", "w")
    with archive, archive.open("labels.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
    folder = folder_of_arrays(tmp_path / "a", **CONCATENATED)
    file = folder / "student_concat.npy"
    file.write_bytes(file.read_bytes()[:-2])
    for path in (tmp_path / "a.npz", folder):
        with pytest.raises(CorruptStoreError, match="is damaged"):
            shards.read(path)


def shard_names(folder, *names):
    for name in names:
        pickled(folder / name, record())
    return folder


def index(folder, name="features_ucf101_train.index.json", **said):
    text = {"dataset": "ucf101", "split": "train", "storage": "pkl", **said}
    (folder / name).write_text(str(text).replace("'", '"'))
    return folder / name


@pytest.mark.parametrize(
    ("name", "dataset", "split"),
    [
        ("features_ucf101_train.pkl", "ucf101", "train"),
        ("features_kinetics_400_test.npz", "kinetics_400", "test"),
        ("features_uav-human_train_shard_00000.pkl", "uav-human", "train"),
    ],
)
def test_names_say_data_set_and_split(tmp_path, name, dataset, split):
    (tmp_path / name).touch()
    for where in (tmp_path, tmp_path / name):
        found = sources.find(where, None, None)
        assert (found.index.dataset, found.index.split) == (dataset, split)
        assert found.shards == (tmp_path / name,)
        assert found.counts == (None,)


def test_an_index_orders_its_shards_wherever_they_were(tmp_path):
    names = [f"features_ucf101_train_shard_0000{n}.pkl" for n in (0, 1)]
    shard_names(tmp_path, *names)
    # Some versions wrote names without .pkl; others wrote whole paths.
    listed = [{"file": names[1].removesuffix(".pkl"), "count": 3}, {"file": f"/gone/{names[0]}"}]
    path = index(tmp_path, shards=listed, student="vjepa2")
    for where in (tmp_path, path):
        found = sources.find(where, None, None)
        assert [shard.name for shard in found.shards] == names[::-1]
        assert found.counts == (3, None)
        assert found.index.student == "vjepa2"


def test_an_index_without_a_list_goes_with_what_is_there(tmp_path):
    shard_names(tmp_path, "features_ucf101_train.pkl", "features_ucf101_test.pkl")
    index(tmp_path)
    found = sources.find(tmp_path, "ucf101", "train")
    assert [shard.name for shard in found.shards] == ["features_ucf101_train.pkl"]
    assert sources.find(tmp_path, None, "test").index.split == "test"


def test_shards_that_an_index_does_not_list_are_passed_over(tmp_path):
    names = [f"features_ucf101_train_shard_0000{n}.pkl" for n in range(3)]
    index(shard_names(tmp_path, *names), shards=[{"file": name} for name in names[:2]])
    assert [path.name for path in sources.find(tmp_path, None, None).shards] == names[:2]


def test_what_an_index_says_of_its_split_goes_before_names(tmp_path):
    shard_names(tmp_path, "features_uav_cross_subject_shard_00000.pkl")
    listed = [{"file": "features_uav_cross_subject_shard_00000"}]
    said = {"dataset": "uav", "split": "cross_subject"}
    index(tmp_path, "features_uav_cross_subject.index.json", shards=listed, **said)
    found = sources.find(tmp_path, "uav", "cross_subject")
    assert len(found.shards) == 1
    index(tmp_path, "features_uav_cross_subject.index.json", **said)
    with pytest.raises(StoreError, match="of uav cross_subject, expected those of uav train"):
        sources.find(tmp_path, "uav", "train")


def test_folders_of_arrays_are_shards(tmp_path):
    for number in range(2):
        name = f"features_ucf101_train_shard_{number:05d}"
        folder_of_arrays(tmp_path / name, **CONCATENATED)
    assert len(sources.find(tmp_path, None, None).shards) == 2
    first = tmp_path / "features_ucf101_train_shard_00000"
    assert sources.find(first, None, None).shards == (first,)


@pytest.mark.parametrize(
    "names",
    [
        ["features_a_train_shard_00001.pkl"],
        ["features_a_train_shard_00000.pkl", "features_a_train_shard_00002.pkl"],
        ["features_a_train_shard_00000.pkl", "features_a_train.pkl"],
    ],
)
def test_shards_with_gaps_are_refused(tmp_path, names):
    with pytest.raises(StoreError, match="without a gap"):
        sources.find(shard_names(tmp_path, *names), None, None)


def test_a_listed_shard_that_is_missing_is_named(tmp_path):
    path = index(tmp_path, shards=[{"file": "../secret.pkl"}])
    pickled(tmp_path.parent / "secret.pkl", record())
    with pytest.raises(StoreError, match=r"lists \.\./secret\.pkl, which isn't beside it"):
        sources.find(path, None, None)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"dataset": "a"}', '{"dataset": 1, "split": 2}'])
def test_an_index_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "features_a_train.index.json").write_text(text)
    with pytest.raises(CorruptStoreError, match=r"is no index of shards \(.*\): restore"):
        sources.find(tmp_path, None, None)


def test_foreign_folders_and_files_are_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(StoreError, match="holds features of nothing"):
        sources.find(tmp_path, None, None)
    with pytest.raises(StoreError, match="isn't there"):
        sources.find(tmp_path / "gone", None, None)
    with pytest.raises(StoreError, match="isn't there"):
        sources.find(tmp_path / "gone.index.json", None, None)
    with pytest.raises(ConfigError, match="give --dataset and --split"):
        sources.find(tmp_path / "holiday.jpg", None, None)


def test_one_of_several_splits_has_to_be_named(tmp_path):
    shard_names(tmp_path, "features_ucf101_train.pkl", "features_ucf101_test.pkl")
    with pytest.raises(StoreError, match=r"of ucf101 test, ucf101 train, expected .* --split"):
        sources.find(tmp_path, "ucf101", None)
    with pytest.raises(StoreError, match="expected those of one validation"):
        sources.find(tmp_path, None, "validation")


def test_a_nameless_file_is_what_the_options_say(tmp_path):
    path = Path(pickled(tmp_path / "mine.pkl", record()))
    found = sources.find(path, "toy", "train")
    assert (found.index.dataset, found.index.split, found.shards) == ("toy", "train", (path,))
