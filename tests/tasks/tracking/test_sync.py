"""What waits is listed and sent by ``python -m flows.track``."""

import pytest

from flows.track import List, Sync, TrackConfig, main
from polyspace.config import Config
from polyspace.errors import RecordError
from tasks import tracking
from tasks.tracking import ALONE


class Settings(Config):
    """How something is trained."""


def test_what_waits_is_listed_then_sent(proxy, server, capsys):
    proxy.become("refuse")
    with tracking.run("train", Settings(), "listed", ALONE) as record:
        record.metrics({"loss": 1.0})
    main(TrackConfig(command=List()))
    assert f"{record.local_id}  3 lines  ended  polyspace/listed  train" in capsys.readouterr().out
    with pytest.raises(RecordError, match="doesn't take what waits"):
        main(TrackConfig(command=Sync()))
    proxy.become("pass")
    main(TrackConfig(command=Sync()))
    assert "1 of 1 runs sent" in capsys.readouterr().out
    main(TrackConfig(command=List()))
    assert "nothing waits" in capsys.readouterr().out
    (run,) = server.search_runs([server.get_experiment_by_name("polyspace/listed").experiment_id])
    assert run.data.tags["polyspace.run"] == record.local_id


def test_a_file_that_changed_since_is_sent_as_it_was(proxy, server, tmp_path):
    kept = tmp_path / "kept.json"
    kept.write_text("first")
    proxy.become("refuse")
    with tracking.run("train", Settings(), "files", ALONE) as record:
        record.artefacts([kept])
    kept.unlink()
    kept.write_text("second")
    proxy.become("pass")
    main(TrackConfig(command=Sync()))
    (tmp_path / "into").mkdir()
    folder = tracking.fetch(str(record.local_id), ["kept.json"], tmp_path / "into")
    assert (folder / "kept.json").read_text() == "first"
    assert not list((tmp_path / "spool" / "files").rglob("*.json"))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordError, match="is no folder"):
        main(TrackConfig(command=List(folder=tmp_path / "no")))
