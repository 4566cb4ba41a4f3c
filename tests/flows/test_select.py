import pytest
import torch

from flows.select import main, select
from polyspace import console
from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.errors import ConfigError, RecordError, SelectionError
from polyspace.report.records.selection import read_selection
from tasks import tracking
from tasks.selections import SelectRunsConfig
from tasks.tracking import ALONE
from tests.support.selections import write_checkpoints

pytestmark = pytest.mark.flow


class Settings(Config):
    """A training."""


@pytest.fixture
def train(client, tmp_path):
    """Track a training that kept a fusion; its last epoch is worse than the one that it kept."""

    def train(name, top1, *, kind="fusion", scores=None, fail=False, **metrics):
        folder = tmp_path / name
        content = {"state": {"w": torch.full((2,), top1)}, "scores": scores or kept(top1)}
        path = checkpoint.save(folder / f"{kind}.pt", kind, content)
        with tracking.run(name, Settings(), "motion", ALONE) as record:
            record.metrics({"hold_out/top1": 0.01, "lr": 0.1, **metrics}, step=9)
            record.artefacts([path])
        if fail:
            client.set_terminated(record.run_id, "FAILED")
        return record.run_id

    return train


def kept(top1):
    return {"top1": top1, "log_likelihood": -1.0, "epoch": 3, "chosen": "rate 1"}


@pytest.fixture(autouse=True)
def _any_state_is_a_model(monkeypatch):
    """Have a record of two numbers pass for a fusion: what is in it is another test's business."""
    from polyspace.export.bare import weights

    monkeypatch.setattr(weights, "OWN", dict.fromkeys(weights.OWN, lambda record: torch.nn.ReLU()))


def test_the_best_run_is_the_one_whose_checkpoint_scored_best(
    prefect_server, train, client, tmp_path, capsys
):
    runs = {
        name: train(name, top1) for name, top1 in (("low", 0.3), ("best", 0.8), ("middle", 0.5))
    }
    gone, failed = train("gone", 0.9), train("failed", 0.95, fail=True)
    client.delete_run(gone)
    with tracking.run("evaluate", Settings(), "motion", ALONE):
        pass
    out = tmp_path / "out"
    folder = select(SelectRunsConfig(experiment="motion", output_dir=out))
    found = read_selection(folder)
    assert found.best_checkpoint.path.endswith(f"fusion-{runs['best']}.pt")
    assert found.best_checkpoint.metrics == {"top1": 0.8, "log_likelihood": -1.0}
    assert checkpoint.load(out / "best.pt", "fusion")["scores"]["top1"] == 0.8
    assert [one.step for one in found.all_checkpoints] == [1, 2, 3]
    said = capsys.readouterr().out
    assert f"no candidate: gone ({gone}) was deleted" in said
    assert f"no candidate: failed ({failed}) is failed" in said
    assert "no candidates: 1 runs that keep no fusion.pt" in said


def test_runs_are_called_by_their_ids_and_only_shared_metrics_count(
    prefect_server, train, tmp_path, capsys
):
    runs = (train("a", 0.4, ece=0.3), train("b", 0.6, ece=0.2, brier=0.1))
    config = SelectRunsConfig(runs=runs, minimise=("ece",), output_dir=tmp_path / "out")
    found = read_selection(select(config))
    assert found.best_checkpoint.metrics == {"top1": 0.6, "log_likelihood": -1.0, "ece": 0.2}
    assert "not of every candidate, and left out: brier" in capsys.readouterr().out


def test_converters_are_chosen_by_the_mean_over_their_teachers(prefect_server, train, tmp_path):
    for name, r2 in (("a", 0.2), ("b", 0.4)):
        train(name, r2, kind="converters", scores={"flow": r2, "look": 0.1})
    config = SelectRunsConfig(
        experiment="polyspace/motion", checkpoint="converters.pt", output_dir=tmp_path / "out"
    )
    found = read_selection(select(config))
    assert found.policy.name == "explained"
    assert found.best_checkpoint.metrics["r2"] == pytest.approx(0.25)


def test_checkpoints_of_others_are_chosen_by_what_mlflow_knows(prefect_server, client, tmp_path):
    for name, loss in (("a", 2.0), ("b", 1.0)):
        folder = write_checkpoints(tmp_path / name, ["model.pt"])
        with tracking.run(name, Settings(), "motion", ALONE) as record:
            record.metrics({"hold_out/loss": 9.0}, step=1)
            record.metrics({"hold_out/loss": loss}, step=2)
            record.artefacts([folder / "model.pt"])
    config = SelectRunsConfig(
        experiment="motion",
        checkpoint="model.pt",
        minimise=("hold_out/loss",),
        output_dir=tmp_path / "out",
    )
    assert read_selection(select(config)).best_checkpoint.metrics == {"hold_out/loss": 1.0}


def test_what_can_not_be_chosen_from_is_said_in_one_line(prefect_server, train, tmp_path, capsys):
    train("a", 0.4)
    with pytest.raises(SelectionError, match=r"no finished run keeps a student\.pt"):
        select(SelectRunsConfig(experiment="motion", checkpoint="student.pt"))
    with pytest.raises(RecordError, match="no experiment 'moton' or 'polyspace/moton'"):
        select(SelectRunsConfig(experiment="moton"))
    with pytest.raises(RecordError, match="MLflow run 123 can't be read"):
        select(SelectRunsConfig(runs=("123",)))
    with pytest.raises(ConfigError, match="give --experiment or --runs"):
        select(SelectRunsConfig())
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        console.run(SelectRunsConfig, main, ["--experiment", "moton"])
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
