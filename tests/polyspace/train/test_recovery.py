"""A real classifier of transformers, tiny and random, over stores whose teacher it belongs to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from scipy.stats import entropy
from transformers import (
    TimesformerForVideoClassification,
    VideoMAEForVideoClassification,
    VJEPA2ForVideoClassification,
)

from polyspace.engine import checkpoint
from polyspace.models.backbones import huggingface, registry
from polyspace.models.converters import Translator
from polyspace.train import train_converter
from polyspace.train.recovery import Gap, Recovery, recovery
from polyspace.train.sources import StoredClips
from tests.support.stores import make_store

CPU = torch.device("cpu")
STUDENT = ("stu", 4, 4, 48)
NAMES = ("C 1", "jumping", "c0", "running", "C_2", "falling", "lying")
"""Of the classifier's classes: three are called as those of the stores."""
LIBRARY: dict[str, Any] = {
    "videomae": VideoMAEForVideoClassification,
    "vjepa2": VJEPA2ForVideoClassification,
    "timesformer": TimesformerForVideoClassification,
}


@dataclass
class World:
    """A checkpoint with a classifier, and stores of two splits that know its weights."""

    name: str
    folder: Path
    network: Any
    features: Path

    def clips(self, split="test") -> StoredClips:
        return StoredClips.find(self.features, dataset="toy", split=split, device=CPU)

    def recover(self, translator, clips, weights=None):
        rows = clips.rows(("stu", self.name))
        given = {self.name: str(self.folder)} if weights is None else weights
        return recovery(translator, self.name, clips, rows, weights=given, resamples=100)


def make_world(folder, name="videomae", *, views=1, fingerprint=None, spread=0.0) -> World:
    family = huggingface._family(name)
    config = family.config(**family.tiny)
    config.num_labels = len(NAMES)
    config.id2label = dict(enumerate(NAMES))
    torch.manual_seed(0)
    network = LIBRARY[name](config).eval()
    for key, weight in network.named_parameters():
        if not key.startswith(name):
            torch.nn.init.normal_(weight, std=0.5)
    network.save_pretrained(folder / "weights")
    weights = registry.load(
        name, weights={name: str(folder / "weights")}, frames=8, device=CPU
    ).weights
    prints = {name: fingerprint or weights.fingerprint}
    for split, clips, groups in (("train", 96, 24), ("test", 45, 9)):
        make_store(
            folder / "features",
            split,
            clips=clips,
            groups=groups,
            student=STUDENT,
            teachers={name: (4, 4, 48)},
            fingerprints=prints,
            views=views,
        )
    return World(name, folder / "weights", network, folder / "features")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def translators(converter_settings, finish, tmp_path_factory):
    """Converters by kind, solved on a world's training split."""

    def solve(world, kind) -> Translator:
        config = converter_settings(
            world.features,
            tmp_path_factory.mktemp("converters"),
            student="stu",
            teachers=(world.name,),
            kind=kind,
            epochs=1,
        )
        return Translator.from_record(
            checkpoint.load(finish(train_converter.run(config)), "converters")
        )

    return solve


def head(world, tokens) -> np.ndarray:
    """Logits by the library's own modules, of tokens with any leading axes."""
    with torch.no_grad():
        mean = world.network.fc_norm(tokens.flatten(1, 2).mean(1))
        return world.network.classifier(mean).double().numpy()


def by_hand(world, translator, clips) -> dict[str, Any]:
    """Everything again, clip by clip, with SciPy."""
    same, few, divergence = [], [], []
    for clip in range(len(clips.ids) // clips.views):
        rows = np.arange(clip * clips.views, (clip + 1) * clips.views)
        with torch.no_grad():
            route = translator[world.name]
            said = route(translator.student(clips.tokens("stu", rows)))
            said = route.teacher.inverse(said)
        true = softmax(head(world, clips.tokens(world.name, rows)), axis=1).mean(0)
        other = softmax(head(world, said), axis=1).mean(0)
        same.append(true.argmax() == other.argmax())
        few.append(true.argmax() in np.argsort(other)[-5:])
        divergence.append(entropy(true, other))
    return {"agreement": np.mean(same), "few": np.mean(few), "kl": np.mean(divergence)}


def test_a_translation_that_is_exact_keeps_all_decisions(world, translators):
    found = world.recover(translators(world, "ridge"), world.clips())
    assert isinstance(found, Recovery)
    assert found.agreement.value == found.agreement_top5 == 1.0
    assert found.kl_nats < 1e-4
    assert found.accuracy is not None
    assert found.accuracy.kept == pytest.approx(1.0)


def test_a_translation_that_ignores_the_clip_keeps_what_is_said_of_ignorance(world, translators):
    found = world.recover(translators(world, "mean"), world.clips())
    assert isinstance(found, Recovery)
    assert found.agreement.value == pytest.approx(found.ignorant)
    assert found.ignorant <= found.commonest < 0.9
    assert found.kl_nats > 0.1


@pytest.mark.parametrize("views", [1, 3])
def test_figures_are_those_made_by_hand_with_other_libraries(translators, tmp_path, views):
    """Of a bad converter, with one view and several: the softmax of views is averaged."""
    own = make_world(tmp_path, views=views)
    translator, clips = translators(own, "mean"), own.clips()
    with torch.no_grad():  # neither exact nor ignorant
        generator = torch.Generator().manual_seed(0)
        weight = translator[own.name].converter.map.weight
        weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    found = own.recover(translator, clips)
    assert isinstance(found, Recovery)
    expected = by_hand(own, translator, clips)
    assert 0 < expected["agreement"] < 1
    assert found.clips == 45
    assert found.agreement.value == pytest.approx(expected["agreement"])
    assert found.agreement_top5 == pytest.approx(expected["few"])
    assert found.kl_nats == pytest.approx(expected["kl"], rel=1e-4)


def test_accuracy_goes_by_the_names_of_classes(world, translators):
    clips = world.clips()
    found = world.recover(translators(world, "mean"), clips)
    assert isinstance(found, Recovery)
    choices = head(world, clips.tokens(world.name, np.arange(45))).argmax(1)
    places = np.array([NAMES.index(name) for name in ("c0", "C 1", "C_2")])
    assert found.accuracy is not None
    assert (found.accuracy.classes, found.accuracy.clips) == (3, 45)
    assert found.accuracy.true == pytest.approx((places[clips.labels] == choices).mean())


def test_classes_of_other_names_have_no_accuracy_and_it_is_said(translators, tmp_path):
    own = make_world(tmp_path)
    settings = json.loads((own.folder / "config.json").read_text())
    settings["id2label"] = {str(n): f"LABEL_{n}" for n in range(len(NAMES))}
    (own.folder / "config.json").write_text(json.dumps(settings))
    clips = own.clips()
    clips.store.backbones[own.name].provenance["weights"]["fingerprint"] = registry.load(
        own.name, weights={own.name: str(own.folder)}, frames=8, device=CPU
    ).weights.fingerprint
    found = own.recover(translators(own, "mean"), clips)
    assert isinstance(found, Recovery)
    assert found.accuracy is None
    assert "doesn't name its classes" in found.note


def test_rows_of_some_clips_are_those_clips_alone(world, translators):
    clips, translator = world.clips(), translators(world, "ridge")
    found = recovery(
        translator, world.name, clips, np.arange(20), weights={world.name: str(world.folder)}
    )
    assert isinstance(found, Recovery)
    assert found.clips == 20


def test_the_record_is_json_and_the_same_again(world, translators):
    translator = translators(world, "ridge")
    first, second = (world.recover(translator, world.clips()) for _ in range(2))
    assert isinstance(first, Recovery)
    assert first == second
    assert json.loads(json.dumps(asdict(first), allow_nan=False))["teacher"] == "videomae"


def test_stored_means_say_what_pooling_costs(world, translators):
    """These stores' summaries are the means of their tokens, so nothing."""
    found = world.recover(translators(world, "mean"), world.clips())
    assert isinstance(found, Recovery)
    assert found.whole == pytest.approx(1.0, abs=1 / 45)
    assert not found.approximate


def test_an_attentive_classifier_on_pooled_tokens_is_called_approximate(translators, tmp_path):
    own = make_world(tmp_path, "vjepa2")
    found = own.recover(translators(own, "ridge"), own.clips())
    assert isinstance(found, Recovery)
    assert found.approximate
    assert found.whole is None
    assert "attends over all tokens" in found.note
    assert found.agreement.value == 1.0


def gap(found) -> str:
    assert isinstance(found, Gap)
    assert "\n" not in found.reason
    return found.reason


def test_a_classifier_that_reads_the_class_token_is_a_gap(translators, tmp_path):
    own = make_world(tmp_path, "timesformer")
    found = own.recover(translators(own, "mean"), own.clips())
    assert "class token" in gap(found)


def test_other_weights_than_those_of_the_features_are_a_gap(translators, tmp_path):
    own = make_world(tmp_path, fingerprint="12" * 32)
    found = own.recover(translators(own, "mean"), own.clips())
    assert "not those that its features were extracted with" in gap(found)


def test_weights_that_are_gone_are_a_gap(world, translators, monkeypatch):
    monkeypatch.delenv("POLYSPACE_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = world.recover(translators(world, "mean"), world.clips(), weights={})
    assert "not on this machine" in gap(found)


def test_half_a_classifier_is_a_gap_that_names_what_is_missing(translators, tmp_path):
    own = make_world(tmp_path)
    state = load_file(own.folder / "model.safetensors")
    del state["classifier.bias"]
    save_file(state, own.folder / "model.safetensors", metadata={"format": "pt"})
    found = own.recover(translators(own, "mean"), own.clips())
    assert "can't be used" in gap(found)
    assert "1 missing (classifier.bias)" in gap(found)


def test_features_that_were_imported_are_a_gap(world, translators):
    clips = world.clips()
    recorded = clips.store.backbones[world.name].provenance["weights"]
    recorded["source"] = "imported from shards"
    assert "imported" in gap(world.recover(translators(world, "mean"), clips))


def test_weights_are_found_again_where_the_store_says_that_they_were(world, translators):
    clips = world.clips()
    recorded = clips.store.backbones[world.name].provenance["weights"]
    recorded["source"] = f"folder {world.folder}"
    found = world.recover(translators(world, "mean"), clips, weights={})
    assert isinstance(found, Recovery)
    assert found.source == f"folder {world.folder}"


def test_a_teacher_that_is_no_backbone_is_a_gap(features, converters):
    translator = Translator.from_record(checkpoint.load(converters, "converters"))
    clips = StoredClips.find(features, dataset="toy", split="test", device=CPU)
    found = recovery(translator, "flow", clips, clips.rows(("stu", "flow")), weights={})
    assert "no backbone" in gap(found)
