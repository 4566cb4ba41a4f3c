import json

import pytest

from flows.distill import DistillConfig, main
from polyspace.errors import CheckpointError, ExportError
from polyspace.export import bundle
from polyspace.export.bundle import ExportSettings
from polyspace.train import train_fusion
from tasks import caching
from tests.support.exports import SIZES

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
]
FORMATS = ("fp16", "int8")
STAGES = [
    *("extract_features", "train_converter", "train_fusion", "evaluate"),
    *(f"export {name}" for name in FORMATS),
]


@pytest.fixture
def config(videos, tmp_path):
    return DistillConfig(
        dataset="folder-of-classes",
        root=videos,
        student="student",
        teachers=("teacher",),
        export=ExportSettings(formats=FORMATS, refused="report"),
        out=tmp_path / "out",
    )


def changed(config, **changes):
    return DistillConfig.model_validate({**dict(config), **changes})


@pytest.fixture
def feature_stores(stores_of):
    return stores_of("folder-of-classes")


def test_every_stage_runs_once_in_order_and_then_never_again(ran, client, config, capsys):
    main(config)
    assert ran == STAGES
    capsys.readouterr()

    main(config)
    assert ran == STAGES
    said = capsys.readouterr().out
    assert "nothing changed since" in said
    assert "make serve" in said
    assert "62.5" in said


def test_the_report_holds_what_was_found_and_what_it_took(ran, client, config):
    main(config)

    report = json.loads((config.out / "report.json").read_text())
    assert report["chance"] == pytest.approx(1 / 3)
    assert report["coverage"]["share"] == 0.96
    top1 = {method["name"]: method["top1"]["value"] for method in report["methods"]}
    assert top1["fusion"] == 0.625
    assert {"student", "true_teachers"} <= set(top1)
    assert report["ratios"] == {name: SIZES[name] / SIZES["fp32"] for name in FORMATS}
    assert report["sizes"]["bundle"] == {name: SIZES[name] for name in FORMATS}
    assert report["bundle"]["int8"]["agreement"] == 1.0
    assert report["refused"] == {}
    assert set(report["sizes"]["features"]) == {"student", "teacher"}
    assert set(report["seconds"]) == {*STAGES[:4], "quantize_export", "total"}
    receipts = [caching.read(config.out / "bundles" / name) for name in FORMATS]
    exported = sum(receipt.seconds for receipt in receipts if receipt)
    assert report["seconds"]["quantize_export"] == pytest.approx(exported)


def test_a_changed_artefact_runs_its_stage_and_those_whose_inputs_changed(ran, client, config):
    main(config)
    (config.out / "converters" / "converters.pt").write_bytes(b"not the ones that were trained")
    ran.clear()

    main(config)

    assert ran == ["train_converter"]


def test_other_settings_of_a_stage_leave_the_stages_before_it_alone(ran, client, config):
    main(config)
    ran.clear()

    main(changed(config, fusion=config.fusion.model_copy(update={"epochs": 7})))

    assert ran == ["train_fusion"]


def test_force_runs_every_stage(ran, client, config):
    main(config)
    main(changed(config, force=True))

    assert ran == [*STAGES, *STAGES]


def test_a_run_that_fails_half_way_goes_on_where_it_was(ran, client, config, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(train_fusion, "run", _failing)
        with pytest.raises(CheckpointError, match="damaged"):
            main(config)
    assert ran == STAGES[:2]

    main(config)
    assert ran == STAGES


def test_runs_nest_under_the_pipelines_run(ran, client, config):
    main(config)

    experiment = client.get_experiment_by_name("polyspace/folder-of-classes")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {
        *(f"{stage} folder-of-classes: teacher" for stage in ("distill", *STAGES[:4])),
        *(f"export folder-of-classes: {name}" for name in FORMATS),
    }
    parent = runs.pop("distill folder-of-classes: teacher")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert parent.data.metrics["top1"] == parent.data.metrics["top1/fusion"] == 0.625
    assert runs["evaluate folder-of-classes: teacher"].data.metrics["top1"] == 0.625
    assert runs["train_fusion folder-of-classes: teacher"].data.metrics["hold_out/best_top1"] == 0.5
    assert parent.data.metrics["export/int8/ratio"] == SIZES["int8"] / SIZES["fp32"]
    assert parent.data.metrics["export/fp16/time_ratio/batch_32"] == 1.01
    assert runs["export folder-of-classes: fp16"].data.metrics["export/fp16/agreement"] == 1.0
    files = [entry.path for entry in client.list_artifacts(parent.info.run_id)]
    assert files == ["exports.json", "index.html", "report.html", "report.json"]


def test_a_refused_format_is_reported_with_its_reason_and_the_others_are_there(
    ran, client, config, monkeypatch, capsys
):
    export = bundle.run
    monkeypatch.setattr(bundle, "run", lambda c, n: _refused() if n == "int8" else export(c, n))
    main(config)

    report = json.loads((config.out / "report.json").read_text())
    assert set(report["bundle"]) == {"fp16"}
    assert report["refused"] == {"int8": "3.10 points apart"}
    assert "refused  int8: 3.10 points apart" in capsys.readouterr().out
    assert "3.10 points apart" in (config.out / "bundles" / "index.html").read_text()


def test_untracked_the_results_are_the_same(ran, client, config):
    main(changed(config, track=False))

    assert json.loads((config.out / "report.json").read_text())["chance"] == pytest.approx(1 / 3)
    assert client.get_experiment_by_name("polyspace/folder-of-classes") is None


def _failing(config):
    raise CheckpointError("damaged")
    yield


def _refused():
    raise ExportError("3.10 points apart")
    yield
