"""A checkpoint's own classifier, on our features, says what the whole of it says of the clip."""

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image

from polyspace.data.preprocess import normalise, prepare
from polyspace.errors import MissingWeightsError, UnknownNameError, WeightsError
from polyspace.models.backbones import huggingface, registry
from polyspace.models.backbones.classifier import Classifier
from tests.support.clips import whole

CPU = torch.device("cpu")
LIBRARY = {
    "vjepa2": transformers.VJEPA2ForVideoClassification,
    "videomae": transformers.VideoMAEForVideoClassification,
    "timesformer": transformers.TimesformerForVideoClassification,
    "vivit": transformers.VivitForVideoClassification,
}
CLASSES = 7
DAISY = 985


def classifier(name, folder) -> Classifier | str:
    return registry.load_classifier(name, weights={name: str(folder)}, device=CPU)


@pytest.fixture(params=huggingface.FAMILIES)
def name(request) -> str:
    return request.param


@pytest.fixture
def tuned(name, loaded, tmp_path):
    """A fine-tuned checkpoint: the tiny encoder under a classifier of random weights."""
    encoder = loaded(name)
    config = encoder.network.config.__class__.from_dict(encoder.network.config.to_dict())
    config.num_labels = CLASSES
    config.id2label = {number: f"dance {number}" for number in range(CLASSES)}
    torch.manual_seed(0)
    network = LIBRARY[name](config).eval()
    getattr(network, name).load_state_dict(encoder.network.state_dict())
    for key, weight in network.named_parameters():
        if not key.startswith(name):
            torch.nn.init.normal_(weight, std=0.3)
    network.save_pretrained(tmp_path / "tuned")
    return network


@pytest.fixture
def folder(tuned, tmp_path):
    return tmp_path / "tuned"


def rewrite(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def test_it_says_of_features_what_the_library_says_of_the_clip(name, tuned, folder):
    backbone = registry.load(name, weights={name: str(folder)}, frames=8, device=CPU)
    spec = backbone.inputs
    clips = torch.rand(3, spec.frames, 3, spec.height, spec.width)
    with torch.no_grad():
        expected = tuned(clips).logits
    found = classifier(name, folder)
    assert isinstance(found, Classifier)
    assert expected.std(0).min() > 1e-3  # clips that all look the same would prove nothing
    torch.testing.assert_close(found(backbone.forward(clips)), expected, rtol=1e-5, atol=1e-5)
    assert found.class_names == tuple(f"dance {number}" for number in range(CLASSES))


def test_its_fingerprint_is_the_one_that_features_are_stored_under(name, folder):
    backbone = registry.load(name, weights={name: str(folder)}, frames=8, device=CPU)
    found = classifier(name, folder)
    assert isinstance(found, Classifier)
    assert found.weights == backbone.weights


def test_it_cannot_be_trained(name, folder):
    found = classifier(name, folder)
    assert isinstance(found, Classifier)
    assert not any(weight.requires_grad for weight in found.network.parameters())
    assert not any(module.training for module in found.network.modules())


def test_an_encoder_alone_has_none_and_says_so(name, tmp_path):
    huggingface.save_random_tiny(name, tmp_path)
    assert classifier(name, tmp_path) == (
        f"folder {tmp_path} holds an encoder without a classifier"
    )
    assert "without a classifier" in str(classifier(name, "random-tiny"))


def test_half_a_classifier_is_refused(name, folder):
    def spoil(state):
        del state["classifier.bias"]
        state["stray.weight"] = torch.zeros(3)

    rewrite(folder, spoil)
    with pytest.raises(WeightsError) as caught:
        classifier(name, folder)
    assert "1 missing (classifier.bias)" in str(caught.value)
    assert "1 unexpected (stray.weight)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_classifier_of_other_classes_than_its_settings_say_is_refused(name, folder):
    def spoil(state):
        state["classifier.weight"] = state["classifier.weight"][:-1].clone()

    rewrite(folder, spoil)
    with pytest.raises(WeightsError, match=r"of another shape \(classifier.weight\)"):
        classifier(name, folder)


def test_an_incomplete_encoder_under_a_classifier_is_refused(name, folder):
    def spoil(state):
        del state[next(key for key in sorted(state) if key.startswith(f"{name}.encoder.layer.1"))]

    rewrite(folder, spoil)
    with pytest.raises(WeightsError, match="1 missing"):
        classifier(name, folder)


def test_classes_that_nobody_named_have_no_names(name, folder):
    settings = json.loads((folder / "config.json").read_text())
    settings["id2label"] = {str(number): f"LABEL_{number}" for number in range(CLASSES)}
    (folder / "config.json").write_text(json.dumps(settings))
    found = classifier(name, folder)
    assert isinstance(found, Classifier)
    assert found.class_names == ()


def test_a_classifier_that_reads_one_token_of_videomae_is_a_gap(loaded, tmp_path):
    config = transformers.VideoMAEConfig(
        **huggingface._family("videomae").tiny, use_mean_pooling=False
    )
    transformers.VideoMAEForVideoClassification(config).save_pretrained(tmp_path)
    assert "reads a single token" in str(classifier("videomae", tmp_path))


def test_efficientnet_says_of_pictures_what_the_package_says(loaded):
    backbone = loaded("efficientnet_lite0")
    found = registry.load_classifier("efficientnet_lite0", weights={}, device=CPU)
    assert isinstance(found, Classifier)
    assert found.weights == backbone.weights
    pictures = torch.randn(2, 1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = backbone.network(pictures[:, 0])
    torch.testing.assert_close(found(backbone.forward(pictures)), expected, rtol=1e-5, atol=1e-5)


def test_efficientnet_knows_a_daisy(loaded):
    backbone = loaded("efficientnet_lite0")
    found = registry.load_classifier("efficientnet_lite0", weights={}, device=CPU)
    assert isinstance(found, Classifier)
    clip = whole(load_sample_image("flower.jpg")[None], np.zeros(1), 0.04)
    inputs = normalise(prepare(clip, backbone.inputs), backbone.inputs)[:1]
    assert int(found(backbone.forward(inputs[None])).argmax()) == DAISY


@pytest.mark.parametrize(
    ("backbone", "reason"), [("transnetv2", "cuts between shots"), ("motion_vectors", "no weights")]
)
def test_others_have_a_reason_instead(backbone, reason):
    assert reason in str(registry.load_classifier(backbone, weights={}, device=CPU))


def test_unknown_names_and_missing_weights_are_told():
    with pytest.raises(UnknownNameError, match="slowfast"):
        registry.load_classifier("slowfast", weights={}, device=CPU)
    with pytest.raises(MissingWeightsError, match="no weights for vivit"):
        registry.load_classifier("vivit", weights={}, device=CPU)
