import json
from dataclasses import replace

import pytest

from polyspace.cli import estimate
from tests.support.ucf101 import make_ucf101

WORDS = ("--dataset", "ucf101", "--frames", 4, "--student", "transnetv2", "--sample", 1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_ucf101(tmp_path_factory.mktemp("ucf101"))


def test_clips_sizes_time_memory_and_disk_are_said_and_nothing_is_written(run, root, tmp_path):
    out = tmp_path / "features"
    words = (*WORDS, "--root", root, "--out", out, "--teachers", "motion_vectors")
    code, said, _ = run("estimate", *words, "--spatial", "1")
    assert code == 0
    assert "train: 12 clips; test: 4 clips" in said
    assert "spatial 1*" in said
    assert "4 x 6 x 12 x 192" in said
    assert [line.split(":")[0] for line in said.splitlines()[-3:]] == ["time", "memory", "disk"]
    assert not out.exists()


def test_random_tiny_backbones_are_measured_as_others_are(run, root, tmp_path):
    words = (*WORDS, "--root", root, "--out", tmp_path, "--teachers", "videomae")
    code, said, _ = run("estimate", *words, "--weights", "videomae=random-tiny", "--json")
    facts = json.loads(said)
    assert code == 0
    assert facts["fits"]
    assert facts["shapes"]["videomae"] == [4, 4, 4, 48]
    assert facts["pace"]["sampled"] == 1
    assert (
        facts["splits"][0]["sizes"]["full"]["videomae"]
        > facts["splits"][0]["sizes"]["2"]["videomae"]
    )


def test_what_does_not_fit_exits_with_1(run, root, tmp_path, monkeypatch):
    whole = estimate.forecast

    def on_a_small_disk(*args, **kwargs):
        found = yield from whole(*args, **kwargs)
        return replace(found, free=1000)

    monkeypatch.setattr(estimate, "forecast", on_a_small_disk)
    words = (*WORDS, "--root", root, "--out", tmp_path, "--teachers", "motion_vectors")
    code, said, _ = run("estimate", *words)
    assert code == 1
    assert said.splitlines()[-1].startswith("too large for the disk")


def test_a_sample_of_nothing_is_one_line_and_2(run, root):
    code, out, err = run("estimate", "--dataset", "ucf101", "--root", root, "--sample", 0)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0123, "12.3 ms"), (61.0, "61.0 s"), (600.0, "10 min"), (36000.0, "10.0 h")],
)
def test_times_are_said_as_people_say_them(seconds, words):
    assert estimate.duration(seconds) == words
