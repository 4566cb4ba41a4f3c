import shutil

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.predict import main, predict
from polyspace.errors import CheckpointError
from polyspace.export.contents import SUMS
from polyspace.files import sha256_file
from polyspace.inference import table
from polyspace.inference.scoring import ScoreConfig
from tests.support.bundles import write_bundle
from tests.support.filmed import distil, film

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Videos of two classes, and a bundle; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    seen = film(folder, student="transnetv2", teachers=("motion_vectors",))
    write_bundle(folder / "bundles/fp16", distil(seen.clips(), ("motion_vectors",)), seen.clips())
    return seen


@pytest.fixture
def config(made, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(made.root / "ClassA", videos)
    (videos / "bad.mp4").write_text("no video " * 99)
    run = made.features.parent
    return ScoreConfig(videos=videos, bundle=run, out=tmp_path / "p.parquet", device="cpu")


def test_a_folder_becomes_a_table_that_mlflow_and_prefect_know_of(config, made, client):
    assert predict(config) == config.out
    assert len(list(table.rows(config.out))) == 9

    (run,) = client.search_runs([client.get_experiment_by_name("polyspace/unknown").experiment_id])
    assert (run.info.run_name, run.info.status) == (f"predict {config.videos}", "FINISHED")
    figures = run.data.metrics
    assert (figures["videos"], figures["scored"], figures["refused/format"]) == (9, 8, 1)
    bundle = made.features.parent / "bundles/fp16"
    assert run.data.tags["bundle_sha256"] == sha256_file(bundle / SUMS)
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["p.parquet"]

    with get_client(sync_client=True) as prefect:
        keyed = ArtifactFilter(key=ArtifactFilterKey(any_=["predictions"]))
        shown = prefect.read_artifacts(artifact_filter=keyed)
    words = "8 of 9 videos scored, 1 could not be read (1 format)"
    assert [words in str(artifact.description) for artifact in shown] == [True]


def test_the_command_says_what_came_of_it(config, client, capsys):
    main(config)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("8 of 9 videos scored")
    assert said[-1] == f"wrote {config.out}"


def test_a_folder_without_a_bundle_ends_the_flow_as_it_was_said(config, client, tmp_path):
    with pytest.raises(CheckpointError, match="holds no bundle"):
        predict(config.model_copy(update={"bundle": tmp_path}))
    assert not config.out.exists()
