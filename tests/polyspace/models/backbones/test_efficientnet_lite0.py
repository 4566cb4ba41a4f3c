import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image

from polyspace.data.preprocess import normalise, prepare
from tests.support.clips import whole

DAISY, PALACE = 985, 698


@pytest.mark.parametrize(("picture", "label"), [("flower.jpg", DAISY), ("china.jpg", PALACE)])
def test_its_own_head_recognises_a_photograph_in_its_features(loaded, picture, label):
    backbone = loaded("efficientnet_lite0")
    clip = whole(load_sample_image(picture)[None], np.zeros(1), 0.04)
    inputs = normalise(prepare(clip, backbone.inputs), backbone.inputs)[:1]
    tokens = backbone.forward(inputs[None]).tokens
    logits = backbone.network._fc(tokens.mean(dim=(1, 2)))
    assert int(logits.argmax()) == label


def test_tokens_are_the_networks_feature_map_of_each_frame(loaded):
    backbone = loaded("efficientnet_lite0")
    clips = torch.rand(1, 2, 3, 224, 224)
    with torch.no_grad():
        maps = backbone.network.extract_features(clips[0])
    tokens = backbone.forward(clips).tokens.reshape(2, 7, 7, 1280)
    assert torch.equal(tokens.permute(0, 3, 1, 2), maps)
