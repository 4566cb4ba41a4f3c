import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import entropy

from polyspace.errors import ExportError
from polyspace.export.proof.compare import RESAMPLES, SHOWN, UNDECIDED, HeldOut, compare, kl

CLASSES = ("left", "right", "still")


def held(labels, *, views=1, groups=None):
    names = tuple(f"clip-{row:03d}" for row in range(len(labels)))
    return HeldOut(names, groups or names, np.array(labels), CLASSES, views)


def draw(clips, *, seed=0, scale=1.0, classes=3):
    return scale * torch.randn(clips, classes, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 10_000), st.floats(0, 30), st.floats(0, 5))
def test_the_divergence_is_scipys(seed, scale, noise):
    before = draw(5, seed=seed, scale=scale)
    after = before + noise * draw(5, seed=seed + 1)
    chances = (softmax(said.double().numpy(), axis=1) for said in (before, after))
    expected = entropy(*chances, axis=1)
    np.testing.assert_allclose(kl(before, after).numpy(), expected, rtol=1e-6, atol=1e-12)


def test_the_divergence_of_the_same_is_nothing_and_goes_from_source_to_export():
    before, after = draw(9, scale=30), draw(9, seed=1)
    assert torch.equal(kl(before, before), torch.zeros(9).double())
    assert (kl(before, after) - kl(after, before)).abs().min() > 1e-3
    found = compare(before, after, held([0, 1, 2] * 3))
    assert found.mean_kl == pytest.approx(float(kl(before, after).mean()))
    assert found.max_kl == pytest.approx(float(kl(before, after).max()))


def test_accuracies_their_difference_and_agreement_are_counted():
    labels = [0, 1, 2, 0, 1]
    before = 5 * torch.eye(3)[[0, 1, 2, 0, 0]]  # the last is wrong
    after = 5 * torch.eye(3)[[0, 1, 0, 1, 1]]  # the third and fourth are wrong
    found = compare(before, after, held(labels))
    assert (found.clips, found.looks, found.groups) == (5, 5, 5)
    assert found.top1_source.value == pytest.approx(0.8)
    assert found.top1_export.value == pytest.approx(0.6)
    assert found.difference_points.value == pytest.approx(-20)
    assert found.difference_points.low < -20 < found.difference_points.high
    assert found.agreement == pytest.approx(0.4)
    assert found.max_abs_logit == pytest.approx(5)
    assert found.mean_abs_logit == pytest.approx(5 * 6 / 15)


def test_the_interval_of_clips_that_share_nothing_is_scipys():
    labels = np.arange(120) % 3
    before = draw(120) + 1.2 * torch.eye(3)[labels]
    found = compare(before, before, held(labels.tolist()))
    right = (before.argmax(1).numpy() == labels).astype(float)
    other = scipy_bootstrap(
        (right,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.top1_source.low == pytest.approx(other.low, abs=0.02)
    assert found.top1_source.high == pytest.approx(other.high, abs=0.02)


def test_clips_of_one_group_make_the_interval_wider():
    labels = np.arange(120) % 3
    right = np.arange(120) % 8 < 5  # whole groups are right or wrong
    before = 5 * torch.eye(3)[np.where(right, labels, (labels + 1) % 3)]
    groups = tuple(f"g{row % 8}" for row in range(120))
    alone, shared = (
        compare(before, before, held(labels.tolist(), groups=of)).top1_source
        for of in (None, groups)
    )
    assert shared.value == alone.value
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


def test_the_same_answers_differ_by_nothing_with_certainty():
    before = draw(30)
    found = compare(before, before.clone(), held([0, 1, 2] * 10))
    points = found.difference_points
    assert (points.value, points.low, points.high) == (0, 0, 0)
    assert (found.agreement, found.max_abs_logit, found.max_kl, found.changed) == (1, 0, 0, ())


def test_two_proofs_of_the_same_answers_are_the_same():
    before, after = draw(30), draw(30, seed=1)
    assert compare(before, after, held([0, 1, 2] * 10)) == compare(
        before, after, held([0, 1, 2] * 10)
    )


def test_a_clips_class_comes_from_the_mean_of_its_views_chances():
    # The first view is very sure of class 0, two others prefer class 1 by a little: the mean of
    # chances says 0; neither the most views nor the mean of such logits would.
    sure = torch.tensor([[3.0, 0.0, -9.0]])
    unsure = torch.tensor([[0.0, 0.2, -9.0]])
    before = torch.cat([sure, unsure, unsure, unsure, unsure, sure])
    after = torch.cat([unsure] * 6)
    found = compare(before, after, held([0, 0], views=3))
    assert (found.clips, found.looks) == (2, 6)
    assert found.top1_source.value == 1
    assert found.top1_export.value == 0
    assert [clip.before for clip in found.changed] == ["left", "left"]


def test_clips_that_changed_are_named_the_surest_first():
    labels = [0] * 50
    margins = torch.linspace(0.1, 4, 50)
    before = torch.stack([margins, torch.zeros(50), torch.full((50,), -9.0)], dim=1)
    after = before[:, [1, 0, 2]]
    found = compare(before, after, held(labels))
    assert len(found.changed) == SHOWN
    assert [clip.id for clip in found.changed] == [f"clip-{row:03d}" for row in range(49, 29, -1)]
    first = found.changed[0]
    assert (first.label, first.before, first.after) == ("left", "left", "right")
    top = softmax(before[49].double().numpy())
    assert first.margin == pytest.approx(top[0] - top[1], rel=1e-5)


def test_a_clip_without_a_likeliest_class_has_none():
    before, after = torch.tensor([[2.0, 0, 0], [0, 2.0, 0]]), torch.tensor([[2.0, 2, 0], [0, 2, 0]])
    found = compare(before, after, held([0, 1]))
    assert [clip.after for clip in found.changed] == [UNDECIDED]
    assert found.top1_export.value == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("who", ["source", "export"])
def test_logits_that_are_not_finite_are_refused(value, who):
    before, after = draw(6), draw(6)
    {"source": before, "export": after}[who][2, 1] = value
    with pytest.raises(ExportError, match=f"the {who} gives logits that are not finite for 1 of 6"):
        compare(before, after, held([0, 1, 2] * 2))


def test_answers_of_another_number_of_classes_are_refused():
    with pytest.raises(ExportError, match=r"shape \(6, 2\), its source of \(6, 3\)"):
        compare(draw(6), draw(6, classes=2), held([0, 1, 2] * 2))


def test_held_out_clips_are_those_of_the_store_once_each(exported_source, tmp_path):
    clips = exported_source.clips()
    found = HeldOut.of(clips, "stu", clips.class_names)
    assert (found.ids, found.groups) == (clips.store.ids, clips.store.groups)
    assert found.labels.tolist() == clips.store.labels.tolist()
    assert found.views == 1
