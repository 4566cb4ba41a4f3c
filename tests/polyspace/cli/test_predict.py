import json
import shutil
from pathlib import Path

import pytest
import torch

import polyspace
from tests.support.bundles import write_bundle
from tests.support.filmed import distil, film


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Videos, and a run's folder with a bundle that knows their two classes."""
    folder = tmp_path_factory.mktemp("made")
    seen = film(folder, student="transnetv2", teachers=("motion_vectors",))
    model = distil(seen.clips(), ("motion_vectors",))
    write_bundle(folder / "bundles/fp16", model, seen.clips())
    return seen


@pytest.fixture
def ask(run, made, tmp_path):
    """Predict for videos in a folder of this test's own."""
    shutil.copytree(made.root / "ClassA", tmp_path / "videos")

    def ask(*words):
        return run("predict", *words, "--bundle", made.features.parent, "--device", "cpu")

    return ask


@pytest.fixture
def videos(tmp_path):
    return tmp_path / "videos"


def lines(complaint):
    """Give what was said on stderr but for the progress."""
    return [line for line in complaint.splitlines() if line and "predicting" not in line]


def test_every_video_of_a_folder_gets_its_likeliest_classes(ask, videos):
    code, said, complaint = ask(videos, "--top", "1")
    files = sorted(videos.iterdir())
    assert (code, lines(complaint)) == (0, [])
    head, *rows = said.strip().splitlines()
    assert head.split() == ["video", "class", "probability"]
    assert [row.split()[0] for row in rows] == list(map(str, files))


def test_the_chances_are_those_of_the_bundle(ask, videos, made):
    file = sorted(videos.iterdir())[0]
    code, said, _ = ask(file, "--json")
    answer = json.loads(said)
    assert code == 0
    model = polyspace.load(made.features.parent, device="cpu")
    [chances] = model.videos([file], processes=0)
    assert isinstance(chances, torch.Tensor)
    expected = [guess._asdict() for guess in model.likeliest(chances)]
    assert answer["videos"] == [{"video": str(file), "top": expected}]
    assert answer["bundle"] == str(model.folder)
    assert (answer["format"], answer["compute"]) == ("fp16", "fp32")


def test_a_bad_video_is_one_line_and_the_others_are_answered(ask, videos):
    bad = videos / "bad.mp4"
    bad.write_text("no video " * 99)
    code, said, complaint = ask(videos)
    assert code == 0
    assert lines(complaint) == [
        f"{bad}: is damaged at its head, or of no format that is accepted (mov, mp4, m4a, 3gp, "
        "3g2, mj2, matroska, webm, avi, mpegts)"
    ]
    assert str(bad) not in said
    code, said, _ = ask(videos, "--json")
    reasons = {Path(v["video"]).name: v.get("why") for v in json.loads(said)["videos"]}
    assert {name for name, why in reasons.items() if why} == {"bad.mp4"}
    assert reasons["bad.mp4"] == "format"


def test_one_video_that_cannot_be_read_is_one_line_and_exit_2(ask, videos):
    code, said, complaint = ask(videos / "gone.mp4")
    assert (code, said) == (2, "")
    assert lines(complaint) == [
        f"error: {videos / 'gone.mp4'}: can't be read: No such file or directory"
    ]


def test_nothing_that_can_be_read_is_exit_2(ask, videos):
    code, said, complaint = ask(videos / "a.mp4", videos / "b.mp4", "--json")
    assert code == 2
    assert [entry["why"] for entry in json.loads(said)["videos"]] == ["missing", "missing"]
    assert lines(complaint)[-1] == "error: none of 2 videos could be read"
    assert len(lines(complaint)) == 3


def test_a_folder_without_videos_is_said(ask, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, complaint = ask(tmp_path / "empty")
    assert code == 2
    assert "expected files in .avi, .mkv" in complaint


def test_a_folder_without_a_bundle_is_said(run, videos, tmp_path):
    (videos.parent / "videos").mkdir()
    (videos / "a.mp4").touch()
    code, _, complaint = run("predict", videos, "--bundle", tmp_path)
    assert code == 2
    assert "holds no bundle" in complaint
    assert len(complaint.strip().splitlines()) == 1
