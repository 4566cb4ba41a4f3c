import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

import polyspace
from polyspace.errors import ConfigError, DatasetError
from polyspace.export.contents import SUMS
from polyspace.files import sha256_file
from polyspace.inference import scoring, table
from polyspace.inference.predictor import Predictor
from polyspace.inference.scoring import ScoreConfig
from tests.support.bundles import write_bundle
from tests.support.stages import finish, follow


@pytest.fixture
def videos(filmed, tmp_path):
    """Eight videos of two classes, in a folder of this test's own."""
    root = tmp_path / "videos"
    for name in ("ClassA", "ClassB"):
        shutil.copytree(filmed.root / name, root / name)
    for number, file in enumerate(sorted(root.rglob("*.avi"))):
        if number % 2:
            file.unlink()
    return root


@pytest.fixture
def config(videos, bundle, tmp_path):
    return ScoreConfig(
        videos=videos, bundle=bundle, out=tmp_path / "p.parquet", device="cpu", workers=1, part=3
    )


@pytest.fixture
def watched(monkeypatch):
    """Files that were looked at."""
    names = Counter()
    watch = Predictor.watch

    def counted(self, videos, **settings):
        names.update(video.path for video in videos)
        return watch(self, videos, **settings)

    monkeypatch.setattr(Predictor, "watch", counted)
    return names


def rows(config):
    return {row["path"]: row for row in table.rows(config.out)}


def test_every_video_is_a_row_with_the_chances_of_the_bundle(config, videos, bundle):
    assert finish(scoring.run(config)) == config.out
    files = sorted(videos.rglob("*.avi"))
    found = rows(config)
    assert list(found) == [file.relative_to(videos).as_posix() for file in files]
    model = polyspace.load(bundle, device="cpu")
    for file, row, chances in zip(files, found.values(), model.videos(files), strict=True):
        assert isinstance(chances, torch.Tensor)
        torch.testing.assert_close(torch.tensor(row["probabilities"]), chances)
        best = model.likeliest(torch.tensor(row["probabilities"]), 1)[0]
        assert (row["top1"], row["top1_probability"]) == best
        assert (row["status"], row["reason"], row["error"]) == ("scored", None, None)
        assert (row["size_bytes"], row["modified_ns"]) == (
            file.stat().st_size,
            file.stat().st_mtime_ns,
        )
        assert row["bundle"] == sha256_file(bundle / SUMS)
        assert row["seconds"] > 0


def test_the_table_says_what_its_columns_mean(config, bundle):
    finish(scoring.run(config))
    facts = table.facts(config.out)
    assert facts["class_names"] == ["ClassA", "ClassB"]
    assert facts["bundle_folder"] == str(bundle)
    assert (facts["format"], facts["student"], facts["compute"]) == ("fp32", "transnetv2", "fp32")


def test_a_video_that_cannot_be_read_is_a_row_with_its_reason(config, videos):
    (videos / "bad.mp4").write_text("no video " * 99)
    (videos / "link.mp4").symlink_to(videos / "nowhere.mp4")
    finish(scoring.run(config))
    found = rows(config)
    assert {n: r["reason"] for n, r in found.items() if r["status"] == "refused"} == {
        "bad.mp4": "format",
        "link.mp4": "missing",
    }
    assert found["bad.mp4"]["error"].startswith("is damaged at its head")
    assert found["bad.mp4"]["probabilities"] is found["bad.mp4"]["top1"] is None
    said = scoring.summary(config.out)
    assert (said.videos, said.scored, said.refused) == (10, 8, {"format": 1, "missing": 1})
    assert sum(said.classes.values()) == 8
    assert "8 of 10 videos scored, 2 could not be read (1 format, 1 missing)" in str(said)


def test_a_name_that_is_no_text_is_a_row_too(config, videos):
    shutil.copy(next(videos.rglob("*.avi")), os.fsencode(videos) + b"/odd\xff.avi")
    finish(scoring.run(config))
    assert rows(config)["odd\\udcff.avi"]["reason"] == "path"
    assert finish(scoring.run(config)) == config.out


def test_what_was_scored_is_not_looked_at_again(config, watched):
    finish(scoring.run(config))
    assert set(watched.values()) == {1}
    before = config.out.read_bytes()
    said, _ = follow(scoring.run(config))
    assert set(watched.values()) == {1}
    assert [str(each) for each in said] == ["8 scored before"]
    assert config.out.read_bytes() == before


def test_only_what_is_new_or_changed_is_looked_at(config, videos, watched):
    finish(scoring.run(config))
    old = rows(config)
    first, second, third, *_ = sorted(videos.rglob("*.avi"))
    shutil.copy(first, videos / "new.avi")
    os.utime(second, ns=(0, 12_345))
    third.unlink()
    finish(scoring.run(config))
    names = [file.relative_to(videos).as_posix() for file in (first, second, third)]
    assert {name for name, times in watched.items() if times == 2} == {names[1]}
    assert watched["new.avi"] == 1
    now = rows(config)
    assert now.keys() == (old.keys() - {names[2]}) | {"new.avi"}
    assert now[names[0]] == old[names[0]]
    assert now[names[1]]["modified_ns"] == 12_345


def test_another_bundle_looks_at_everything_again(config, model, filmed, tmp_path, watched):
    finish(scoring.run(config))
    other = write_bundle(tmp_path / "fp16", model, filmed.clips(), "fp16")
    changed = config.model_copy(update={"bundle": other})
    finish(scoring.run(changed))
    assert set(watched.values()) == {2}
    assert {row["bundle"] for row in rows(config).values()} == {sha256_file(other / SUMS)}


def test_a_run_that_is_killed_loses_the_part_that_it_was_busy_with(config, videos, watched):
    for number in range(24):
        shutil.copy(next(videos.rglob("*.avi")), videos / f"more{number:02d}.avi")
    options = ["--videos", videos, "--bundle", config.bundle, "--out", config.out]
    command = [sys.executable, "-m", "polyspace.inference.scoring", *map(str, options)]
    running = subprocess.Popen(
        [*command, "--part", "2", "--workers", "0", "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parts = Path(f"{config.out}.parts")
    while running.poll() is None and not list(parts.glob("*.parquet")):
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = [row for part in sorted(parts.glob("*.parquet")) for row in table.rows(part)]
    assert running.returncode == -signal.SIGKILL
    assert 0 < len(kept) < 32
    assert not config.out.exists()
    finish(scoring.run(config))
    assert len(watched) == 32 - len(kept)
    now = rows(config)
    assert len(now) == 32
    assert all(now[row["path"]] == row for row in kept)


@pytest.mark.parametrize("name", ["empty", "nowhere", "file.mp4"])
def test_a_folder_without_videos_is_refused_and_nothing_written(config, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.mp4").touch()
    asked = config.model_copy(update={"videos": tmp_path / name})
    with pytest.raises(DatasetError, match=r"holds no video|is no folder") as refused:
        finish(scoring.run(asked))
    assert "\n" not in str(refused.value)
    assert not config.out.exists()


def test_without_pyarrow_it_says_what_to_install(config, monkeypatch):
    monkeypatch.delitem(sys.modules, "polyspace.inference.table")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'polyspace\[parquet\]'"):
        finish(scoring.run(config))


def test_a_bundle_says_what_it_was_trained_on(bundle):
    assert scoring.dataset(bundle) == "unknown"
