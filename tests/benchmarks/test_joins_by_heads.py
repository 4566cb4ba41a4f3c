from polyspace.train import train_converter
from polyspace.train.train_converter import ConverterConfig
from tests.benchmarks import joins_by_heads
from tests.support.stages import finish
from tests.support.stores import make_store


def test_every_cell_is_trained_and_scored(tmp_path):
    make_store(tmp_path / "features", "train", clips=36, groups=9)
    make_store(tmp_path / "features", "test", clips=18, groups=6)
    config = ConverterConfig(
        features=tmp_path / "features",
        teachers=("flow",),
        kind="ridge",
        device="cpu",
        save_dir=tmp_path / "converters",
    )
    converters = finish(train_converter.run(config))
    asked = joins_by_heads.parse(
        [
            *("--features", str(tmp_path / "features"), "--converters", str(converters)),
            *("--joins", "gated", "attention", "--heads", "cells", "linear"),
            *("--seeds", "2", "--epochs", "2"),
        ]
    )
    text = joins_by_heads.table(asked)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == [
        "| join",
        "| student alone",
        "| gated",
        "| attention",
    ]
    assert all(line.count("%") == 8 for line in lines[1:])
