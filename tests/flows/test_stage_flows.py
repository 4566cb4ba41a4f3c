"""The flows of one stage each: extract_features, train_converter and so on to quantize_export."""

from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.evaluate import evaluate
from flows.extract_features import extract_features
from flows.quantize_export import quantize_export
from flows.train_converter import train_converter
from flows.train_fusion import train_fusion
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import CheckpointError
from polyspace.export.bundle import ExportConfig
from polyspace.train import train_fusion as fusion_stage
from polyspace.train.evaluate import EvaluateConfig
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
]
TEACHERS = ("teacher",)


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


def test_extraction_returns_the_folder_of_the_stores(ran, client, videos, tmp_path):
    config = FeaturizeConfig(dataset="folder-of-classes", root=videos, out=tmp_path / "stores")

    assert extract_features(config) == tmp_path / "stores"
    assert (tmp_path / "stores" / "motion_train.zarr").is_dir()


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
        (link,) = prefect.read_artifacts(flow_run_filter=filter_)
    assert flow_run.name == "train_fusion motion"
    assert run.info.run_id in str(link.data)


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


def test_export_returns_the_bundle(ran, client, feature_stores, converters, tmp_path):
    config = ExportConfig(
        converters=converters, fusion=converters, features=feature_stores, out=tmp_path / "bundle"
    )

    assert quantize_export(config) == tmp_path / "bundle"


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
