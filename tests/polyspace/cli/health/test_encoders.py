import pytest
import torch

from polyspace.cli.health.encoders import Encoders, compare
from polyspace.models.backbones import registry
from polyspace.models.backbones.golden import Glimpse, Golden

CPU = torch.device("cpu")


def looked_at(name, mean):
    return Golden(
        backbone=name,
        weights="w",
        settings="s",
        recorded_with={"device": "cpu", "torch": "2.13.0"},
        clips=(Glimpse(mean=mean, std=2.0, summary=(1.0, 2.0)),),
    )


def test_features_within_the_tolerance_are_ok_and_others_an_error():
    assert compare(looked_at("a", 1.009), looked_at("a", 1.0)).verdict == "ok"
    far = compare(looked_at("a", 1.011), looked_at("a", 1.0))
    assert far.verdict == "error"
    assert "torch 2.13.0" in far.remedy


def test_features_that_nobody_knows_are_a_warning():
    check = compare(looked_at("a", 1.0), None)
    assert check.verdict == "warning"
    assert check.found.startswith("no golden features known")


def test_a_folder_of_other_weights_is_an_error_and_the_next_one_is_looked_at(tmp_path):
    names = ("efficientnet_lite0", "motion_vectors")
    weights = {"efficientnet_lite0": str(tmp_path)}
    first, second, _ = Encoders(names, weights, 4, CPU, {}).check()
    assert (first.name, first.verdict) == ("efficientnet_lite0", "error")
    assert "holds no efficientnet-lite0" in first.found
    assert (second.name, second.verdict) == ("motion_vectors", "ok")


def test_a_library_that_breaks_is_an_error_and_not_the_end(monkeypatch):
    whole = registry.load

    def load(name, **settings):
        if name == "transnetv2":
            raise ImportError("cannot import name 'StackedDDCNNV2'")
        return whole(name, **settings)

    monkeypatch.setattr(registry, "load", load)
    broken, *_ = Encoders(("transnetv2", "motion_vectors"), {}, 4, CPU, {}).check()
    assert broken.verdict == "error"
    assert "ImportError: cannot import name" in broken.found


def test_what_was_seen_is_kept_for_the_record():
    encoders = Encoders(("motion_vectors",), {}, 4, CPU, {})
    assert len(list(encoders.check())) == 2
    assert [seen.backbone for seen in encoders.seen] == ["motion_vectors"]


@pytest.mark.parametrize("names", [("transnetv2",), ("motion_vectors", "transnetv2")])
def test_only_those_that_are_named_are_looked_at(names):
    checks = Encoders(names, {}, 2, CPU, {}).check()
    assert {check.name.split()[0] for check in checks} == set(names)
