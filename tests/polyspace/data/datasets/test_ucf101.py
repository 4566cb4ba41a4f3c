from dataclasses import dataclass

import pytest

from polyspace.data.datasets import ucf101
from polyspace.errors import DatasetError
from tests.support.ucf101 import make_ucf101


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of four groups of two clips; not to be written to."""
    return make_ucf101(tmp_path_factory.mktemp("ucf101"))


def lists(root, **files):
    """Write lists alone, and empty files for everything that they name."""
    for name, text in files.items():
        file = root / "ucfTrainTestlist" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if name != "classInd":
            for line in filter(str.strip, text.splitlines()):
                video = root / line.split()[0]
                video.parent.mkdir(parents=True, exist_ok=True)
                video.touch()
    return root


def test_labels_count_from_zero_in_the_order_of_the_index(folder):
    found = ucf101.read(folder, "train")

    assert found.class_names == ("ClassA", "ClassB")
    assert {(clip.path.split("/")[0], clip.label) for clip in found.clips} == {
        ("ClassA", 0),
        ("ClassB", 1),
    }


def test_clips_of_one_source_video_are_one_group(folder):
    clip = next(c for c in ucf101.read(folder, "test").clips if c.label == 1)

    assert clip.id == "v_ClassB_g01_c01"
    assert clip.group == "ClassB_g01"
    assert clip.path == "ClassB/v_ClassB_g01_c01.avi"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_train_and_test_share_no_group_and_leave_no_clip_out(folder, number):
    train = ucf101.read(folder, "train", number=number).clips
    test = ucf101.read(folder, "test", number=number).clips

    assert {clip.group for clip in test} == {f"Class{c}_g{number:02d}" for c in "AB"}
    assert not {clip.group for clip in train} & {clip.group for clip in test}
    assert len(train) + len(test) == 16


def test_videos_may_lie_beside_the_lists_in_a_folder_of_their_own(tmp_path):
    lists(tmp_path, classInd="1 A\n", testlist01="A/v_A_g01_c01.avi\n")
    (tmp_path / "UCF-101").mkdir()
    (tmp_path / "A").rename(tmp_path / "UCF-101" / "A")

    [clip] = ucf101.read(tmp_path, "test").clips

    assert clip.path == "UCF-101/A/v_A_g01_c01.avi"


def test_a_listed_avi_may_be_an_mp4(tmp_path):
    lists(tmp_path, classInd="1 A\n", testlist01="A/v_A_g01_c01.avi\n")
    file = tmp_path / "A" / "v_A_g01_c01.avi"
    file.rename(file.with_suffix(".mp4"))

    [clip] = ucf101.read(tmp_path, "test").clips

    assert clip.path == "A/v_A_g01_c01.mp4"


def test_the_group_goes_by_the_folder_where_the_file_spells_the_class_otherwise(tmp_path):
    name = "HandstandPushups/v_HandStandPushups_g01_c02.avi"
    lists(tmp_path, classInd="1 HandstandPushups\n", trainlist01=f"{name} 1\n")

    [clip] = ucf101.read(tmp_path, "train").clips

    assert clip.group == "HandstandPushups_g01"


@dataclass(frozen=True)
class Wrong:
    id: str
    class_ind: str
    train: str
    reason: str


WRONG = [
    Wrong("label", "1 A\n2 B\n", "B/v_B_g01_c01.avi 1\n", "says class 1, but B is class 2"),
    Wrong("class", "1 A\n", "C/v_C_g01_c01.avi 1\n", "of a listed class"),
    Wrong("name", "1 A\n", "A/holiday.avi 1\n", r"expected <Class>/v_<Class>_gNN_cNN\.avi"),
    Wrong("numbers", "0 A\n1 B\n", "A/v_A_g01_c01.avi 1\n", "numbered 1, 2, 3"),
    Wrong("nothing", "1 A\n", "", "lists no clips"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_lists_that_contradict_themselves_are_refused(tmp_path, case):
    lists(tmp_path, classInd=case.class_ind, trainlist01=case.train)

    with pytest.raises(DatasetError, match=case.reason):
        ucf101.read(tmp_path, "train")


def test_a_missing_video_stays_listed_for_the_quarantine(tmp_path):
    lists(tmp_path, classInd="1 A\n", testlist01="A/v_A_g01_c01.avi\nA/v_A_g02_c01.avi\n")
    (tmp_path / "A" / "v_A_g02_c01.avi").unlink()

    assert ucf101.read(tmp_path, "test").clips[1].path == "A/v_A_g02_c01.avi"


def test_a_folder_without_one_of_the_videos_is_refused(tmp_path):
    lists(tmp_path, classInd="1 A\n", testlist01="A/v_A_g01_c01.avi\n")
    (tmp_path / "A" / "v_A_g01_c01.avi").unlink()

    with pytest.raises(DatasetError, match=r"none of the 1 listed videos .* 'A/v_A_g01_c01\.avi'"):
        ucf101.read(tmp_path, "test")


def test_a_list_may_not_lead_out_of_the_root(tmp_path):
    lists(tmp_path, classInd="1 A\n", testlist01="A/../../v_A_g01_c01.avi\n")

    with pytest.raises(DatasetError, match="leads out of its folder"):
        ucf101.read(tmp_path, "test")


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"classInd\.txt is missing: the layout of ucf101"):
        ucf101.read(tmp_path, "train")
