import pytest

from polyspace.data.datasets import breakfast, registry
from polyspace.errors import DatasetError, LabelError
from tests.support.layouts import make_breakfast, put


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four persons, two cameras, ten activities; not to be written to."""
    return make_breakfast(tmp_path_factory.mktemp("breakfast"))


def test_every_activity_is_a_class_of_its_own(folder):
    found = breakfast.read(folder, "train")

    for clip in found.clips:
        assert f"_{found.class_names[clip.label]}" in clip.path
    assert {clip.label for clip in found.clips} == set(range(10))


def test_salat_and_scrambledegg_are_what_they_are(tmp_path):
    put(tmp_path, "P42/cam01/P42_salat.avi", "P42/cam01/P42_scrambledegg.avi")
    put(tmp_path, "P42/cam01/P42_friedegg.avi")
    found = breakfast.read(tmp_path, "test")

    assert {clip.id.rpartition("_")[2]: found.class_names[clip.label] for clip in found.clips} == {
        name: name for name in ("salat", "scrambledegg", "friedegg")
    }


def test_all_cameras_are_read_and_a_person_is_one_group(folder):
    clips = breakfast.read(folder, "test").clips

    assert {clip.path.split("/")[1] for clip in clips} == {"cam01", "stereo"}
    assert {clip.group for clip in clips} == {"P42"}
    assert "P42/stereo/P42_tea_ch0" in {clip.id for clip in clips}


@pytest.mark.parametrize(
    ("end", "person"), [("", "P42"), ("01", "P03"), ("02", "P16"), ("03", "P29"), ("04", "P42")]
)
def test_each_way_tests_on_a_quarter_of_the_persons(folder, end, person):
    train = registry.read("breakfast", folder, f"train{end}").clips
    test = registry.read("breakfast", folder, f"test{end}").clips

    assert {clip.group for clip in test} == {person}
    assert person not in {clip.group for clip in train}
    assert len(train) + len(test) == 80


def test_an_activity_that_is_no_class_is_refused(tmp_path):
    make_breakfast(tmp_path)
    put(tmp_path, "P03/cam01/P03_salad.avi")

    with pytest.raises(LabelError, match=r"1 of 81 clips of breakfast .* 'salad \(P03/cam01"):
        breakfast.read(tmp_path, "train")


@pytest.mark.parametrize(
    "path", ["P03/cam01/P04_tea.avi", "P60/cam01/P60_tea.avi", "P03/P03_tea.avi", "x/y/z.avi"]
)
def test_a_file_that_is_not_called_so_is_refused(tmp_path, path):
    put(tmp_path, path)

    with pytest.raises(DatasetError, match="1 files of breakfast are not called as its files are"):
        breakfast.read(tmp_path, "train")


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"breakfast train .* lists no clips"):
        breakfast.read(tmp_path, "train")
