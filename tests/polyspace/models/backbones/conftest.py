"""Backbones loaded once for all tests of this folder, and a wall before the network."""

import socket
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch

from polyspace.models.backbones import registry
from polyspace.models.backbones.protocol import Backbone

CPU = torch.device("cpu")
TINY = {name: "random-tiny" for name in ("vjepa2", "videomae", "timesformer", "vivit")}
FRAMES = {"efficientnet_lite0": 2}
"""Of backbones that pay for each frame; the others get 8 where their count is free."""


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Nobody's own weights, no hub, and an error for whoever dials out all the same."""
    monkeypatch.delenv("POLYSPACE_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket.socket, "connect", _refuse)


@pytest.fixture(scope="session")
def loaded() -> Iterator[Callable[[str], Backbone]]:
    """Load each backbone at most once, with few frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("POLYSPACE_WEIGHTS", raising=False)

        @cache
        def load(name: str) -> Backbone:
            given = {name: TINY[name]} if name in TINY else {}
            return registry.load(name, weights=given, frames=FRAMES.get(name, 8), device=CPU)

        yield load


def _refuse(self, address):
    raise AssertionError(f"a test dialled {address}")
