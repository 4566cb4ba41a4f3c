import re

import pytest

from polyspace.errors import RecordError
from polyspace.export.selection import dossier
from polyspace.export.selection.options import PolicyOptions
from polyspace.report import selection as page
from polyspace.report import words
from polyspace.report.records.selection import read_selection
from tests.support.selections import scored


@pytest.fixture
def readme(tmp_path):
    """Write the README of a selection by top1 scores."""

    def readme(scores, columns=None, **options):
        folder = scored(tmp_path / "run", scores, **(columns or {}))
        chosen = dossier.choose(
            folder / "validation_metrics.csv", folder, PolicyOptions.model_validate(options)
        )
        return page.readme(dossier.record(chosen, "best.pt"), loading="load(1)")

    return readme


def cells(text, first):
    """Give the cells of the row that begins with a cell."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \|.*$", text, re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_it_says_which_one_why_and_how_to_load_it(readme):
    text = readme([0.1, 0.75, 0.5], {"ece": [0.1, 0.2, 0.3]}, require=("ece<0.25",))
    assert "step 10 (checkpoint\\_10.pt) of 3 checkpoints, score 0.75" in text
    assert "    load(1)" in text
    assert cells(text, "top-1") == ["top-1", "higher", "1", "0.75", "0.75", "+0.65"]
    assert cells(text, "`ece < 0.25`") == ["`ece < 0.25`", "constraint", "PASS", "0.2"]
    assert "it was chosen by these numbers" in text


def test_every_checkpoint_has_a_row_and_the_winners_is_bold(readme):
    text = readme([0.1, 0.75], {"ece": [0.5, 0.2]}, require=("ece<0.25",))
    assert cells(text, "0") == ["0", words.NONE, "FAIL", "0.1", "0.1", "0.5", f"{words.MINUS}1"]
    assert cells(text, "**10**")[2] == "**PASS**"


def test_a_missed_target_is_said_in_the_first_line(readme):
    text = readme([0.1, 0.75], target=("top1>=0.8",))
    assert "missed: top1 \\>= 0.8" in text.splitlines()[2]
    assert cells(text, "`top1 >= 0.8`")[2] == "MISSED"


def test_what_would_win_with_other_weights_is_told(readme):
    options = {"maximise": ("top1",), "minimise": ("ece",)}
    text = readme([0.9, 0.6], {"ece": [0.5, 0.25]}, **options)
    assert "step 10 with top1 times 0.5" in text
    text = readme([0.9, 0.6], {"ece": [0.1, 0.25]}, **options)
    assert "The same checkpoint wins with any one weight halved" in text
    assert "its weight decides nothing" in readme([0.9, 0.6])


def test_a_folder_that_is_no_selection_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"selection_metadata\.json"):
        read_selection(tmp_path)
    (tmp_path / "selection_metadata.json").write_text('{"version": 1}')
    with pytest.raises(RecordError, match="export_info"):
        read_selection(tmp_path)
