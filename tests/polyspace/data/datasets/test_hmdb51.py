import pytest

from polyspace.data.datasets import hmdb51, labels, registry
from polyspace.errors import DatasetError, LabelError
from tests.support.layouts import make_hmdb51, make_hmdb51_tables, put, write, write_csv


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As published; not to be written to."""
    return make_hmdb51(tmp_path_factory.mktemp("hmdb51"))


def the_list(root, class_name, number=1):
    return root / hmdb51.LISTS / f"{class_name}_test_split{number}.txt"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_flags_1_and_2_are_train_and_test_and_0_is_neither(folder, number):
    train = hmdb51.read(folder, "train", number=number).clips
    test = hmdb51.read(folder, "test", number=number).clips

    assert (len(train), len(test)) == (51 * 2, 51)
    assert {clip.id[-2:] for clip in (*train, *test)} == {"_0"}
    assert {clip.group[:6] for clip in test} == {f"Film_{number}"}
    assert not {clip.group for clip in train} & {clip.group for clip in test}


def test_a_clip_has_the_number_of_its_class_and_the_group_of_its_film(folder):
    [clip] = [c for c in hmdb51.read(folder, "test").clips if c.label == 35]

    assert clip.id == "Film_1_of_shoot_bow_shoot_bow_f_cm_np1_fr_goo_0"
    assert clip.path == f"shoot_bow/{clip.id}.avi"
    assert clip.group == "Film_1_of_shoot_bow"


def test_the_registry_knows_three_ways_and_holds_validation_out_of_train(folder):
    assert registry.ways("hmdb51", folder) == tuple(
        (f"train{n}", f"test{n}") for n in ("01", "02", "03")
    )
    train = registry.read("hmdb51", folder, "train02").clips
    part = registry.read("hmdb51", folder, "validation02").clips

    assert set(part) < set(train)
    assert {clip.label for clip in part} == set(range(51))


def test_videos_may_lie_in_the_folder_that_the_archive_unpacks_to(tmp_path):
    make_hmdb51(tmp_path)
    (tmp_path / "hmdb51_org").mkdir()
    for name in labels.table("hmdb51"):
        (tmp_path / name).rename(tmp_path / "hmdb51_org" / name)

    assert hmdb51.read(tmp_path, "test").clips[0].path.startswith("hmdb51_org/brush_hair/Film_1")


def test_a_missing_video_stays_listed_for_the_quarantine(tmp_path):
    make_hmdb51(tmp_path)
    first = hmdb51.read(tmp_path, "test").clips[0]
    (tmp_path / first.path).unlink()

    assert hmdb51.read(tmp_path, "test").clips[0] == first


def test_a_missing_list_is_refused(tmp_path):
    make_hmdb51(tmp_path)
    the_list(tmp_path, "wave").unlink()

    with pytest.raises(DatasetError, match=r"wave_test_split1\.txt is missing"):
        hmdb51.read(tmp_path, "train")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.avi 3", "expected a clip's name and 0, 1 or 2"),
        ("a.avi", "expected a clip's name and 0, 1 or 2"),
        (
            "holiday.avi 1",
            r"1 files of hmdb51 are not called .* 'holiday\.avi'.*--dataset manifest",
        ),
        ("../x_wave_f_cm_np1_fr_goo_0.avi 1", None),
    ],
)
def test_a_line_that_is_none_is_refused(tmp_path, line, reason):
    make_hmdb51(tmp_path)
    write(the_list(tmp_path, "wave"), f"{line}\n")

    if reason is None:
        # Only the name of a file counts, whatever is before it.
        assert hmdb51.read(tmp_path, "train").clips[-1].path == "wave/x_wave_f_cm_np1_fr_goo_0.avi"
    else:
        with pytest.raises(DatasetError, match=reason):
            hmdb51.read(tmp_path, "train")


def test_a_folder_without_one_of_the_videos_is_refused(tmp_path):
    make_hmdb51(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / hmdb51.LISTS).rename(tmp_path / "b" / hmdb51.LISTS)

    with pytest.raises(DatasetError, match=r"none of the 51 listed videos .*: expected <class>/"):
        hmdb51.read(tmp_path / "b", "test")


@pytest.mark.parametrize("numbers", [False, True])
def test_numbers_do_not_depend_on_the_split_or_its_order(tmp_path, numbers):
    make_hmdb51_tables(tmp_path, numbers=numbers)
    expected = {"brush_hair": 0, "cartwheel": 1, "wave": 50}

    for split in ("train", "validation", "test"):
        found = registry.read("hmdb51", tmp_path, split)
        assert found.class_names == labels.table("hmdb51")
        assert all(clip.label == expected[found.class_names[clip.label]] for clip in found.clips)
        assert all(f"_{found.class_names[clip.label]}_f_cm" in clip.path for clip in found.clips)


def test_tables_know_one_way_with_a_validation_split_of_their_own(tmp_path):
    make_hmdb51_tables(tmp_path)

    assert registry.ways("hmdb51", tmp_path) == (("train01", "validation01", "test01"),)
    part = registry.read("hmdb51", tmp_path, "validation").clips
    assert not {c.id for c in part} & {
        c.id for c in registry.read("hmdb51", tmp_path, "train").clips
    }
    assert {clip.group for clip in part} == {"Film_validation"}
    with pytest.raises(DatasetError, match="train02 needs the lists in testTrainMulti"):
        registry.read("hmdb51", tmp_path, "train02")


def test_the_original_name_says_the_film_where_files_are_called_otherwise(tmp_path):
    name = "Film_wave_f_cm_np1_fr_goo_0.avi"
    write_csv(
        tmp_path / "train/metadata.csv",
        "file_name,label,original_filename",
        ("7.mp4", "wave", name),
    )
    put(tmp_path, "train/7.mp4")

    [clip] = hmdb51.read(tmp_path, "train").clips

    assert (clip.id, clip.path, clip.group, clip.label) == ("7", "train/7.mp4", "Film", 50)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("waving", r"1 of 1 clips of hmdb51 have one of 1 labels .*'waving \(train/Film"),
        ("51", "none of its 51 classes"),
        ("", "none of its 51 classes"),
        ("1", "1 of 1 labels of hmdb51 contradict the files' names, .*'cartwheel'"),
    ],
)
def test_a_label_that_is_no_class_or_another_one_is_refused(tmp_path, label, reason):
    file = "Film_wave_f_cm_np1_fr_goo_0.avi"
    write_csv(tmp_path / "train/metadata.csv", "file_name,label", (file, label))
    put(tmp_path, f"train/{file}")

    with pytest.raises(LabelError, match=reason):
        hmdb51.read(tmp_path, "train")


def test_a_table_may_not_lead_out_of_its_folder(tmp_path):
    write_csv(tmp_path / "train/metadata.csv", "file_name,label", ("../../x.avi", "wave"))

    with pytest.raises(DatasetError, match=r"'\.\./\.\./x\.avi' leads out of its folder"):
        hmdb51.read(tmp_path, "train")
