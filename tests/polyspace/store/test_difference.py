from dataclasses import replace

import pytest

from polyspace.store.difference import compare
from polyspace.store.repack import Packing, repack
from tests.support.stages import finish


def test_a_store_does_not_differ_from_itself_however_it_is_cut(store, tmp_path):
    packed = finish(repack(store, tmp_path / "packed.zarr", Packing(clips_per_chunk=3)))
    found = compare(store, packed)
    assert found.lines == ()
    assert str(found) == "the same clips, labels, settings and features"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda s: s.named("student"), "1 backbones only on the left: teacher"),
        (
            lambda s: replace(s, header=replace(s.header, split="test")),
            'header split: "train" | "test"',
        ),
        (
            lambda s: replace(s, quarantined={s.rows.ids[3]: "damaged"}),
            "1 clips with features of student only on the left: v_Tähti_g03",
        ),
        (
            lambda s: replace(s, rows=replace(s.rows, labels=1 - s.rows.labels)),
            "10 clips with another group or label: v_Tähti_g00, v_Tähti_g01, v_Tähti_g02, "
            "v_Tähti_g03, v_Tähti_g04 and 5 more",
        ),
    ],
)
def test_what_differs_is_named(sample, store, tmp_path, change, line):
    other = change(sample).write(tmp_path / "other.zarr")
    assert line in compare(store, other).lines


def test_clips_with_other_features_are_named(sample, store, tmp_path):
    spec = replace(sample.specs[1], provenance={"weights": {"fingerprint": "other"}})
    other = replace(sample, specs=(sample.specs[0], spec)).write(tmp_path / "other.zarr")
    (line,) = compare(store, other).lines
    assert line.startswith("teacher fingerprints: ")


def test_clips_that_only_one_has_are_named(sample, make_sample, store, tmp_path):
    more = make_sample(clips=11).write(tmp_path / "more.zarr")
    assert "1 clips only on the right: v_Tähti_g10" in compare(store, more).lines
    assert "1 clips only on the left: v_Tähti_g10" in compare(more, store).lines
