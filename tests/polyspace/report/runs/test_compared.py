import csv
import json

import pytest

from polyspace.errors import RecordError
from polyspace.report.runs import document
from polyspace.report.runs.compared import Run, compare
from tests.support.records import write_records


def read(folder, name, **changes):
    return Run.read(name, write_records(folder / name, **changes).folder)


def rewritten(run, change):
    """Change the lines of a run's outcomes, each a dictionary by column."""
    path = run.folder / "outcomes.csv"
    with path.open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    rows = [row for row in rows if row]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Run.read(run.name, run.folder)


def perfect(row):
    return {**row, "fusion/0": row["class"], "fusion/1": row["class"]}


def test_accuracies_are_those_of_the_outcomes(tmp_path):
    found = compare([read(tmp_path, "a"), read(tmp_path, "b")])
    assert [run.top1.value for run in found.runs] == [0.75, 0.75]
    assert found.runs[0].student.value == 0.5
    assert found.runs[0].difference is None
    assert (found.clips, found.groups, found.left_out) == (24, 8, 0)


def test_a_run_against_itself_is_no_difference_and_a_better_one_is_found(tmp_path):
    first, same, other = (read(tmp_path, name) for name in "abc")
    found = compare([first, same, rewritten(other, perfect)])
    equal, better = (run.difference for run in found.runs[1:])
    assert equal
    assert better
    assert (equal.difference.value, equal.p) == (0.0, 1.0)
    assert better.difference.value == pytest.approx(0.25)
    assert better.difference.low > 0
    assert better.p < better.adjusted_p < 0.05


def test_only_clips_that_all_runs_have_are_compared_and_the_others_are_counted(tmp_path):
    first, other = read(tmp_path, "a"), read(tmp_path, "b")
    fewer = rewritten(other, lambda row: row if row["id"] not in ("clip-0", "clip-1") else None)
    found = compare([first, fewer])
    assert (found.clips, found.left_out) == (22, 2)
    assert found.runs[0].top1.value == pytest.approx(17 / 22)


def test_runs_without_a_clip_in_common_are_refused(tmp_path):
    first, other = read(tmp_path, "a"), read(tmp_path, "b")
    moved = rewritten(other, lambda row: {**row, "id": f"other-{row['id']}"})
    with pytest.raises(RecordError, match="a and b have no test clip in common"):
        compare([first, moved])


def test_runs_of_other_classes_are_refused(tmp_path):
    first, other = read(tmp_path, "a"), read(tmp_path, "b", names=("up", "down"))
    with pytest.raises(RecordError, match="a is of motion with 3 classes, b of motion with 2"):
        compare([first, other])


def test_a_clip_whose_class_differs_is_named(tmp_path):
    first, other = read(tmp_path, "a"), read(tmp_path, "b")
    wrong = rewritten(other, lambda row: {**row, "class": "2"} if row["id"] == "clip-3" else row)
    with pytest.raises(RecordError, match=r"1 clips have another class in b than in a, .*'clip-3'"):
        compare([first, wrong])


def test_the_report_is_written_in_four_forms(tmp_path):
    first, other = read(tmp_path, "a"), rewritten(read(tmp_path, "b"), perfect)
    path = document.write([first, other], tmp_path / "out")
    assert "b has the highest top-1, 100.0" in path.read_text().replace("\N{NO-BREAK SPACE}", " ")
    found = json.loads(path.with_name("compare.json").read_text())
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    with path.with_name("compare.csv").open(newline="") as file:
        head, one, two = csv.reader(file)
    assert (head[0], one[0], two[0]) == ("run", "a", "b")
    assert float(two[5]) == pytest.approx(0.25)
    text = path.with_name("compare.md").read_text()
    assert "figures/compare.png" in text
    assert (path.parent / "figures" / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_other_stores_are_announced(tmp_path):
    first = read(tmp_path, "a")
    dataset = first.evaluation.dataset.model_dump() | {"fingerprint": "ef" * 32}
    other = read(tmp_path, "b", dataset=dataset)
    page = document.write([first, other], tmp_path / "out").read_text()
    assert "The runs read different test stores" in page


def test_a_folder_without_an_evaluation_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"nothing/evaluation\.json"):
        Run.read("nothing", tmp_path / "nothing")
