import numpy as np
import pytest
import torch

from polyspace.models.converters import ConverterKind, ConverterSpec, Translator
from polyspace.models.normalizers import NormalizerKind
from polyspace.train import fit
from polyspace.train.batches import divide
from polyspace.train.sources import StoredClips


@pytest.fixture
def division(train):
    return divide(train, train.rows(("stu", "flow", "look")), share=0.2, seed=0)


def translator(
    clips,
    *,
    kind: ConverterKind = "ridge",
    reach=0,
    normalizer: NormalizerKind = "per_dimension",
):
    torch.manual_seed(0)
    specs = {
        name: ConverterSpec(
            source=clips.shape("stu"),
            target=clips.shape(name),
            kind=kind,
            reach=reach,
            hidden=8,
            normalizer=normalizer,
        )
        for name in ("flow", "look")
    }
    return Translator("stu", specs).eval()


def r2(model, clips, teacher, rows):
    with torch.no_grad():
        said = model[teacher](model.student(clips.tokens("stu", rows)))
        true = model[teacher].teacher(clips.tokens(teacher, rows))
    return 1 - float((said - true).square().sum() / true.square().sum())


def started(clips, division, **settings):
    model = translator(clips, **settings)
    with torch.no_grad():
        fit.start(model, clips, division)
    return model


def test_a_standardizer_is_measured_on_the_given_rows_alone(train, division):
    found = fit.standardizer(train, "flow", division.fit)
    values = train.tokens("flow", division.fit).flatten(0, -2).double().numpy()
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.std, values.std(0), rtol=1e-5)


@pytest.mark.parametrize("reach", [0, 1])
def test_ridge_recovers_a_linear_teacher_on_other_clips(train, test_clips, division, reach):
    model = started(train, division, reach=reach)
    assert r2(model, test_clips, "flow", np.arange(36)) > 0.9999


def test_ridge_follows_the_linear_part_of_a_teacher_and_not_the_rest(train, test_clips, division):
    model = started(train, division)
    assert 0.5 < r2(model, test_clips, "look", np.arange(36)) < 0.95


def test_the_mean_explains_nothing(train, division):
    model = started(train, division, kind="mean")
    for teacher in ("flow", "look"):
        assert r2(model, train, teacher, division.fit) == pytest.approx(0, abs=1e-5)


def test_procrustes_lies_between_the_mean_and_ridge(train, test_clips, division):
    rows = np.arange(36)
    found = [
        r2(started(train, division, kind=kind), test_clips, "flow", rows)
        for kind in ("mean", "procrustes", "ridge")
    ]
    assert found == sorted(found)
    assert found[1] > 0.5


@pytest.mark.parametrize("kind", ["linear", "residual_mlp"])
def test_trained_kinds_start_where_ridge_ends(train, division, kind):
    solved, trained = started(train, division), started(train, division, kind=kind)
    for teacher in ("flow", "look"):
        one, other = (r2(model, train, teacher, division.held) for model in (solved, trained))
        assert one == pytest.approx(other, abs=1e-6)


def test_moments_are_of_all_tokens_of_both_parts(train, division):
    model = started(train, division)
    with torch.no_grad():
        found = fit.moments(model, "look", train, division)
    assert (found.fit.count, found.held.count) == (2 * len(division.fit), 2 * len(division.held))


def test_nothing_is_measured_on_held_out_clips(train, division):
    """Whatever stands in the held-out rows, standardizers are the same."""
    spoiled = _Spoiled(train, division.held)
    for teacher in ("flow", "look"):
        one, other = (measured(started(clips, division), teacher) for clips in (train, spoiled))
        assert torch.equal(one["mean"], other["mean"])
        assert torch.equal(one["std"], other["std"])


class _Spoiled(StoredClips):
    """Clips some of whose tokens are absurd."""

    def __init__(self, clips, rows):
        super().__init__(clips.store, clips.device)
        self._rows = rows

    def tokens(self, backbone, rows):
        values = super().tokens(backbone, rows)
        values[torch.from_numpy(np.isin(rows, self._rows))] = 1e4
        return values


def measured(model, teacher):
    """Give what a teacher's normalizer was fitted to."""
    return model[teacher].teacher.state_dict()


@pytest.mark.parametrize("normalizer", ["none", "isotropic", "pca_whitening"])
def test_ridge_recovers_a_linear_teacher_in_every_space(train, test_clips, division, normalizer):
    model = started(train, division, normalizer=normalizer)
    rows = np.arange(36)
    with torch.no_grad():
        said = model["flow"](model.student(test_clips.tokens("stu", rows)))
        own = model["flow"].teacher.inverse(said)
    torch.testing.assert_close(own, test_clips.tokens("flow", rows), rtol=0, atol=0.02)


def test_normalizers_are_fitted_on_the_given_rows_alone(train, division):
    model = started(train, division, normalizer="isotropic")
    values = train.tokens("flow", division.fit).flatten(0, -2).double().numpy()
    deviation = values.var(0).mean() ** 0.5
    np.testing.assert_allclose(measured(model, "flow")["std"], np.full(3, deviation), rtol=1e-5)


def test_the_shrinkage_reaches_the_normalizer(train, division):
    model = translator(train, normalizer="pca_whitening")
    with torch.no_grad():
        fit.start(model, train, division, shrinkage=1.0)
    std = measured(model, "look")["std"]
    torch.testing.assert_close(std, std.mean().expand(8))
