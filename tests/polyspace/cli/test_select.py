from tests.support.selections import scored


def test_the_best_checkpoint_is_published(run, tmp_path):
    folder = scored(tmp_path / "run", [0.1, 0.7, 0.3])
    code, said, _ = run("select", "--checkpoint_dir", folder, "--output_dir", tmp_path / "out")
    assert code == 0
    assert "step 10 (checkpoint_10.pt) of 3 checkpoints" in said
    assert (tmp_path / "out" / "best.pt").is_file()


def test_a_folder_without_measurements_is_one_line(run, tmp_path):
    code, _, complaint = run("select", "--checkpoint_dir", tmp_path)
    assert code == 2
    assert "nothing is chosen without measurements" in complaint
    assert len(complaint.strip().splitlines()) == 1
