import json
import sys

import pytest

from polyspace.cli import command
from polyspace.data.datasets.registry import NAMES
from tests.support.layouts import make_manifest


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["polyspace", "data", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            command.main()
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run


@pytest.fixture
def root(tmp_path):
    return make_manifest(tmp_path / "videos")


def spoil(root):
    """Take one file away, and give another one to both splits."""
    (root / "train/dog-1.mp4").unlink()
    (root / "test/dog-0.mp4").write_bytes((root / "train/dog-0.mp4").read_bytes())


def test_a_sound_data_set_is_one_line_and_0(run, root):
    code, out, _ = run("check", "--dataset", "manifest", "--root", root)

    assert code == 0
    assert out.count("\n") == 1
    assert out.endswith("nothing wrong\n")


def test_what_is_wrong_is_one_line_each_and_1(run, root):
    spoil(root)
    code, out, _ = run("check", "--dataset", "manifest", "--root", root)

    assert code == 1
    assert out.splitlines()[:-1] == [
        "wrong: listed files that are missing or can't be read: 1 (train/dog-1.mp4)",
        "wrong: identical files in two splits: 1 (test/dog-0.mp4 = train/dog-0.mp4)",
    ]
    assert out.endswith("2 wrong\n")


def test_it_is_one_json_object_when_asked(run, root):
    spoil(root)
    code, out, _ = run("check", "--dataset", "manifest", "--root", root, "--json")
    facts = json.loads(out)

    assert code == 1
    assert facts["wrong"] is True
    assert facts["clips"] == {"train": 4, "validation": 4, "test": 4}
    assert [finding["kind"] for finding in facts["findings"]] == [
        "missing",
        "identical across splits",
    ]
    assert facts["findings"][0]["examples"] == ["train/dog-1.mp4"]


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [("manifst", "did you mean 'manifest'?"), ("diving48", "Diving48_vocab.json is missing")],
)
def test_a_data_set_that_is_none_is_one_line_and_2(run, root, dataset, reason):
    code, out, err = run("check", "--dataset", dataset, "--root", root)

    assert (code, out) == (2, "")
    assert reason in err.splitlines()[-1]


def test_data_sets_are_listed_one_a_line(run):
    assert run("list") == (0, "\n".join(NAMES) + "\n", "")
