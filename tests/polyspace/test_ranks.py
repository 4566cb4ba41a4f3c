import json
import math

import numpy as np
import pytest
import torch

from polyspace import console
from polyspace.errors import ConfigError, PrecisionError, RankError, StoppedError
from polyspace.precision import device_named
from polyspace.ranks import ALONE, Ranks, joined, launched
from tests.support.stores import make_store
from tests.support.together import CASES, KINDS, begin, put_together, torchrun

CPU = torch.device("cpu")


@pytest.fixture
def third(monkeypatch):
    """The environment that torchrun gives to the third of four ranks, two a machine."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    for name, value in zip(names, "2402", strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")


def test_without_torchrun_one_process_is_alone_and_nothing_is_opened(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched() == ALONE == Ranks(rank=0, count=1, local=0, local_count=1)
    with joined(CPU) as ranks:
        assert ranks is ALONE
        assert not torch.distributed.is_initialized()


def test_torchrun_says_which_rank_this_is(third):
    assert launched() == Ranks(rank=2, count=4, local=0, local_count=2)


def test_one_process_finds_everything_by_itself(tmp_path):
    values = {"a": 0.1, "b": math.inf}
    clips = torch.randn(3, 2)
    rows = np.arange(3)
    assert ALONE.mean(values) == ALONE.as_first(values) == values
    assert ALONE.weight(7) == 1.0
    assert ALONE.whole(clips) is clips
    assert ALONE.share(rows).tolist() == ALONE.local_share(rows).tolist() == [0, 1, 2]
    assert [ALONE.any(flag) for flag in (True, False)] == [True, False]
    with ALONE.folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("clips", [5, 6, 13])
def test_every_clip_is_some_ranks(clips, count):
    parts = [Ranks(rank, count).share(np.arange(clips)).tolist() for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(clips))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_of_fewer_clips_than_ranks_every_rank_takes_all():
    assert [Ranks(rank, 4).share(np.arange(3)).tolist() for rank in range(4)] == [[0, 1, 2]] * 4


def test_batches_of_fewer_clips_than_ranks_are_refused():
    Ranks(0, 4).check(4)
    with pytest.raises(ConfigError, match="batches of 3 clips for 4 processes: raise --batch"):
        Ranks(0, 4).check(3)


def test_each_rank_computes_on_its_own_gpu(third, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device_named("auto") == device_named("cuda") == torch.device("cuda", 1)
    assert device_named("cpu") == CPU


def test_more_processes_than_gpus_are_refused(third, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(PrecisionError, match=r"2 processes, but torch sees 1 GPUs .*per_node=1"):
        device_named("auto")


def test_the_first_rank_speaks_and_others_name_their_errors(third, monkeypatch, capsys):
    def fail(error):
        def main(config):
            console.say("result")
            raise error

        with pytest.raises(SystemExit) as ended:
            console.run(Nothing, main, [])
        return ended.value.code, *capsys.readouterr()

    assert fail(StoppedError("stopped")) == (75, "", "")
    assert fail(KeyboardInterrupt) == (130, "", "")
    assert fail(RankError("another ended")) == (2, "", "error on rank 2: another ended\n")
    monkeypatch.setenv("RANK", "0")
    assert fail(StoppedError("stopped")) == (75, "result\n", "stopped\n")
    assert fail(RankError("another ended")) == (2, "result\n", "error: another ended\n")


class Nothing(console.Config):
    """No settings."""


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    make_store(folder, "train", clips=72, groups=18)
    return folder


@pytest.fixture(scope="module")
def together(features, tmp_path_factory):
    """What each of three ranks found."""
    folder = tmp_path_factory.mktemp("together")
    begin(folder)
    run = torchrun("tests.support.together", str(features), str(folder), processes=3)
    said, errors = run.communicate(timeout=240)
    assert run.returncode == 0, said + errors
    assert "Warning" not in errors
    return [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        ("plain", 1e-5),
        ("accumulated", 1e-5),
        ("converters", 1e-4),
        ("spoiled fp32", 1e-5),
        ("spoiled fp16", 5e-3),
        ("go on with more", 1e-5),
    ],
)
def test_ranks_learn_what_one_process_does(case, tolerance, features, together, tmp_path):
    begin(tmp_path)
    alone = CASES[case](ALONE, features, tmp_path)
    first, *others = (found[case] for found in together)
    # The same weights to the last bit; by repr, NaN is NaN.
    assert all(repr(other) == repr(first) for other in others)
    assert len(first["steps"]) == len(alone["steps"])
    for ours, theirs in zip(first["steps"], alone["steps"], strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=1e-9, nan_ok=True)
    for name, value in alone["weights"].items():
        torch.testing.assert_close(
            torch.tensor(first["weights"][name]),
            torch.tensor(value),
            rtol=10 * tolerance,
            atol=tolerance,
        )


@pytest.mark.slow
def test_gradients_meet_once_a_step(together):
    first, second, third = (set(found["gather"]) for found in together)
    assert len(first) == len(second) == len(third) == 4
    assert not first & second | second & third | third & first


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["fp32", "fp16"])
def test_what_is_not_finite_on_one_rank_is_skipped_on_all(compute, together):
    for found in together:
        steps = found[f"spoiled {compute}"]["steps"]
        undefined = [math.isnan(step.get("loss", 0.0)) for step in steps]
        assert sum(undefined) == 1
        assert steps[undefined.index(True)]["skipped"]
        assert math.isfinite(steps[-1]["fit"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_converter_is_the_same_on_all_ranks(kind, together):
    first, *others = (found["every kind"][kind] for found in together)
    assert all(other == first for other in others)
    assert math.isfinite(first["steps"][-1]["loss"])


@pytest.mark.slow
def test_what_needs_whole_batches_is_refused(together):
    for found in together:
        assert [said.split(" ")[0] for said in found["refusals"]] == ["dsconv", "batches"]


@pytest.mark.slow
def test_a_run_that_is_taken_up_again_has_the_same_bits_on_all_ranks(together):
    for found in together:
        assert all(found["go on"]["same"])


@pytest.mark.slow
def test_each_rank_draws_for_itself(together):
    first, second, third = (set(found["go on"]["drawn"]) for found in together)
    assert len(first) == len(second) == len(third) == 18
    assert not first & second | second & third | third & first


@pytest.mark.slow
def test_one_that_is_told_to_stop_stops_all_and_one_state_is_saved(together):
    first, second, third = (found["stop"] for found in together)
    for other in (first, second):
        assert "after step 3 of 18 (another process was told to): the same" in other["said"]
    assert "after step 3 of 18 (SIGTERM): the same" in third["said"]
    for each in (first, second, third):
        assert each["ending"]
        assert each["states"] == ["run_000000003.pt"]


@pytest.mark.slow
def test_ranks_of_one_machine_translate_for_each_other(together):
    found = [each["folder"] for each in together]
    assert all(each["same"] for each in found)
    assert len({each["folder"] for each in found}) == 1
    assert [each["asked"] for each in found] == [50, 50, 49]


@pytest.mark.slow
def test_clips_of_all_ranks_are_put_together_and_the_gradient_is_that_of_the_whole(together):
    alone = put_together(ALONE)
    parts = [found["whole"] for found in together]
    assert all(part["whole"] == alone["whole"] for part in parts)
    gradient = [value for part in parts for value in part["gradient"]]
    assert gradient == pytest.approx(alone["gradient"])


@pytest.mark.slow
def test_who_is_left_says_so_in_one_line(together):
    for left in together[:-1]:
        assert left["lost"].startswith("another process ended or doesn't answer: mend")
