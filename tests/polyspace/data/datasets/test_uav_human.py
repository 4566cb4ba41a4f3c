import pytest

from polyspace.data.datasets import registry, uav_human
from polyspace.errors import DatasetError, LabelError
from tests.support.layouts import make_uav_human, put, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four persons, three actions; not to be written to."""
    return make_uav_human(tmp_path_factory.mktemp("uav"))


@pytest.mark.parametrize(
    ("end", "trained", "tested"),
    [
        ("", {"P000", "P002"}, {"P001", "P003"}),
        ("01", {"P000", "P002"}, {"P001", "P003"}),
        ("02", {"P000", "P003"}, {"P001", "P002"}),
    ],
)
def test_persons_are_in_the_split_that_the_protocol_says(folder, end, trained, tested):
    assert {c.group for c in registry.read("uav-human", folder, f"train{end}").clips} == trained
    assert {c.group for c in registry.read("uav-human", folder, f"test{end}").clips} == tested


def test_the_action_in_the_name_is_the_class(folder):
    found = uav_human.read(folder, "test")
    clip = found.clips[2]

    assert clip.id == "P001S01G10B00H10UC102000LC092000A002R0_09131758"
    assert clip.path == f"all_rgb/{clip.id}.avi"
    assert found.class_names[clip.label] == "brush hair"


def test_an_action_that_is_no_class_is_refused(tmp_path):
    make_uav_human(tmp_path)
    put(tmp_path, "all_rgb/P000S01G10B00H10UC102000LC092000A154R0_09131758.avi")

    with pytest.raises(LabelError, match=r"1 of 13 clips of uav-human .* 'A154 \(all_rgb/P000"):
        uav_human.read(tmp_path, "train")


@pytest.mark.parametrize(
    "name", ["holiday", "P120S01G10B00H10UC102000LC092000A001R0_09131758", "P000A001"]
)
def test_a_file_that_is_not_called_so_is_refused(tmp_path, name):
    put(make_uav_human(tmp_path), f"all_rgb/{name}.avi")

    with pytest.raises(DatasetError, match=f"1 files of uav-human are not called .*{name}"):
        uav_human.read(tmp_path, "train")


@pytest.mark.parametrize("text", ["id,label\n", "id,label\nA001,drink\n", "id,label\n0,drink\n"])
def test_classes_that_are_not_in_order_are_refused(tmp_path, text):
    write(make_uav_human(tmp_path) / "classes_map.csv", text)

    with pytest.raises(DatasetError, match="expected the ids A000, A001"):
        uav_human.read(tmp_path, "train")


def test_missing_classes_are_refused(tmp_path):
    (make_uav_human(tmp_path) / "classes_map.csv").unlink()

    with pytest.raises(DatasetError, match=r"classes_map\.csv is missing"):
        uav_human.read(tmp_path, "train")
