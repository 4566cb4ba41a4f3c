from tests.support.records import write_records


def test_a_report_is_written_beside_the_evaluation(run, tmp_path):
    folder = write_records(tmp_path / "evaluation").folder
    code, said, _ = run("report", folder)
    assert (code, said.strip()) == (0, f"wrote {folder / 'report.html'}")
    assert {path.suffix for path in folder.glob("report.*")} == {".html", ".md", ".csv"}


def test_two_evaluations_are_compared(run, tmp_path):
    folders = [write_records(tmp_path / name).folder for name in "ab"]
    code, said, _ = run("compare", *folders, "--out", tmp_path / "out")
    assert (code, said.strip()) == (0, f"wrote {tmp_path / 'out' / 'compare.html'}")


def test_the_same_run_twice_is_refused(run, tmp_path):
    folder = write_records(tmp_path / "a").folder
    code, _, complaint = run("compare", folder, folder, "--out", tmp_path / "out")
    assert code == 2
    assert "the same run twice" in complaint


def test_a_folder_that_is_no_evaluation_is_one_line(run, tmp_path):
    code, _, complaint = run("report", tmp_path)
    assert code == 2
    assert "evaluation.json" in complaint
    assert len(complaint.strip().splitlines()) == 1
