"""The table of a sweep, from records that nothing had to be trained for."""

from polyspace.report import sweeps, words
from polyspace.report.sweeps import Sweep, Training, Trial
from tests.support.swept import swept, trial_of


def test_the_best_comes_first_and_what_failed_last():
    trials = [
        trial_of(0, "failed"),
        trial_of(1, "pruned", 0.9),
        trial_of(2, "complete", 0.5, -0.4),
        trial_of(3, "complete", 0.5, -0.3),
        trial_of(4, "complete", 0.7, -0.9),
        trial_of(5, "pruned", 0.95),
    ]
    assert [trial.number for trial in sweeps.ranked(trials)] == [4, 3, 2, 5, 1, 0]


def test_equal_trials_keep_their_order():
    trials = [trial_of(number, "complete", 0.5, -0.4) for number in (2, 0, 1)]
    assert [trial.number for trial in sweeps.ranked(trials)] == [0, 1, 2]


def test_seeds_are_averaged_and_their_spread_is_the_first_scores():
    trainings = [training(0.5, -1.0), training(0.7, -2.0)]
    scores, sd = sweeps.means(trainings)
    assert scores == {"top1": 0.6, "log_likelihood": -1.5}
    assert sd is not None
    assert abs(sd - 0.02**0.5) < 1e-12
    assert sweeps.means(trainings[:1])[1] is None
    assert sweeps.means([]) == ({}, None)


def training(top1, likelihood):
    scores = {"top1": top1, "log_likelihood": likelihood}
    return Training(seed=0, scores=scores, epochs=3, seconds=1.0, checkpoint="a.pt")


def test_the_table_has_a_column_for_every_setting_and_links_what_was_kept():
    page = sweeps.markdown(swept(), "sweep.png")
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert lines[0].split(" | ")[2:4] == ["lr", "rank"]
    assert len(lines) == 2 + len(swept().trials)
    assert len({line.count(" | ") for line in lines}) == 1
    assert "[trials/000/seed_0/fusion.pt](trials/000/seed_0/fusion.pt)" in lines[2]
    assert "70.0 % ± 2.0 %" in lines[2]
    assert "pruned after epoch 2" in page
    assert "![" in page


def test_seeds_are_compared_one_by_one_because_they_share_their_hold_outs():
    first = swept().trials[0]
    trainings = tuple(
        one.model_copy(update={"scores": {**one.scores, "top1": one.scores["top1"] - behind}})
        for one, behind in zip(first.trainings, (0.1, 0.2), strict=True)
    )
    other = trial_of(7, "complete", 0.55, -0.9, sd=0.1, trainings=trainings)
    record = swept().model_copy(update={"trials": (first, other)})
    best, second = sweeps.rows(record)
    assert best["to the best"] == words.NONE
    assert second["to the best"] == f"{words.MINUS}15.0 % ± 7.1 %"
    alone = record.model_copy(update={"seeds": (0,)})
    assert "to the best" not in next(sweeps.rows(alone))


def test_a_bar_in_an_error_does_not_break_the_table():
    failed = trial_of(1, "failed").model_copy(update={"why": "a|b"})
    page = sweeps.markdown(swept().model_copy(update={"trials": (failed,)}), "x.png")
    assert "failed a\\|b" in page
    assert "No trial came to a score. 1 trials: 1 failed." in page


def test_what_was_found_is_said_with_how_far_it_goes():
    said = sweeps.sentence(swept())
    assert "Best is trial 0 (lr 0.01, rank 64): top-1 70.0 % ± 2.0 %" in said
    assert "mean of 2 seeds" in said
    assert "3 trials: 1 complete, 1 pruned, 1 failed" in said
    assert "evaluation on the test split" in said


def test_a_record_is_read_back_as_it_was_written():
    assert Sweep.model_validate_json(swept().model_dump_json()) == swept()


def test_a_file_goes_by_its_name():
    assert sweeps.setting("/somewhere/ridge.pt") == "ridge.pt"
    assert sweeps.setting(0.00012345) == "0.0001234"
    assert isinstance(swept().trials[0], Trial)
