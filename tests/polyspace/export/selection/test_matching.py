import hashlib

import pytest

from polyspace.errors import CheckpointError, SelectionError
from polyspace.export.selection import matching, table


@pytest.fixture
def match(tmp_path):
    """Match a table's text with files of the given names; each holds its own name."""

    def match(text, *names):
        for name in names:
            (tmp_path / name).write_text(name)
        path = tmp_path / "metrics.csv"
        path.write_text(text)
        return matching.match(table.read(path), tmp_path)

    return match


def names(found):
    return [one.path.name for one in found]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint_500.pt",
        "checkpoint_500.pth",
        "checkpoint_step_500.pt",
        "checkpoint-00500.pt",
        "step_500.pt",
        "step500.pt",
        "epoch_500.pt",
        "checkpoint_epoch_500.pt",
        "fusion_ep500.pt",
    ],
)
def test_a_step_is_matched_by_the_exact_number_in_a_name(match, name):
    others = ["checkpoint_1500.pt", "checkpoint_5000.pt", "checkpoint_50.pt", "best.pt", "500.pt"]
    assert names(match("step,top1\n500,1\n", name, *others)) == [name]


@pytest.mark.parametrize("step", [500, 150, 1, 0, 15000])
def test_a_number_within_a_number_is_no_match(match, step):
    with pytest.raises(SelectionError, match=f"no checkpoint of step {step} "):
        match(f"step,top1\n{step},1\n", "checkpoint_1500.pt")


def test_a_number_called_epoch_is_an_epoch_where_the_table_has_epochs(match):
    text = "step,epoch,top1\n90,1,1\n180,2,1\n"
    assert names(match(text, "fusion_ep1.pt", "fusion_ep2.pt")) == [
        "fusion_ep1.pt",
        "fusion_ep2.pt",
    ]
    with pytest.raises(SelectionError, match="no checkpoint of step 7"):
        match("step,epoch,top1\n7,3,1\n", "epoch_7.pt")


def test_a_file_is_called_by_its_name(match):
    text = "step,checkpoint,top1\n500,best.pt,1\n"
    assert names(match(text, "best.pt", "checkpoint_500.pt")) == ["best.pt"]
    with pytest.raises(SelectionError, match="no checkpoint of step 500"):
        match("step,checkpoint,top1\n500,../best.pt,1\n")


def test_of_two_that_may_be_meant_neither_is_taken(match):
    with pytest.raises(SelectionError, match=r"may be checkpoint_500\.pt and step_500\.pt"):
        match("step,top1\n500,1\n", "checkpoint_500.pt", "step_500.pt")


def test_a_hash_says_which_of_two_is_meant_and_finds_files_of_any_name(match):
    text = f"step,sha256,top1\n500,{sha256('step_500.pt')},1\n"
    assert names(match(text, "checkpoint_500.pt", "step_500.pt")) == ["step_500.pt"]
    text = f"step,sha256,top1\n7,{sha256('best.pt')},1\n"
    assert names(match(text, "best.pt")) == ["best.pt"]


@pytest.mark.parametrize("column", ["", "checkpoint_500.pt"])
def test_a_file_of_other_bytes_than_were_measured_is_refused(match, column):
    text = f"step,checkpoint,sha256,top1\n500,{column},{sha256('another')},1\n"
    with pytest.raises(CheckpointError, match="is not the checkpoint that was validated"):
        match(text, "checkpoint_500.pt")


def test_every_row_needs_its_checkpoint(match):
    text = "step,top1\n1,1\n2,1\n3,1\n"
    with pytest.raises(SelectionError, match=r"no checkpoint of step 1, 3 \(2 of 3 rows"):
        match(text, "checkpoint_2.pt")


def test_one_file_is_not_two_rows(match):
    text = "step,epoch,top1\n1,7,1\n7,,1\n"
    with pytest.raises(SelectionError, match="both step 1 and step 7"):
        match(text, "epoch_7.pt")


def test_checkpoints_without_a_row_are_told(match, tmp_path):
    found = match("step,top1\n2,1\n", "checkpoint_1.pt", "checkpoint_2.pt", "best.pt", "notes.txt")
    assert matching.unmeasured(found, tmp_path) == ("checkpoint_1.pt",)


def test_a_folder_that_is_none_is_refused(match, tmp_path):
    match("step,top1\n2,1\n", "checkpoint_2.pt")
    with pytest.raises(SelectionError, match="is no folder"):
        matching.match(table.read(tmp_path / "metrics.csv"), tmp_path / "none")
