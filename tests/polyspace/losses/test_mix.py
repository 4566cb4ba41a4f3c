import pytest
import torch

from polyspace.errors import ConfigError, UnknownNameError
from polyspace.losses import pointwise
from polyspace.losses.mix import LEAST_CLIPS, LOSSES, LossMix

VIDEOS = torch.arange(4)


def tokens(seed=0):
    return torch.randn(4, 2, 3, 5, generator=torch.Generator().manual_seed(seed))


def test_terms_are_weighted_and_named_as_they_were_written():
    found = LossMix.parse(["cosine=0.9", "pooled_l2=2"])(tokens(), tokens(1), VIDEOS)
    assert list(found) == ["cosine", "pooled_l2"]
    assert torch.equal(found["cosine"], 0.9 * pointwise.cosine(tokens(), tokens(1)))
    means = (tokens().mean((1, 2)), tokens(1).mean((1, 2)))
    assert torch.equal(found["pooled_l2"], 2 * pointwise.l2(*means))


@pytest.mark.parametrize("name", [*LOSSES, *(f"pooled_{name}" for name in LOSSES)])
def test_every_loss_is_a_finite_number_with_finite_gradients(name):
    predicted = tokens().requires_grad_()
    (value,) = LossMix.parse([f"{name}=1"])(predicted, tokens(1), VIDEOS).values()
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
    assert predicted.grad.any()


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"vicreg", "barlow_twins"}))
def test_a_perfect_translation_costs_least(name):
    mix = LossMix.parse([f"{name}=1"])
    perfect, other = (mix(said, tokens(), VIDEOS)[name] for said in (tokens(), tokens(1)))
    assert perfect < other


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["cosin=0.9"], "unknown loss 'cosin': did you mean 'cosine'"),
        (["pooled_cosin=1"], "did you mean 'pooled_cosine'"),
        (["cosine"], "loss 'cosine': expected a positive weight, as in cosine=0.5"),
        (["cosine=much"], "loss 'cosine=much': expected a positive weight"),
        (["l1=0"], "loss 'l1=0'"),
        (["l1=-1"], "loss 'l1=-1'"),
        (["l1=nan"], "loss 'l1=nan'"),
        (["l1=inf"], "loss 'l1=inf'"),
        (["l1=1", "l2=1", "l1=2"], "found l1 twice, expected each one once"),
        ([], "found none"),
    ],
)
def test_what_cannot_be_minimised_is_refused_in_one_line(texts, message):
    with pytest.raises(ConfigError, match=message) as refused:
        LossMix.parse(texts)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_is_an_unknown_name():
    with pytest.raises(UnknownNameError):
        LossMix.parse(["mse=1"])


@pytest.mark.parametrize("name", LEAST_CLIPS)
def test_losses_that_compare_clips_refuse_batches_too_small_to_compare(name):
    mix = LossMix.parse(["cosine=1", f"{name}=1"])
    assert mix.least_clips == LEAST_CLIPS[name]
    mix.check(LEAST_CLIPS[name])
    with pytest.raises(ConfigError, match=f"{name} compares the clips .* raise --batch"):
        mix.check(LEAST_CLIPS[name] - 1)


def test_losses_of_single_tokens_take_single_clips():
    LossMix.parse(["cosine=1", "pooled_l1=1"]).check(1)
