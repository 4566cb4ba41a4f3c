import json
from dataclasses import asdict, replace

import pytest
import torch

from polyspace.data import reload
from polyspace.models.fusion import Fusion
from polyspace.report.records.inference import Cost
from polyspace.train.cost import bench, memory, paths
from polyspace.train.cost.line import Line
from polyspace.train.cost.measure import measure
from polyspace.train.cost.memory import Peak
from polyspace.train.cost.rows import TOTAL
from polyspace.train.cost.timing import FEWEST, Effort
from tests.support.filmed import TEACHERS, distil
from tests.support.stages import follow

QUICK = Effort(batch=2, repeats=1, videos=3, processes=1, seconds=0.0)
NAMES = ["student", "fusion", "teacher:transnetv2", "true_teachers"]
FIGURES = (
    *("parameters", "flops", "clips_per_second"),
    *("peak_memory_bytes", "batched_memory_bytes"),
)


@pytest.fixture
def peaks(monkeypatch):
    """Memory by a fresh process is tested where it is measured."""
    asked = {}

    def of_paths(jobs):
        asked.update(jobs)
        return peaks_of(jobs)

    monkeypatch.setattr(memory, "of_paths", of_paths)
    return asked


def run(clips, root, **settings):
    """Measure, and hold that every gap is stated and nothing else is."""
    said, cost = follow(measure(distil(clips, teachers_of(clips)), clips, root=root, **settings))
    assert all(word.done <= word.total for word in said)
    assert [path.name for path in cost.paths]
    for path in cost.paths:
        absent = {part for part in (*paths.EVERYTHING,) if part not in path.latency_ms}
        absent -= set(FIGURES)
        absent |= {name for name in FIGURES if getattr(path, name) is None}
        assert absent == set(path.missing), path.name
        assert all(path.missing.values())
    return cost


def peaks_of(jobs):
    return {name: Peak(1, 2) for name in jobs}


def teachers_of(clips):
    return tuple(name for name in clips.store.backbones if name != clips.student)


@pytest.fixture(scope="module")
def whole(filmed):
    """Everything measured once, and whether the global generator noticed."""
    peaks = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "of_paths", lambda jobs: peaks.update(jobs) or peaks_of(jobs))
        state = torch.random.get_rng_state()
        cost = run(filmed.clips(), filmed.root, effort=QUICK)
        return cost, peaks, torch.equal(torch.random.get_rng_state(), state)


def test_every_path_is_measured_from_file_to_class(whole):
    cost, peaks, _ = whole
    assert [path.name for path in cost.paths] == NAMES == list(peaks)
    assert not cost.missing
    assert not any(path.missing for path in cost.paths)
    assert (cost.videos, cost.batch, cost.views) == (3, 2, 1)
    assert {path.repeats for path in cost.paths} == {FEWEST}
    assert all(job.clip is not None for job in peaks.values())


def test_whoever_draws_afterwards_does_not_notice(whole):
    assert whole[-1]


def test_the_record_is_read_back_as_it_was_written(whole):
    text = json.dumps(asdict(whole[0]), allow_nan=False)
    assert json.loads(Cost.model_validate_json(text).model_dump_json()) == json.loads(text)


def test_weights_and_work_are_those_of_all_that_runs(filmed, whole):
    clips = filmed.clips()
    model = distil(clips, TEACHERS)
    by_name = {path.name: path for path in whole[0].paths}

    def own(module):
        return sum(weight.numel() for weight in module.parameters())

    def head(name):
        shape = {"student": clips.shape(name), "teachers": {}}
        return own(Fusion(model.fusion.spec.model_copy(update=shape)))

    table = bench.equip(clips, TEACHERS, {}, None, QUICK)
    seen = reload.parameters(table.encoders["transnetv2"].backbone)
    assert by_name["student"].parameters == head("motion_vectors")
    assert by_name["fusion"].parameters == own(model)
    assert by_name["teacher:transnetv2"].parameters == seen + head("transnetv2")
    assert by_name["true_teachers"].parameters == seen + own(model.fusion)
    works = [by_name[name].flops for name in ("student", "fusion", "teacher:transnetv2")]
    assert 0 < works[0] < works[1] < works[2] < by_name["true_teachers"].flops


def test_without_videos_networks_are_timed_over_nothing(filmed, whole, peaks):
    cost = run(filmed.clips(), None, effort=QUICK)
    assert cost.videos == 0
    for path in cost.paths:
        assert set(path.latency_ms) == {"encode", "classify"}
        assert path.missing[TOTAL] == "no folder of the videos was given: name it with --root"
    assert all(job.clip is None for job in peaks.values())
    # What a network does takes as long over nothing.
    assert [path.flops for path in cost.paths] == [path.flops for path in whole[0].paths]


def test_a_backbone_that_is_not_here_costs_its_own_paths(filmed, peaks):
    clips = filmed.clips()
    spec = clips.store.backbones["transnetv2"]
    weights = {**spec.provenance["weights"], "fingerprint": "0" * 64}
    other = replace(spec, provenance={**spec.provenance, "weights": weights})
    clips.store.backbones = {**clips.store.backbones, "transnetv2": other}
    by_name = {path.name: path for path in run(clips, filmed.root, effort=QUICK).paths}
    assert list(peaks) == ["student", "fusion"]
    for name in ("teacher:transnetv2", "true_teachers"):
        assert set(by_name[name].latency_ms) == {"classify"}
        assert "is not what the features were made with" in by_name[name].missing["encode"]
    assert not by_name["fusion"].missing


def test_features_that_nobody_knows_the_source_of_leave_the_end_of_each_path(test_clips, peaks):
    cost = run(test_clips, None, effort=QUICK)
    assert not peaks
    assert {tuple(path.latency_ms) for path in cost.paths} == {("classify",)}
    assert "the features of stu don't say their inputs" in cost.missing["stu"]


def test_a_path_that_runs_out_of_memory_is_a_gap(filmed, peaks, monkeypatch):
    real = Line.encode

    def encode(line, inputs):
        if "transnetv2" in line.encoders:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(line, inputs)

    monkeypatch.setattr(Line, "encode", encode)
    by_name = {path.name: path for path in run(filmed.clips(), filmed.root, effort=QUICK).paths}
    for name in ("teacher:transnetv2", "true_teachers"):
        assert set(by_name[name].missing.values()) == {"CUDA out of memory"}
        assert not by_name[name].latency_ms
    assert not by_name["fusion"].missing
