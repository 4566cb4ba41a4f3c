import numpy as np

from polyspace.report.figures import curves
from polyspace.report.records.training import Curves, read_curves
from tests.support.records import TEACHERS, write_records


def dots(axes):
    return [
        np.asarray(line.get_xydata()).tolist() for line in axes.lines if line.get_marker() == "o"
    ]


def test_the_kept_epoch_is_marked_and_ties_are_broken_as_training_does():
    scores = ((0.2, -2.0), (0.5, -1.5), (0.5, -1.2), (0.5, -1.2), (0.4, -1.0))
    epochs = tuple(
        {"epoch": epoch, "top1": top1, "log_likelihood": likelihood}
        for epoch, (top1, likelihood) in enumerate(scores)
    )
    figure = curves.fusion(Curves(epochs=epochs), 0.1)
    assert dots(figure.axes[1]) == [[[2, 0.5]]]


def test_each_teacher_has_its_own_kept_epoch(tmp_path):
    read = read_curves(write_records(tmp_path).folder / "curves_converters.json")
    assert len(dots(curves.converters(read, TEACHERS).axes[1])) == len(TEACHERS)


def test_behind_a_trunk_the_epoch_that_is_best_in_the_mean_is_marked_for_all():
    scores = ((0.1, 0.4), (0.7, 0.2), (0.3, 0.5))
    epochs = tuple(
        {"epoch": float(epoch), "r2": (a + b) / 2, "r2/a": a, "r2/b": b}
        for epoch, (a, b) in enumerate(scores)
    )
    read = Curves(epochs=epochs)
    apart = curves.converters(read, ("a", "b"))
    assert dots(apart.axes[1]) == [[[1, 0.7]], [[2, 0.5]]]
    together = curves.converters(read, ("a", "b"), together=True)
    assert dots(together.axes[1]) == [[[1, 0.7]], [[1, 0.2]]]


def test_converters_that_were_not_trained_have_only_their_first_score():
    start = {"epoch": 0.0, "r2": 0.3, "r2/a": 0.3}
    figure = curves.converters(Curves(epochs=(start,)), ("a",))
    assert dots(figure.axes[1]) == [[[0, 0.3]]]


def test_every_loss_that_was_minimised_has_a_line_and_a_name():
    start = {"epoch": 0.0, "r2": 0.3, "r2/a": 0.3}
    first = {"epoch": 1.0, "loss": 3.0, "a/l2": 1.0, "a/pooled_vicreg": 2.0, "r2/a": 0.4}
    losses = curves.converters(Curves(epochs=(start, first)), ("a",)).axes[0]
    drawn = [np.asarray(line.get_xydata()).tolist() for line in losses.lines]
    assert [[1, 1]] in drawn
    assert [[1, 2]] in drawn
    named = losses.get_legend_handles_labels()[1]
    assert {"l2", "pooled vicreg"} <= set(named)
