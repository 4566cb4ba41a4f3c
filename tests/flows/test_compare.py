import pytest

from flows.compare import CompareConfig, compare
from polyspace.config import Config
from polyspace.errors import RecordError
from tasks import tracking
from tasks.tracking import ALONE
from tests.support.records import write_records

pytestmark = pytest.mark.flow


class Settings(Config):
    """An evaluation."""


def test_a_folder_and_an_mlflow_run_are_compared(prefect_server, client, tmp_path):
    here, there = (write_records(tmp_path / name).folder for name in ("here", "there"))
    with tracking.run("evaluate", Settings(), "motion", ALONE) as record:
        record.artefacts([there / "evaluation.json", there / "outcomes.csv"])
    config = CompareConfig(runs=(str(here), str(record.run_id)), out=tmp_path / "out")
    page = compare(config).read_text()
    assert str(record.run_id) in page
    assert "none can be told apart" in page


def test_a_run_that_was_deleted_is_said_in_one_line(prefect_server, client, tmp_path):
    here = write_records(tmp_path / "here").folder
    with tracking.run("evaluate", Settings(), "motion", ALONE) as record:
        pass
    client.delete_run(record.run_id)
    with pytest.raises(RecordError, match="was deleted"):
        compare(CompareConfig(runs=(str(here), str(record.run_id)), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
