from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyspace.data.clips import Clip, Manifest
from polyspace.data.splits import hold_out, validation

TEN_GROUPS = [f"video_{number}" for number in range(10) for _ in range(3)]


def test_a_fifth_of_the_groups_is_kept_back():
    kept = hold_out(TEN_GROUPS, [0] * 30, share=0.2)

    assert kept.sum() == 2 * 3


def test_clips_of_one_group_stay_together():
    kept = hold_out(TEN_GROUPS, [0] * 30)

    assert all(len(set(kept[start : start + 3])) == 1 for start in range(0, 30, 3))


def test_the_choice_does_not_depend_on_the_order_of_the_clips():
    order = np.random.default_rng(0).permutation(30)
    shuffled = hold_out([TEN_GROUPS[place] for place in order], [0] * 30)

    assert np.array_equal(shuffled, hold_out(TEN_GROUPS, [0] * 30)[order])


def test_another_seed_chooses_others():
    chosen = {tuple(hold_out(TEN_GROUPS, [0] * 30, seed=seed)) for seed in range(5)}

    assert len(chosen) > 1


def test_a_class_of_one_group_keeps_it():
    kept = hold_out(["a", "b", "c"], [0, 1, 1])

    assert not kept[0]
    assert kept[1:].sum() == 1


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=40, unique=True),
    st.sampled_from([0.1, 0.25, 0.5, 0.9]),
)
def test_no_class_loses_all_of_its_groups(pairs, share):
    groups, labels = [f"g{group}" for group, _ in pairs], [label for _, label in pairs]

    kept = hold_out(groups, labels, share=share)

    for label in set(labels):
        assert not kept[np.array(labels) == label].all()


def test_validation_is_what_training_keeps_back():
    clips = tuple(Clip(f"c{n}", f"c{n}.mp4", n % 2, f"g{n}") for n in range(20))
    train = Manifest("ucf101", "train", Path("root"), ("A", "B"), clips)

    part = validation(train)

    kept = hold_out([clip.group for clip in clips], [clip.label for clip in clips])
    assert part.split == "validation"
    assert part.clips == tuple(clip for clip, held in zip(clips, kept, strict=True) if held)
