"""Who tries what: a study without any training."""

import itertools

import pytest

from polyspace.errors import ConfigError, LeaseError
from polyspace.store import storage
from polyspace.store.lease import Leases
from polyspace.train.sweep import SweepConfig
from tasks import studies
from tests.support.sweeps import fusion_stage

IDENTITY = {"search": "this"}


def config_of(folder, *search, **changes):
    stage = fusion_stage(folder)
    return SweepConfig(stage=stage, search=search or ("rank=2,4,8",), out=folder / "out", **changes)


def taken(study):
    """Take a trial, which there is."""
    claimed = study.claim()
    assert claimed is not None
    return claimed


def finish(study, score=0.5):
    """Run what is left, all with one score; give the points."""
    found = []
    while claimed := study.claim():
        found.append(claimed.point)
        claimed.complete(score, {})
        claimed.give_back()
    return found


def test_a_grid_has_every_point_once(tmp_path):
    config = config_of(tmp_path, "rank=2,4,8", "dropout=0.1,0.5", method="grid")
    with studies.opened(config, IDENTITY) as study:
        found = finish(study)
        assert study.is_done
    want = [{"rank": r, "dropout": d} for r, d in itertools.product("248", ("0.1", "0.5"))]
    assert found == want


def test_two_workers_never_have_the_same_point(tmp_path):
    config = config_of(tmp_path, "rank=2,4,8", "dropout=0.1,0.5", method="grid")
    with studies.opened(config, IDENTITY) as one, studies.opened(config, IDENTITY) as two:
        claims = [taken(study) for study in (one, two, one, two, two, one)]
        assert [one.claim(), two.claim()] == [None, None]
        points = {tuple(claim.point.items()) for claim in claims}
        assert len(points) == 6
        assert not one.is_done
        for claim in claims:
            claim.complete(0.1, {})
        assert one.is_done
        assert two.is_done


def test_tpe_ends_at_its_number_and_goes_on_when_it_is_raised(tmp_path):
    with studies.opened(config_of(tmp_path, "lr=0.001..0.1:log", trials=3), IDENTITY) as study:
        assert len(finish(study)) == 3
    with studies.opened(config_of(tmp_path, "lr=0.001..0.1:log", trials=5), IDENTITY) as study:
        assert not study.is_done
        assert len(finish(study)) == 2


def test_tpe_tries_nothing_twice_and_ends_when_everything_was_tried(tmp_path):
    with studies.opened(config_of(tmp_path, "rank=1..4", "ema=0,0.5", trials=99), IDENTITY) as one:
        assert one.wanted == 8
        found = {tuple(point.items()) for point in finish(one)}
    assert len(found) == 8


def test_what_is_proposed_does_not_depend_on_stops(tmp_path):
    whole = config_of(tmp_path, "lr=0.001..0.1:log", trials=14)
    parts = whole.model_copy(update={"out": tmp_path / "parts"})
    found = []
    with studies.opened(whole, IDENTITY) as study:
        want = finish(study)
    while len(found) < 14:
        with studies.opened(parts, IDENTITY) as study:
            claimed = taken(study)
            found.append(claimed.point)
            claimed.complete(0.5, {})
    assert found == want
    assert len({point["lr"] for point in want}) == 14


def test_tpe_looks_where_it_was_good(tmp_path):
    with studies.opened(config_of(tmp_path, "dropout=0..0.9", trials=40), IDENTITY) as study:
        found = []
        while claimed := study.claim():
            found.append(claimed.point["dropout"])
            claimed.complete(-abs(claimed.point["dropout"] - 0.7), {})
    assert sum(abs(value - 0.7) < 0.1 for value in found[20:]) > 10


def test_a_trial_that_was_given_back_is_taken_up_under_its_number(tmp_path):
    config = config_of(tmp_path, method="grid")
    with studies.opened(config, IDENTITY) as study:
        first = taken(study)
        first.report(1, 0.3)
    with studies.opened(config, IDENTITY) as study:
        again = taken(study)
        assert (again.number, again.point, again.was_begun) == (0, first.point, True)
        again.report(1, 0.9)
        again.report(2, 0.4)
        again.complete(0.4, {})
        assert study.trials[0].intermediate_values == {1: 0.3, 2: 0.4}
        assert taken(study).number == 1


def test_a_trial_that_was_lost_can_not_be_ended(tmp_path):
    config = config_of(tmp_path, method="grid")
    with studies.opened(config, IDENTITY) as study:
        claimed = taken(study)
        study.leases.release(claimed._lease)
        with pytest.raises(LeaseError):
            claimed.complete(0.5, {})
        assert study.look().pending == 3


def test_a_trial_below_the_median_is_pruned_from_the_epoch_that_was_asked_for(tmp_path):
    config = config_of(tmp_path, "rank=1..99", trials=5, prune_after_trials=3, prune_after_epochs=2)
    with studies.opened(config, IDENTITY) as study:
        for _ in range(3):
            claimed = taken(study)
            assert [claimed.report(epoch, 0.5) for epoch in (1, 2, 3)] == [False] * 3
            claimed.complete(0.5, {})
        poor, good = taken(study), taken(study)
        assert [poor.report(epoch, 0.4) for epoch in (1, 2)] == [False, True]
        assert [good.report(epoch, 0.6) for epoch in (1, 2)] == [False, False]


def test_without_pruning_nothing_is_pruned(tmp_path):
    config = config_of(tmp_path, "rank=1..99", trials=2, prune=False, prune_after_trials=1)
    with studies.opened(config, IDENTITY) as study:
        first = taken(study)
        first.report(1, 0.9)
        first.complete(0.9, {})
        assert not taken(study).report(1, 0.1)


def test_what_is_no_number_is_not_reported(tmp_path):
    with studies.opened(config_of(tmp_path), IDENTITY) as study:
        claimed = taken(study)
        claimed.report(1, float("nan"))
        assert not study.trials[0].intermediate_values


def test_another_sweep_in_the_folder_is_refused(tmp_path):
    with studies.opened(config_of(tmp_path), IDENTITY):
        pass
    with (
        pytest.raises(ConfigError, match="a sweep with search this, now it is that: give the same"),
        studies.opened(config_of(tmp_path), {"search": "that"}),
    ):
        pass


def test_a_look_tells_what_is_left_and_whether_anybody_is_at_it(tmp_path):
    config = config_of(tmp_path, method="grid")
    with studies.opened(config, IDENTITY) as study:
        assert (study.look().total, study.look().pending, study.look().is_held) == (3, 3, False)
        claimed = taken(study)
        assert study.look().is_held
        claimed.complete(0.5, {})
        claimed.give_back()
        assert (study.look().pending, study.look().is_held) == (2, False)


def test_nothing_of_it_is_pickled(tmp_path):
    with studies.opened(config_of(tmp_path), IDENTITY) as study:
        finish(study)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"study.jsonl", "leases"}
    assert all(line[0] == "{" for line in (tmp_path / "out/study.jsonl").read_text().splitlines())


def test_leases_of_a_study_are_given_back(tmp_path):
    with studies.opened(config_of(tmp_path), IDENTITY) as study:
        taken(study)
    assert Leases(storage.at(tmp_path / "out")).is_free("trial-00000")
