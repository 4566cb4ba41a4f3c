from math import nan

import matplotlib as mpl
import numpy as np
import pytest

from polyspace.report.figures import canvas


def test_extremes_are_the_lowest_and_the_highest_and_leave_out_what_is_missing():
    values = np.array([0.5, nan, 0.1, 0.9, 0.3, 0.7])
    assert canvas.extremes(values, 4).tolist() == [2, 4, 5, 3]
    assert canvas.extremes(values, 10).tolist() == [2, 4, 0, 5, 3]


@pytest.mark.parametrize("length", [21, 22, 23, 60])
def test_long_names_are_cut_in_the_middle_to_the_length(length):
    name = "a" * (length - 1) + "z"
    cut = canvas.short(name, 22)
    assert len(cut) == min(length, 22)
    assert cut[0] == "a"
    assert cut[-1] == "z"


def test_each_class_has_a_colour_and_a_sign_of_its_own():
    assert len(set(canvas.CLASSES)) == len(set(canvas.MARKERS)) == 10


def test_teachers_keep_their_colours_and_beyond_six_they_begin_again():
    colours = canvas.teacher_colours([str(n) for n in range(7)])
    assert colours["0"] == colours["6"]
    assert len(set(colours.values())) == 6


def test_drawing_changes_no_global_setting():
    before = dict(mpl.rcParams)
    figure = canvas.figure(2.0, 1.0)
    canvas.quiet(figure.add_subplot(), grid="both").plot([0, 1])
    assert canvas.data_uri(figure).startswith("data:image/svg+xml;base64,")
    assert dict(mpl.rcParams) == before
