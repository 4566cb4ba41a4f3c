import os
import shutil
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from polyspace.errors import StoreError
from polyspace.store import growth, ledger
from polyspace.store.layout import ClipRows
from polyspace.store.reader import FeatureStore
from polyspace.store.verification import verify
from tests.support.stages import finish


@pytest.fixture
def longer(make_sample):
    """The sample's clips and five more: the last work item of its three was half full."""
    return make_sample(clips=15)


def grow(path, sample):
    growth.grow(path, sample.header, sample.rows, sample.specs)


def pending(path, sample):
    with sample.open(path) as writer:
        return [row for item in writer.pending() for row in item.rows]


def inodes(path):
    return {
        file.relative_to(path): file.stat().st_ino
        for file in path.glob("*/*/c.*")
        if file.is_file()
    }


def alone(path):
    """Whether nothing is left of the change of place."""
    return [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_a_grown_store_is_what_one_made_of_all_clips_at_once_would_be(
    dtype, sample, longer, path, tmp_path
):
    def typed(one):
        specs = (replace(one.specs[0], dtype=dtype), *one.specs[1:])
        bad = {one.rows.ids[1]: "no frames", one.rows.ids[9]: "damaged"}
        return replace(one, specs=specs, quarantined=bad)

    typed(sample).write(path)
    before = inodes(path)
    grow(path, typed(longer))
    assert pending(path, typed(longer)) == list(range(8, 15))
    assert not finish(verify(path)).problems
    assert inodes(path).items() <= before.items()
    typed(longer).write(path)

    at_once = FeatureStore.open(typed(longer).write(tmp_path / "whole" / "motion_train.zarr"))
    store = FeatureStore.open(path)
    assert store.fingerprint == at_once.fingerprint
    assert store.coverage == at_once.coverage
    for name in store.backbones:
        rows = store.rows([name])
        assert torch.equal(store.tokens(name, rows), at_once.tokens(name, rows))
        assert store.lost(name) == at_once.lost(name)
    assert not finish(verify(path)).problems


def test_what_was_pending_stays_so(sample, longer, path):
    sample.write(path, items=1)
    grow(path, longer)
    assert pending(path, longer) == list(range(4, 15))


def test_backbones_that_are_not_asked_for_stay(sample, longer, path):
    sample.write(path)
    grow(path, longer.named("student"))
    assert sorted(FeatureStore.open(path).backbones) == ["student", "teacher"]


def test_a_store_that_has_all_clips_is_not_touched(sample, path):
    sample.write(path)
    before = path.stat().st_ino
    grow(path, sample)
    assert path.stat().st_ino == before
    assert alone(path)


def test_classes_may_be_added_before_those_that_there_were(sample, longer, path):
    sample.write(path)
    names = ("arc", *longer.header.class_names)
    labels = longer.rows.labels + 1
    labels[14] = 0
    rows = ClipRows(longer.rows.ids, longer.rows.groups, labels)
    grow(path, replace(longer, header=replace(longer.header, class_names=names), rows=rows))
    store = FeatureStore.open(path)
    assert [store.class_names[label] for label in store.labels[[0, 1, 14]]] == [
        "pan",
        "tilt",
        "arc",
    ]


def changed(rows, **changes):
    return ClipRows(**{"ids": rows.ids, "groups": rows.groups, "labels": rows.labels, **changes})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: replace(s, rows=changed(s.rows, ids=s.rows.ids[::-1])), "clip, group and class"),
        (lambda s: replace(s, rows=changed(s.rows, groups=("x",) * 15)), "'x'"),
        (lambda s: replace(s, rows=changed(s.rows, labels=1 - s.rows.labels)), "'tilt'"),
        (lambda s: replace(s, header=replace(s.header, protocol={"views": 2})), "views"),
        (lambda s: replace(s, header=replace(s.header, clips_per_chunk=5)), "clips_per_chunk"),
        (lambda s: replace(s, specs=(replace(s.specs[0], dtype="bfloat16"),)), "bfloat16"),
    ],
    ids=["order", "group", "class", "protocol", "chunks", "type"],
)
def test_another_data_set_is_refused_and_the_store_stays(change, words, sample, longer, path):
    before = FeatureStore.open(sample.write(path)).fingerprint
    with pytest.raises(StoreError, match="expected") as caught:
        grow(path, change(longer))
    assert words in str(caught.value)
    assert FeatureStore.open(path).fingerprint == before
    assert alone(path)


def test_fewer_clips_are_refused(sample, longer, path):
    longer.write(path)
    with pytest.raises(StoreError, match="expected None"):
        grow(path, sample)


class KilledError(Exception):
    """What a kill looks like from within."""


def test_a_kill_at_any_moment_leaves_the_old_store_or_the_longer_one(
    sample, longer, path, tmp_path, monkeypatch
):
    old = sample.write(tmp_path / "old.zarr")
    whole = FeatureStore.open(longer.write(tmp_path / "new.zarr")).fingerprint
    left = {}

    def dying(function):
        def call(*given, **named):
            if next(calls) == moment:
                raise KilledError
            return function(*given, **named)

        return call

    for moment in count():
        calls = count()
        shutil.copytree(old, path)
        with monkeypatch.context() as patched:
            patched.setattr(os, "link", dying(os.link))
            patched.setattr(shutil, "rmtree", dying(shutil.rmtree))
            patched.setattr(growth.LedgerFile, "append", dying(growth.LedgerFile.append))
            patched.setattr(Path, "rename", dying(Path.rename))
            try:
                grow(path, longer)
            except KilledError:
                pass
            else:
                break
        assert growth.may_grow(path)
        left[moment] = len(FeatureStore.open(path).ids)
        grow(path, longer)
        assert set(tmp_path.iterdir()) == {path, old, tmp_path / "new.zarr"}
        assert FeatureStore.open(longer.write(path)).fingerprint == whole
        shutil.rmtree(path)
    assert set(left.values()) == {10, 15}
    assert len(left) > 20


def test_who_comes_by_while_the_stores_change_places_does_no_harm(
    sample, longer, path, monkeypatch
):
    rename, seen = Path.rename, []

    def and_look(source, target):
        rename(source, target)
        if not seen:
            seen.append(True)
            assert growth.may_grow(path)
            assert len(FeatureStore.open(path).ids) == 15

    sample.write(path)
    monkeypatch.setattr(Path, "rename", and_look)
    grow(path, longer)
    assert alone(path)
    assert pending(path, longer) == list(range(8, 15))


def test_where_files_have_one_name_they_are_copied(sample, longer, path, monkeypatch):
    def refuse(*given):
        raise PermissionError

    sample.write(path)
    monkeypatch.setattr(os, "link", refuse)
    grow(path, longer)
    assert pending(path, longer) == list(range(8, 15))
    assert not finish(verify(path)).problems


def test_who_reads_the_old_store_goes_on_reading_its_full_work_items(sample, longer, path):
    reader = FeatureStore.open(sample.write(path))
    rows = np.arange(8)
    before = reader.tokens("student", rows)
    grow(path, longer)
    longer.write(path)
    assert torch.equal(reader.tokens("student", rows), before)


def test_who_writes_is_waited_for(sample, longer, path):
    growing = threading.Thread(target=grow, args=(path, longer))
    with sample.open(path) as writer:
        item = next(iter(writer.claims()))
        growing.start()
        growing.join(0.5)
        assert growing.is_alive()
        writer.write(item, sample.blocks(item), {})
        growing.join(10)
        assert not growing.is_alive()
        writer._leases.close()
    assert pending(path, longer) == list(range(4, 15))


def test_a_store_of_schema_1_becomes_one_of_today(make_sample, path):
    with ZipFile(Path(__file__).with_name("schema1.zip")) as archive:
        archive.extractall(path)
    old, made = ledger.read(path), make_sample(clips=15)
    made = replace(made, quarantined=old.quarantined("student"))
    grow(path, made)
    store = FeatureStore.open(made.write(path))
    assert store.coverage.pending == 0
    for spec in made.specs:
        rows = store.rows([spec.backbone])
        tokens, expected = store.tokens(spec.backbone, rows), made.stacked(spec, "tokens", rows)
        assert np.array_equal(tokens.numpy(), expected[:, 0])
    assert not finish(verify(path)).problems
