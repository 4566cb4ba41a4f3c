"""The pipeline with nothing left out: real videos, backbones and training, as small as can be."""

import json

import pytest

from flows.distill import DistillConfig, main
from polyspace import console
from polyspace.data.datasets import motion
from polyspace.export import contents
from polyspace.export.bundle import ExportSettings
from polyspace.report.records.proof import read_proof
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.train_converter import ConverterSettings

FORMATS = ("fp16", "int8")

pytestmark = [
    pytest.mark.flow,
    pytest.mark.slow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
]


def test_videos_become_a_report_and_a_bundle_and_a_second_run_changes_nothing(
    client, tmp_path, capsys
):
    root = tmp_path / "videos"
    console.show(motion.render(root, motion.TINY), "render")
    config = DistillConfig(
        root=root,
        student="motion_vectors",
        teachers=("efficientnet_lite0",),
        out=tmp_path / "out",
        converter=ConverterSettings(epochs=1),
        fusion=FusionSettings(epochs=1),
        export=ExportSettings(formats=FORMATS, measure=False),
    )

    main(config)

    report = json.loads((config.out / "report.json").read_text())
    assert report["chance"] == pytest.approx(1 / len(motion.CLASS_NAMES))
    assert report["coverage"]["share"] == 1.0
    assert {"fusion", "student", "mean_predictor"} <= {m["name"] for m in report["methods"]}
    assert report["ratios"]["fp16"] < 0.51
    assert set(report["ratios"]) == set(FORMATS)
    assert "<title>" in (config.out / "report.html").read_text()
    assert "proof.html" in (config.out / "bundles" / "index.html").read_text()
    for name in FORMATS:
        folder = config.out / "bundles" / name
        contents.verify(folder)
        proof = read_proof(folder / "proof.json")
        assert abs(proof.difference_points.value) <= (proof.thresholds.points or 0)
        assert f"{proof.same} of {proof.clips}" in (folder / "proof.html").read_text()
        assert "the first of them" in (folder / "README.md").read_text()
    capsys.readouterr()

    before = (config.out / "report.json").stat().st_mtime_ns
    main(config)

    assert "nothing changed since" in capsys.readouterr().out
    assert (config.out / "report.json").stat().st_mtime_ns == before
