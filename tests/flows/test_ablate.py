"""Ablations as flows, and as typed."""

import json

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.ablate import AblateCommand, main
from polyspace import console
from polyspace.errors import ConfigError, SweepError
from polyspace.report.records.ablation import Ablation
from tests.support.ablations import ablation_of
from tests.support.stores import make_store

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture
def config(tmp_path):
    make_store(tmp_path / "features", "train", clips=36, groups=9)
    make_store(tmp_path / "features", "test", clips=24, groups=6)
    return ablation_of(tmp_path / "features", tmp_path / "out", groups=("views",), seeds=1)


def typed(config, *more):
    """What a person would type for it."""
    said = {
        "dataset": config.dataset,
        "features": config.features,
        "student": config.student,
        "out": config.out,
        "seeds": config.seeds,
        "resamples": config.resamples,
        "converter.kind": config.converter.kind,
        "converter.epochs": config.converter.epochs,
        "converter.batch": config.converter.batch,
        "fusion.epochs": config.fusion.epochs,
        "fusion.rank": config.fusion.rank,
    }
    options = [word for name, value in said.items() for word in (f"--{name}", str(value))]
    lists = ["--teachers", *config.teachers, "--groups", *config.groups]
    return console.parse(AblateCommand, [*options, *lists, "--no-track", *more])


def test_the_command_ends_in_a_table_that_prefect_shows_too(config, capsys):
    main(typed(config))
    said = capsys.readouterr().out
    assert "base, base: top-1 " in said
    assert "views, fewer views: not measured: this store has one view" in said
    assert f"wrote {config.out}/ablation.png" in said
    found = Ablation.model_validate_json((config.out / "ablation.json").read_text())
    with get_client(sync_client=True) as client:
        artefacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["ablation"]))
        )
    rows = json.loads(str(artefacts[-1].data))
    assert [row["variation"] for row in rows] == [row.name for row in found.rows]
    assert "The base is right on" in str(artefacts[-1].description)


def test_the_table_alone_says_that_nothing_was_measured(config):
    with pytest.raises(SweepError, match="run the ablation again, it goes on"):
        main(typed(config, "--table-only"))


def test_what_can_t_be_measured_is_refused_before_anything_runs(config):
    with pytest.raises(ConfigError, match=r"--fusion\.seed 2 has no use"):
        main(typed(config, "--fusion.seed", "2"))
    assert not config.out.exists()
