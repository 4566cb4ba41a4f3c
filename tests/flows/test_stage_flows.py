"""The flows of one stage each: extract_features, train_converter and so on to quantize_export."""

import json
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterName,
)

from flows.evaluate import evaluate
from flows.extract_features import extract_features
from flows.quantize_export import quantize_export
from flows.train_converter import train_converter
from flows.train_fusion import train_fusion
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import CheckpointError, ExportError
from polyspace.export import bundle
from polyspace.export.bundle import ExportConfig
from polyspace.report.records.exports import read_exports
from polyspace.train import train_fusion as fusion_stage
from polyspace.train.evaluate import EvaluateConfig
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.support.records import write_records

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
]
TEACHERS = ("teacher",)
EXTRACTION = "extract_features folder-of-classes: videomae + timesformer + vivit"


@pytest.fixture
def converters(tmp_path):
    path = tmp_path / "converters.pt"
    path.write_bytes(b"converters")
    return path


def fusion_config(folder, stores, converters):
    return FusionConfig(
        dataset="motion",
        root=stores,
        use_cached_features=True,
        student="student",
        teachers=TEACHERS,
        converters=converters,
        classes=2,
        save_dir=folder / "fusion",
    )


def shown_by(name):
    """The artefacts of the last flow run of a name."""
    with get_client(sync_client=True) as prefect:
        named = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
        return {one.key: one for one in prefect.read_artifacts(flow_run_filter=named)}


def test_extraction_returns_the_folder_of_the_stores(ran, client, videos, tmp_path):
    config = FeaturizeConfig(dataset="folder-of-classes", root=videos, out=tmp_path / "stores")

    assert extract_features(config) == tmp_path / "stores"
    assert (tmp_path / "stores" / "motion_train.zarr").is_dir()
    rows = json.loads(str(shown_by(EXTRACTION)["feature-stores"].data))
    assert [(row["split"], row["clips"], row["quarantined"]) for row in rows] == [
        ("test", 4, 0),
        ("train", 8, 0),
    ]


def test_converters_are_trained_once(ran, client, feature_stores, tmp_path):
    config = ConverterConfig(
        features=feature_stores, teachers=TEACHERS, save_dir=tmp_path / "converters"
    )

    assert train_converter(config) == tmp_path / "converters" / "converters.pt"
    assert train_converter(config) == tmp_path / "converters" / "converters.pt"
    assert ran == ["train_converter"]


def test_fusion_and_its_mlflow_run_know_each_other(
    ran, client, feature_stores, converters, tmp_path
):
    config = fusion_config(tmp_path, feature_stores, converters)

    assert train_fusion(config) == tmp_path / "fusion" / "fusion.pt"

    experiment = client.get_experiment_by_name("polyspace/motion")
    (run,) = client.search_runs([experiment.experiment_id])
    url = run.data.tags["prefect.flow_run"]
    assert url in run.data.tags["mlflow.note.content"]
    with get_client(sync_client=True) as prefect:
        flow_run = prefect.read_flow_run(UUID(url.rsplit("/", 1)[1]))
        filter_ = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
        artefacts = {one.key: one for one in prefect.read_artifacts(flow_run_filter=filter_)}
    assert flow_run.name == run.info.run_name == "train_fusion motion: teacher"
    assert run.info.run_id in str(artefacts["mlflow-train-fusion"].data)
    assert "viewStateShareKey=polyspace" in str(artefacts["mlflow-experiment"].data)
    (row,) = json.loads(str(artefacts["train-fusion"].data))
    assert row["top-1 on the hold-out"] == "50.0 %"


def test_evaluation_returns_its_record(ran, client, feature_stores, converters, tmp_path):
    config = EvaluateConfig(
        dataset="motion",
        features=feature_stores,
        student="student",
        teachers=TEACHERS,
        converters=converters,
        fusion=converters,
        out=tmp_path / "evaluation",
    )

    assert evaluate(config) == tmp_path / "evaluation" / "evaluation.json"

    shown = shown_by("evaluate motion: teacher")
    assert "62.5 %" in str(shown["results"].data)
    assert str(shown["results-picture"].data).startswith("data:image/svg+xml;base64,")
    assert shown["results"].task_run_id


def export_config(folder, stores, checkpoint, **changes):
    return ExportConfig(
        converters=checkpoint,
        fusion=checkpoint,
        features=stores,
        formats=("fp16", "int8"),
        out=folder / "bundles",
        **changes,
    )


def test_export_makes_each_format_once_and_shows_all_side_by_side(
    ran, client, feature_stores, converters, tmp_path
):
    config = export_config(tmp_path, feature_stores, converters)

    assert quantize_export(config) == tmp_path / "bundles"
    assert quantize_export(config) == tmp_path / "bundles"

    assert ran == ["export fp16", "export int8"]
    kinds = [proof.kind for proof in read_exports(tmp_path / "bundles" / "exports.json").proofs]
    assert kinds == ["fp16", "int8"]
    page = (tmp_path / "bundles" / "index.html").read_text()
    assert 'href="fp16/proof.html"' in page
    with get_client(sync_client=True) as prefect:
        key = ArtifactFilter(key=ArtifactFilterKey(any_=["formats"]))
        found = prefect.read_artifacts(artifact_filter=key)
    tables = [[row["format"] for row in json.loads(str(one.data))] for one in found]
    assert ["fp16", "int8"] in tables


def test_another_evaluation_makes_the_bundles_again(
    ran, client, feature_stores, converters, tmp_path
):
    evaluation = tmp_path / "evaluation"
    config = export_config(tmp_path, feature_stores, converters, evaluation=evaluation)
    write_records(evaluation)
    quantize_export(config)
    write_records(evaluation, seconds=1.0)
    quantize_export(config)

    assert ran == 2 * ["export fp16", "export int8"]


def test_a_refused_format_ends_the_flow_but_not_the_others(
    ran, client, feature_stores, converters, tmp_path, monkeypatch
):
    export = bundle.run
    monkeypatch.setattr(bundle, "run", lambda c, n: refused() if n == "fp16" else export(c, n))

    with pytest.raises(ExportError, match=r"^fp16: too far apart$"):
        quantize_export(export_config(tmp_path, feature_stores, converters))

    found = read_exports(tmp_path / "bundles" / "exports.json")
    assert [proof.kind for proof in found.proofs] == ["int8"]
    assert found.refused == {"fp16": "too far apart"}


def test_where_every_format_is_refused_nothing_is_left(
    ran, client, feature_stores, converters, tmp_path, monkeypatch
):
    monkeypatch.setattr(bundle, "run", lambda config, name: refused())

    with pytest.raises(ExportError, match="int8: too far apart"):
        quantize_export(export_config(tmp_path, feature_stores, converters))
    assert not (tmp_path / "bundles").exists()


def refused():
    raise ExportError("too far apart")
    yield


def test_an_error_of_ours_leaves_a_flow_as_it_was_raised_and_the_terminal_quiet(
    monkeypatch, client, feature_stores, converters, tmp_path, capfd
):
    def failing(config):
        raise CheckpointError("the converters are of another student")
        yield

    monkeypatch.setattr(fusion_stage, "run", failing)

    with pytest.raises(CheckpointError, match="of another student"):
        train_fusion(fusion_config(tmp_path, feature_stores, converters))
    assert "Traceback" not in capfd.readouterr().err
