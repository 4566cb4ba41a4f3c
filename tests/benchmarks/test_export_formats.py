import pytest

from polyspace.export.proof.latency import BATCHES
from tests.benchmarks import export_formats
from tests.support.exported import exportable


@pytest.mark.usefixtures("same_process")
def test_every_format_is_made_timed_and_judged(tmp_path):
    model = tmp_path / "small"
    made = exportable(model)
    for kind in ("converters", "fusion"):
        (model / kind).mkdir()
        getattr(made, kind).rename(model / kind / f"{kind}.pt")
    asked = export_formats.parse(
        [
            *("--model", f"small={model}", "--formats", "fp32", "int8"),
            *("--threads", "1", "--wide", "0"),
        ]
    )
    text = export_formats.document(asked, tmp_path / "scratch")
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0].strip("| ") for row in table] == ["format", "fp32", "int8"]
    assert {len(row) for row in table} == {7 + len(BATCHES)}
    assert "## small: " in text
    assert table[2][2].endswith("✗")  # scales of so narrow rows take more than is saved


def test_a_wide_model_is_trained_on_the_same_features(tmp_path):
    model = export_formats.Model("small", tmp_path / "small")
    exportable(model.folder)
    wide = export_formats.widened(model, tmp_path / "wide", 24, epochs=1)
    assert wide.name == "wide (24)"
    config = wide.config(tmp_path / "out", "fp32")
    assert config.converters.is_file()
    assert config.fusion.is_file()
    assert sorted(path.name for path in config.features.iterdir()) == [
        "toy_test.zarr",
        "toy_train.zarr",
    ]
