"""The command that people type, by several processes."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.train import train_fusion
from tests.support.together import torchrun


@pytest.fixture
def start(features, converters, tmp_path):
    """Start two processes that train a fusion."""

    def command(*more: str, device: str = "cpu"):
        text = f"polyspace.train.train_fusion --dataset toy --root {features} --student stu"
        text += f" --teachers flow look --converters {converters} --use_cached_features"
        text += f" --classes 3 --rank 4 --device {device} --save_dir {tmp_path / 'run'}"
        return torchrun(*text.split(), *more)

    return command


def wait_for(path: Path) -> None:
    patience = time.monotonic() + 120
    while not path.is_file() and time.monotonic() < patience:
        time.sleep(0.005)
    assert path.is_file()


def process_of(torchrun: int, rank: int) -> int:
    """Find one of the processes that torchrun started."""
    for child in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"no rank {rank}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="finds processes in /proc")
def test_told_to_stop_all_save_once_end_with_75_and_any_number_goes_on(
    start, features, converters, fusion_settings, tmp_path
):
    folder = tmp_path / "run"
    # Schedulers and Ctrl-C tell torchrun, which tells its processes.
    run = start("--epochs", "400", "--dropout", "0")
    wait_for(folder / "fusion_ep2.pt")
    run.send_signal(signal.SIGTERM)
    said, errors = run.communicate(timeout=120)
    assert errors.count("(SIGTERM): the same command goes on from there") == 1, said + errors
    (first,) = (folder / "unfinished").glob("*.pt")

    # Then one process alone is told.
    run = start("--epochs", "400", "--dropout", "0")
    epochs = len(list(folder.glob("fusion_ep*.pt")))
    wait_for(folder / f"fusion_ep{epochs + 1}.pt")
    os.kill(process_of(run.pid, 1), signal.SIGTERM)
    said, errors = run.communicate(timeout=120)
    assert said.count("going on after step") == 1, said + errors
    assert re.findall(r"exitcode {2}: (-?\d+)", errors) == ["75", "75"], errors
    newest = max((folder / "unfinished").glob("*.pt"))
    assert newest > first

    settings = {"epochs": 400, "dropout": 0.0}
    stage = train_fusion.run(fusion_settings(features, converters, folder, **settings))
    assert next(stage).done == checkpoint.load(newest, "run")["done"] + 1
    stage.close()


@pytest.mark.slow
def test_two_processes_write_once_what_one_does(
    start, features, converters, fusion_settings, finish, tmp_path
):
    # Not adamw, which divides by a gradient's size and so makes much of a rounding.
    settings = {"epochs": 2, "dropout": 0.0, "batch": 9, "optimizer": "sgd", "lr": 0.5}
    alone = tmp_path / "alone"
    finish(train_fusion.run(fusion_settings(features, converters, alone, **settings)))
    run = start(
        *["--epochs", "2", "--dropout", "0", "--batch", "9", "--optimizer", "sgd", "--lr", "0.5"]
    )
    said, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert [line.split(" ")[0] for line in said.splitlines()] == ["top-1", "wrote", "next:"]
    both = tmp_path / "run", alone
    written = [{path.name for path in folder.iterdir() if path.is_file()} for folder in both]
    assert written[0] == written[1]
    curves = [json.loads((folder / "curves.json").read_text())["epochs"] for folder in both]
    for ours, theirs in zip(*curves, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    ours, theirs = (checkpoint.load(folder / "fusion.pt", "fusion")["state"] for folder in both)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_each_process_trains_on_a_gpu_of_its_own(start, tmp_path):
    run = start("--epochs", "5", "--use-amp", device="cuda")
    said, errors = run.communicate(timeout=240)
    assert run.returncode == 0, said + errors
    assert checkpoint.load(tmp_path / "run" / "fusion.pt", "fusion")["scores"]["top1"] > 0.9
