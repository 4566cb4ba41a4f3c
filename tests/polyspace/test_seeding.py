import torch
from hypothesis import given
from hypothesis import strategies as st

from polyspace.seeding import derive, generator


@given(st.integers(), st.lists(st.one_of(st.integers(), st.text())))
def test_seeds_are_63_bit_numbers_that_torch_takes(seed, purpose):
    derived = derive(seed, *purpose)
    assert 0 <= derived < 2**63
    torch.Generator().manual_seed(derived)


def test_the_same_purpose_has_the_same_seed_on_every_machine():
    # sha256 of "0/shuffle/1": a constant, so that a run can be repeated years later.
    assert derive(0, "shuffle", 1) == 9039233566760333659


def test_purposes_and_seeds_do_not_share_draws():
    seeds = {
        derive(seed, *purpose) for seed in (0, 1) for purpose in ((), ("a",), ("a", 1), ("b",))
    }
    assert len(seeds) == 8


def test_generators_of_one_purpose_repeat_each_other_and_touch_nothing_else():
    state = torch.get_rng_state()
    first = torch.rand(4, generator=generator(0, "weights"))
    torch.rand(4, generator=generator(0, "data"))
    again = torch.rand(4, generator=generator(0, "weights"))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
