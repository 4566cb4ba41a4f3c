from dataclasses import replace

import pytest

from polyspace.store.layout import ClipRows
from polyspace.store.reader import FeatureStore


@pytest.fixture
def original(store):
    return FeatureStore.open(store).fingerprint


def test_is_64_hexadecimal_characters(original):
    assert len(original) == 64
    assert int(original, 16)


@pytest.mark.parametrize("clips_per_chunk", [1, 3, 10, 64])
def test_does_not_depend_on_how_clips_are_cut_into_files(
    original, make_sample, tmp_path, clips_per_chunk
):
    other = make_sample(clips_per_chunk=clips_per_chunk).write(tmp_path / "other.zarr")
    assert FeatureStore.open(other).fingerprint == original


def test_does_not_depend_on_the_order_of_writing_or_on_who_writes(original, sample, tmp_path):
    other = tmp_path / "other.zarr"
    for name in ("teacher", "student"):
        with sample.named(name).open(other) as writer:
            for item in reversed(writer.pending()):
                writer.write(item, sample.blocks(item), {})
    assert FeatureStore.open(other).fingerprint == original


def test_does_not_depend_on_what_is_only_a_record(original, sample, tmp_path):
    student, teacher = sample.specs
    weights = {"weights": {"fingerprint": "5e", "from": "elsewhere"}}
    moved = replace(sample, specs=(replace(student, provenance=weights), teacher))
    assert FeatureStore.open(moved.write(tmp_path / "other.zarr")).fingerprint == original


def _other_label(sample):
    rows = sample.rows
    return replace(sample, rows=ClipRows(rows.ids, rows.groups, 1 - rows.labels))


def _other_class(sample):
    return replace(sample, header=replace(sample.header, class_names=("pan", "zoom")))


def _other_weights(sample):
    student, teacher = sample.specs
    return replace(
        sample, specs=(replace(student, provenance={"weights": {"fingerprint": "5f"}}), teacher)
    )


def _one_clip_less(sample):
    return replace(sample, quarantined={sample.rows.ids[3]: "no frames"})


@pytest.mark.parametrize("change", [_other_label, _other_class, _other_weights, _one_clip_less])
def test_depends_on_everything_that_a_result_depends_on(original, sample, tmp_path, change):
    other = change(sample).write(tmp_path / "other.zarr")
    assert FeatureStore.open(other).fingerprint != original


def test_depends_on_every_feature(original, sample, tmp_path):
    other = tmp_path / "other.zarr"
    with sample.open(other) as writer:
        for item in writer.pending():
            blocks = sample.blocks(item)
            blocks["student"].tokens[0, 0, 0, 0, 0] += 2**-4
            writer.write(item, blocks, {})
    assert FeatureStore.open(other).fingerprint != original
