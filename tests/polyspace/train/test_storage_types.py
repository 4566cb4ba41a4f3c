"""Training says the same whatever type its features are stored in, as far as the type can."""

import pytest

from polyspace.engine import checkpoint
from polyspace.train import train_converter
from tests.support.stores import make_store

TOLERANCES = {"float16": 1e-4, "scaled": 1e-4, "bfloat16": 2e-3, "int8": 2e-3}
"""Of R2 on the hold-out, against float32; about the square of each type's relative error, and some
room for the order of sums."""


@pytest.fixture(scope="module")
def scores_of(tmp_path_factory, converter_settings, finish):
    def train(storage):
        folder = tmp_path_factory.mktemp(storage)
        make_store(folder, "train", storage=storage)
        made = finish(train_converter.run(converter_settings(folder, folder / "out")))
        return checkpoint.load(made, "converters")["scores"]

    return train


@pytest.fixture(scope="module")
def exact(scores_of):
    return scores_of("float32")


@pytest.mark.parametrize("storage", TOLERANCES)
def test_training_scores_as_with_float32(scores_of, exact, storage):
    found = scores_of(storage)
    assert found.keys() == exact.keys()
    for teacher, score in exact.items():
        assert found[teacher] == pytest.approx(score, abs=TOLERANCES[storage])
