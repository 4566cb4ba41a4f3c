import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyspace.errors import DatasetError
from polyspace.report.records.arrays import read_frames
from polyspace.report.records.inference import Shown
from polyspace.train import showcase
from polyspace.train.fusion_workload import predict, translated
from polyspace.train.showcase import Chosen
from polyspace.train.sources import StoredClips
from tests.support.filmed import STUDENT, TEACHERS, distil
from tests.support.stores import make_store

CPU = torch.device("cpu")
THREE = 3


def chances_of(sure, said):
    """Give chances of three classes, of which one is said with a certainty."""
    rest = (1 - np.array(sure)) / (THREE - 1)
    chances = np.repeat(rest[:, None], THREE, axis=1)
    chances[np.arange(len(sure)), said] = sure
    return chances


def test_the_surest_come_first_and_one_of_a_group_is_enough():
    chances = chances_of([0.9, 0.8, 0.99, 0.7, 0.6, 0.95], [0, 1, 1, 0, 2, 2])
    labels = np.array([0, 0, 1, 1, 2, 0])
    groups = ("a", "b", "a", "b", "c", "c")
    chosen = showcase.choose(chances, labels, groups, count=2)
    assert chosen == Chosen(worst=(5, 1), best=(2, 4))


def test_of_equally_sure_ones_the_first_is_taken():
    chances = chances_of([0.8] * 4, [0, 0, 1, 1])
    chosen = showcase.choose(chances, np.zeros(4, int), ("a", "b", "a", "b"), count=1)
    assert chosen == Chosen(worst=(2,), best=(0,))


@given(st.data())
def test_what_is_chosen_is_what_its_name_says(data):
    count = data.draw(st.integers(1, 12))
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    chances = draw.dirichlet(np.ones(THREE), count)
    labels, groups = draw.integers(0, THREE, count), tuple(map(str, draw.integers(0, 4, count)))
    chosen = showcase.choose(chances, labels, groups, count=3)
    right = chances.argmax(1) == labels
    for places, among in ((chosen.worst, ~right), (chosen.best, right)):
        held = [groups[n] for n in places]
        assert len(set(held)) == len(held)
        assert len(held) == min(3, len({groups[n] for n in np.flatnonzero(among)}))
        assert all(among[n] for n in places)
        sure = [chances[n].max() for n in places]
        assert sure == sorted(sure, reverse=True)
        left = [n for n in np.flatnonzero(among) if groups[n] not in held]
        assert all(chances[n].max() <= min(sure) for n in left)


def test_chances_that_are_no_numbers_are_refused():
    chances = chances_of([0.9, np.nan], [0, 0])
    with pytest.raises(DatasetError, match="1 of 2 clips have chances that are no numbers"):
        showcase.choose(chances, np.zeros(2, int), ("a", "b"))


def show(filmed, root):
    clips = filmed.clips()
    model = distil(clips, TEACHERS)
    rows = clips.rows((STUDENT, *TEACHERS))
    said = predict(model.fusion, translated(clips, model.translator), rows, batch=4)
    chances = said.logits.softmax(-1).numpy()
    chosen = Chosen(worst=(2,), best=(0, 1))
    return clips, said, showcase.show(model, clips, rows, chances, chosen, root=root)


def test_a_clip_is_shown_with_its_frames_and_what_its_gates_did(filmed):
    clips, said, case = show(filmed, filmed.root)
    assert [shown.id for shown in case.shown] == [clips.ids[n] for n in (2, 0, 1)]
    assert [shown.rank for shown in case.shown] == ["worst", "best", "best"]
    for place, shown, strip in zip((2, 0, 1), case.shown, case.frames, strict=True):
        assert not shown.missing
        assert strip is not None
        # 96 x 64 pixels are small enough as they are.
        assert strip.shape == (showcase.COUNT, 64, 96, 3)
        # Twelve frames, 25 a second.
        assert shown.frame_seconds[0] == 0
        assert shown.frame_seconds[-1] == pytest.approx(0.44)
        chances = said.logits[place].softmax(-1)
        assert shown.chance == pytest.approx(float(chances.max()), abs=1e-5)
        assert shown.true_chance == pytest.approx(float(chances[clips.labels[place]]), abs=1e-5)
        gate = said.gates["transnetv2"][place].mean(-1)
        assert shown.gates["transnetv2"] == pytest.approx(gate.tolist(), abs=1e-5)
        assert len(shown.gate_seconds) == len(gate)
        assert shown.gate_seconds[-1][1] == pytest.approx(0.48)


def test_large_pictures_become_small_and_keep_their_shape(filmed, monkeypatch):
    monkeypatch.setattr(showcase, "SIDE", 48)
    case = show(filmed, filmed.root)[-1]
    assert {strip.shape for strip in case.frames if strip is not None} == {(6, 32, 48, 3)}


def test_videos_that_are_not_here_are_a_stated_gap(filmed, tmp_path):
    case = show(filmed, None)[-1]
    assert case.frames == (None,) * 3
    reasons = {shown.missing["frames"] for shown in case.shown}
    assert reasons == {"no folder of the videos was given: name it with --root"}
    assert all(shown.gates for shown in case.shown)


def test_what_is_written_is_read_back(filmed, tmp_path):
    case = show(filmed, filmed.root)[-1]
    strips = (case.frames[0], None, case.frames[2])
    showcase.save(tmp_path / "frames.npz", strips)
    read = read_frames(tmp_path / "frames.npz", 3)
    assert [own is None for own in read] == [False, True, False]
    assert (read[0] == strips[0]).all()
    assert (read[2] == strips[2]).all()
    text = json.dumps([asdict(shown) for shown in case.shown], allow_nan=False)
    for shown, content in zip(case.shown, json.loads(text), strict=True):
        assert Shown.model_validate_json(json.dumps(content)).id == shown.id


def test_of_several_views_the_middle_one_is_shown_with_its_own_gates(tmp_path):
    make_store(tmp_path, "test", clips=6, groups=3, views=3)
    clips = StoredClips.find(tmp_path, dataset="toy", split="test", device=CPU)
    model = distil(clips, ("flow", "look"))
    rows = clips.rows((clips.student, "flow", "look"))
    said = predict(model.fusion, translated(clips, model.translator), rows, batch=32)
    chances = said.over_views(3).logits.softmax(-1).numpy()
    case = showcase.show(model, clips, rows[::3], chances, Chosen((1,), ()), root=None)
    [shown] = case.shown
    assert (shown.view, shown.views, shown.id) == (1, 3, clips.ids[3])
    gate = said.gates["flow"][3 + 1].mean(-1)
    assert shown.gates["flow"] == pytest.approx(gate.tolist(), abs=1e-5)
