"""Variations beside the base: exact answers from hits that are written down."""

import json

import numpy as np
import pytest

from polyspace.errors import DatasetError, RecordError
from polyspace.metrics.intervals import holm
from polyspace.train.ablation_results import Entry, Trained, scores, table

GROUPS = np.array([f"g{number // 4}" for number in range(40)])
"""Ten groups of four clips."""


def write(out, name, hits, ids=None, parameters=7):
    """Write the scores of a model that hits these clips."""
    folder = out / name
    folder.mkdir(parents=True)
    hits = np.asarray(hits, bool)
    logits = np.zeros((len(hits), 2), np.float32)
    logits[np.arange(len(hits)), np.where(hits, 0, 1)] = 1
    np.savez(
        folder / "clips.npz",
        ids=np.array(ids or [f"c{number}" for number in range(len(hits))]),
        groups=GROUPS[: len(hits)],
        labels=np.zeros(len(hits), int),
        logits=logits,
    )
    (folder / "scored.json").write_text(json.dumps({"parameters": parameters}))
    return name


def entry(out, name, hits, student=None, **changes):
    """Give a variation that was trained with as many seeds as there are rows of hits."""
    trained = tuple(
        Trained(
            seed=seed,
            score=write(out, f"{name}-{seed}", row),
            student=write(out, f"{name}-{seed}-alone", np.zeros(len(row))),
            r2={"flow": 0.2 * seed},
            held_top1=0.5,
            seconds=2.0 + 2 * seed,
        )
        for seed, row in enumerate(hits)
    )
    settings = {"group": "joins", "changed": {"what": name}, "trained": trained}
    return Entry.model_validate({"name": name, **settings, **changes})


HALF = np.arange(40) % 4 < 2
MORE = np.arange(40) % 4 < 3


@pytest.fixture
def base(tmp_path):
    return entry(tmp_path, "base", [HALF, HALF], group="base", changed={}, lists_student=True)


def rows(tmp_path, *entries):
    return table(entries, tmp_path, resamples=500)


def test_values_and_differences_are_those_of_the_hits(base, tmp_path):
    found = rows(tmp_path, base, entry(tmp_path, "more", [MORE, HALF]))
    assert [row.name for row in found] == ["base", "student alone", "more"]
    own, alone, more = found
    assert own.top1 is not None
    assert (own.top1.value, own.seeds, own.to_base) == (0.5, (0.5, 0.5), None)
    assert more.top1 is not None
    assert more.top1.value == pytest.approx(0.625)
    assert more.seeds == (0.75, 0.5)
    assert more.to_base is not None
    assert more.to_base.value == pytest.approx(0.125)
    assert more.over_student is not None
    assert more.over_student.value == pytest.approx(0.625)
    assert (more.r2, more.seconds, more.parameters) == ({"flow": 0.1}, 3.0, 7)
    assert alone.to_base is not None
    assert (alone.to_base.value, alone.is_student) == (-0.5, True)


def test_what_is_the_same_in_every_group_is_certain_and_what_is_equal_is_not(base, tmp_path):
    found = rows(
        tmp_path,
        base,
        entry(tmp_path, "more", [MORE, MORE]),
        entry(tmp_path, "same", [HALF, HALF]),
    )
    more, same = found[2:]
    assert more.to_base is not None
    assert (more.to_base.low, more.to_base.high) == (0.25, 0.25)
    assert more.holm_p is not None
    assert more.holm_p < 0.05
    assert same.to_base is not None
    assert (same.to_base.low, same.to_base.high, same.holm_p) == (0.0, 0.0, 1.0)


def test_p_is_corrected_for_all_differences_to_the_base(base, tmp_path):
    draws = np.random.default_rng(0)
    entries = [entry(tmp_path, f"v{number}", draws.random((2, 40)) < 0.7) for number in range(4)]
    found = [row for row in rows(tmp_path, base, *entries) if row.to_base]
    assert len(found) == 5
    expected = holm([row.to_base.p for row in found if row.to_base])
    assert [row.holm_p for row in found] == expected


def test_a_gap_is_a_row_with_its_reason(base, tmp_path):
    gap = Entry(name="views", group="views", changed={}, gap="one view")
    last = rows(tmp_path, base, gap)[-1]
    assert (last.name, last.gap, last.top1, last.to_base) == ("views", "one view", None, None)


def test_other_clips_are_refused(base, tmp_path):
    other = entry(tmp_path, "other", [HALF, HALF])
    (tmp_path / "other-1").rename(tmp_path / "gone")
    write(tmp_path, "other-1", HALF, ids=[f"d{number}" for number in range(40)])
    with pytest.raises(RecordError, match="not the same ones"):
        rows(tmp_path, base, other)


def test_missing_scores_say_what_to_do(base, tmp_path):
    (tmp_path / "base-0" / "clips.npz").unlink()
    with pytest.raises(RecordError, match=r"base-0: no scores .* run the ablation again"):
        scores(tmp_path, ["base-0"])


def test_one_group_gives_no_interval(tmp_path):
    one = entry(tmp_path, "base", [HALF[:4]], group="base", changed={})
    with pytest.raises(DatasetError, match="at least two"):
        rows(tmp_path, one)
