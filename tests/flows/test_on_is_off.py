"""Prefect and MLflow change nothing: a flow makes the very bytes that the plain command makes."""

import json
import math
import re
from pathlib import Path

import pytest

from flows.evaluate import evaluate
from flows.extract_features import extract_features
from flows.quantize_export import quantize_export
from flows.train_converter import train_converter
from flows.train_fusion import train_fusion
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.export import bundle
from polyspace.store.difference import compare
from polyspace.train import evaluate as evaluating
from polyspace.train import train_converter as converting
from polyspace.train import train_fusion as fusing
from polyspace.train.evaluate import EvaluateConfig
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.support.stages import finish
from tests.support.stores import make_store
from tests.support.ucf101 import make_ucf101

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server", "client"),
]
COMMON = {"dataset": "toy", "teachers": ("flow", "look"), "device": "cpu"}
TIMES = {"seconds", "latency_ms", "created"}
"""Names of what is of a run, and not of its result."""
PAGES = (".html", ".md")
MOMENT = re.compile(r"\d+ \w+ \d{4}, \d\d:\d\d UTC(, in [^<\n]*)?")
"""When it was made and how long that took, as pages say it."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    make_store(folder, "train", clips=24, groups=6)
    make_store(folder, "test", clips=12, groups=6)
    return folder


@pytest.fixture
def same(tmp_path):
    """Runs a stage bare and as a flow, into the same folder; compares; gives the flow's folder."""

    def compare(bare, flow, folder):
        bare()
        off = folder.rename(tmp_path / "off" / folder.name)
        flow()
        made = [path.relative_to(off) for path in sorted(off.rglob("*")) if path.is_file()]
        assert len(made) > 1
        assert [str(name) for name in made if result(off / name) != result(folder / name)] == []
        return folder

    (tmp_path / "off").mkdir()
    return compare


def test_what_decides_results_is_equal_in_every_byte(stores, same, tmp_path):
    converters = ConverterConfig.model_validate(
        COMMON | {"features": stores, "epochs": 2, "save_dir": tmp_path / "converters"}
    )
    made = same(
        lambda: finish(converting.run(converters)),
        lambda: train_converter(converters),
        converters.save_dir,
    )
    fusion = FusionConfig.model_validate(
        COMMON
        | {"root": stores, "use_cached_features": True, "student": "stu", "classes": 3}
        | {"converters": made / "converters.pt", "epochs": 2, "save_dir": tmp_path / "fusion"}
    )
    same(lambda: finish(fusing.run(fusion)), lambda: train_fusion(fusion), fusion.save_dir)

    trained = {
        "features": stores,
        "converters": made / "converters.pt",
        "fusion": fusion.save_dir / "fusion.pt",
    }
    scored = EvaluateConfig.model_validate(
        COMMON
        | trained
        | {"student": "stu", "resamples": 100, "seeds": 1, "out": tmp_path / "evaluation"}
    )
    same(lambda: finish(evaluating.run(scored)), lambda: evaluate(scored), scored.out)


def test_stores_are_equal_in_every_chunk(tmp_path):
    videos = make_ucf101(tmp_path / "videos")

    def config(out):
        settings = {"frames": 4, "workers": 0, "device": "cpu", "teachers": ("motion_vectors",)}
        named = {"dataset": "ucf101", "root": videos, "out": tmp_path / out}
        return FeaturizeConfig.model_validate({**settings, **named, "student": "transnetv2"})

    for off in finish(featurize.run(config("off"))):
        on = extract_features(config("on")) / off.name
        assert compare(off, on).lines == ()
        chunks = [path.relative_to(off) for path in off.glob("*/*/c.*")]
        assert len(chunks) == 6
        assert all((off / name).read_bytes() == (on / name).read_bytes() for name in chunks)


def test_bundles_are_equal_in_every_byte(same, exported_source, tmp_path):
    config = exported_source.config(tmp_path / "bundle", formats=("fp16", "int8"))
    same(lambda: bundle.main(config), lambda: quantize_export(config), config.out)


def test_another_seed_would_be_noticed(stores, same, tmp_path):
    def config(seed):
        return ConverterConfig.model_validate(
            COMMON
            | {"features": stores, "epochs": 1, "save_dir": tmp_path / "converters", "seed": seed}
        )

    with pytest.raises(AssertionError, match=r"converters\.pt"):
        same(
            lambda: finish(converting.run(config(0))),
            lambda: train_converter(config(1)),
            tmp_path / "converters",
        )


def result(path: Path):
    """Give what is in a file; of a record, without the times that it took."""
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text()))
    if path.suffix in PAGES:
        return MOMENT.sub("", path.read_text())
    if path.name == "SHA256SUMS":
        lines = path.read_text().splitlines()
        return [line for line in lines if not line.endswith((".json", *PAGES))]
    return path.read_bytes()


def timeless(value):
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in TIMES}
        return {name: timeless(one) for name, one in kept.items()}
    if isinstance(value, list):
        return [timeless(one) for one in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value
