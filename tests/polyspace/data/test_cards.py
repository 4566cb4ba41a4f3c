import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from polyspace.data import cards
from polyspace.models.backbones import golden, registry

CPU = torch.device("cpu")
PICTURES = "c6c8a2b9493d794bfce5bee00e4552ad9c3b1543cd1dc79c6115e5c27dc106be"
MOTION = "1e72c6b6d204e543674f69a0ed016ec74aa109df79c0d52d060b88b5a33051a8"


@pytest.fixture(scope="module")
def student():
    return registry.load("transnetv2", weights={}, frames=16, device=CPU)


def sha256(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in arrays))


def test_the_cards_are_the_same_for_ever():
    drawn = cards.clips(16)
    assert sha256([card.frames for card in drawn]).hexdigest() == PICTURES
    assert sha256([card.motion for card in drawn]).hexdigest() == MOTION
    assert drawn[0].frames.shape == (32, 240, 320, 3)


def test_the_cards_differ_and_move():
    first, second, third = cards.clips(1)
    for one, other in ((first, second), (second, third), (third, first)):
        assert (one.frames != other.frames).mean() > 0.5
    assert all((card.frames[0] != card.frames[-1]).mean() > 0.1 for card in (first, second, third))


@pytest.mark.parametrize("name", ["transnetv2", "efficientnet_lite0", "motion_vectors"])
def test_backbones_with_packaged_weights_see_what_they_should(name):
    backbone = registry.load(name, weights={}, frames=16, device=CPU)
    seen = cards.look(backbone, CPU)
    (known,) = [entry for entry in golden.known() if entry.key == seen.key]
    assert golden.distance(seen, known) <= golden.TOLERANCE


def test_a_preprocessing_that_changed_is_noticed(student):
    right = cards.look(student, CPU)
    student.inputs = replace(student.inputs, mean=(0.1, 0.1, 0.1))
    assert golden.distance(cards.look(student, CPU), right) > 10 * golden.TOLERANCE


def test_a_weight_that_changed_is_noticed():
    student: Any = registry.load("transnetv2", weights={}, frames=16, device=CPU)
    right = cards.look(student, CPU)
    with torch.no_grad():
        for value in student.blocks[1].parameters():
            value.mul_(1.05)
    assert golden.distance(cards.look(student, CPU), right) > golden.TOLERANCE
