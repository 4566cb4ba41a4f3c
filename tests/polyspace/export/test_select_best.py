import csv
import hashlib
import json
import subprocess

import pytest
import torch

from polyspace import console
from polyspace.export import select_best
from polyspace.export.select_best import SelectConfig
from polyspace.export.selection import publishing
from polyspace.report.records.selection import read_selection
from tests.support.selections import HEADER, WORKED, scored, write_checkpoints


@pytest.fixture
def run(tmp_path, capsys):
    """Type the command; give its exit code and what it said; the folders are given."""

    def run(*words):
        argv = ["--checkpoint_dir", tmp_path / "run", "--output_dir", tmp_path / "out", *words]
        with pytest.raises(SystemExit) as stop:
            console.run(SelectConfig, select_best.main, list(map(str, argv)))
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run


@pytest.fixture
def refused(run, tmp_path):
    """Type the command; it has to be refused in one line, with nothing published."""

    def refused(*words):
        before = sorted(tmp_path.iterdir())
        code, said, complaint = run(*words)
        assert (code, said) == (2, "")
        assert len(complaint.splitlines()) == 1
        assert sorted(tmp_path.iterdir()) == before
        return complaint

    return refused


def test_what_training_leaves_is_chosen_from_without_any_option(run, tmp_path):
    folder = scored(tmp_path / "run", [0.1, 0.7, 0.7, 0.3])
    code, said, _ = run()
    assert code == 0
    assert said.startswith("step 10 (checkpoint_10.pt) of 4 checkpoints, score 0.7: ")
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "best.pt",
        "best.pt.sha256",
        "selection_metadata.json",
        "validation_metrics.csv",
    ]
    assert (out / "best.pt").read_bytes() == (folder / "checkpoint_10.pt").read_bytes()
    subprocess.run(["sha256sum", "--check", "--quiet", "best.pt.sha256"], cwd=out, check=True)
    assert torch.load(out / "best.pt", weights_only=True)["model_state_dict"]


def test_the_record_holds_what_users_know_and_what_else_there_is(run, tmp_path):
    run_folder = write_checkpoints(tmp_path / "run", ["checkpoint_500.pt", "checkpoint_900.pt"])
    (run_folder / "validation_metrics.csv").write_text(f"{HEADER}\n{WORKED}\n")
    run()
    written = json.loads((tmp_path / "out" / "selection_metadata.json").read_text())
    assert {"timestamp", "selection_criteria", "weights"} <= written["export_info"].keys()
    best = written["best_checkpoint"]
    assert (best["step"], best["epoch"]) == (500, 1)
    assert len(best["metrics"]) == 9
    assert best["improvements"].keys() == {"ndvi", "evi", "sam"}
    assert best["score"]["composite_score"] == pytest.approx(0.07)
    assert best["score"]["passes_hard_constraints"] is True
    assert best["sha256"] == hashlib.sha256((tmp_path / "out/best.pt").read_bytes()).hexdigest()
    assert written["all_checkpoints"] == [best]
    assert written["unmeasured"] == ["checkpoint_900.pt"]
    assert written["policy"]["name"] == "spectral"
    assert [target["met"] for target in best["targets"]] == [True, True, True]
    assert len(written["sensitivity"]) == 8
    assert read_selection(tmp_path / "out").best_checkpoint.step == 500


def test_pictures_are_drawn_where_they_are_asked_for(run, tmp_path):
    scored(tmp_path / "run", [0.1, 0.7, 0.4])
    assert run("--plot")[0] == 0
    drawn = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert drawn == {"checkpoint_comparison.png", "pareto.png", "weight_sensitivity.png"}
    text = (tmp_path / "out" / "README.md").read_text()
    assert all(f"(./{name})" in text for name in drawn)
    for name in drawn:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_options_say_what_is_wanted(run, tmp_path):
    scored(tmp_path / "run", [0.9, 0.7, 0.4], ece=[0.5, 0.1, 0.2])
    words = ["--maximise", "top1=1", "--minimise", "ece=2", "--require", "ece<=0.3"]
    assert "step 10 " in run(*words, "--target", "top1>=0.8")[1]
    read = read_selection(tmp_path / "out").best_checkpoint
    assert [target.met for target in read.targets] == [False]
    assert "missed: top1 >= 0.8" in run(*words, "--target", "top1>=0.8")[1]


def test_the_nearest_is_taken_if_asked_for_and_marked(run, refused, tmp_path):
    scored(tmp_path / "run", [0.9, 0.7, 0.4], ece=[0.5, 0.3, 0.2])
    assert "none of 3 checkpoints fulfils ece<=0.1" in refused("--require", "ece<=0.1")
    code, said, _ = run("--require", "ece<=0.1", "--on_none_pass", "least_violation")
    assert code == 0
    assert "does NOT fulfil the constraints" in said
    found = read_selection(tmp_path / "out").best_checkpoint
    assert (found.step, found.passes) == (20, False)
    assert found.total_violation == pytest.approx(1.0)
    assert "FAIL" in (tmp_path / "out" / "README.md").read_text()


def test_a_required_target_that_is_missed_publishes_nothing(refused, tmp_path):
    scored(tmp_path / "run", [0.5])
    words = ["--target", "top1>=0.6", "--on_missed_target", "require"]
    assert "misses top1>=0.6, which is required" in refused(*words)


def test_without_a_table_nothing_is_made_up(refused, tmp_path):
    write_checkpoints(tmp_path / "run", ["checkpoint_0.pt"])
    assert "no table of metrics" in refused()


def test_a_missing_checkpoint_publishes_nothing(refused, tmp_path):
    scored(tmp_path / "run", [0.5, 0.6])
    (tmp_path / "run" / "checkpoint_10.pt").unlink()
    assert "no checkpoint of step 10" in refused()


def test_a_checkpoint_with_code_in_it_is_not_published(refused, tmp_path):
    scored(tmp_path / "run", [0.5])
    torch.save({"model_state_dict": {}, "x": pytest.raises}, tmp_path / "run" / "checkpoint_0.pt")
    assert "it would call" in refused()


def test_a_checkpoint_of_other_bytes_than_were_measured_is_not_published(refused, tmp_path):
    folder = scored(tmp_path / "run", [0.5])
    path = folder / "validation_metrics.csv"
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    path.write_text(f"{','.join(row)},sha256\n{','.join(row.values())},{'0' * 64}\n")
    assert "is not the checkpoint that was validated" in refused()


def test_a_folder_of_something_else_is_not_written_into(refused, tmp_path):
    scored(tmp_path / "run", [0.5])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert "was made by something else" in refused()
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_earlier_selection_is_replaced_as_a_whole(run, tmp_path):
    scored(tmp_path / "run", [0.5, 0.6])
    run("--plot")
    scored(tmp_path / "run", [0.5, 0.4])
    run()
    assert not list((tmp_path / "out").glob("*.png"))
    assert read_selection(tmp_path / "out").best_checkpoint.step == 0


@pytest.mark.parametrize("name", ["copy_checkpoint", "write"])
def test_a_selection_that_is_broken_off_leaves_the_earlier_one(run, tmp_path, monkeypatch, name):
    scored(tmp_path / "run", [0.5, 0.6])
    run()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    done = getattr(publishing, name)

    def broken_off(*arguments, **settings):
        done(*arguments, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, name, broken_off)
    scored(tmp_path / "run", [0.7, 0.6])
    assert run()[0] == 130
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]
