import numpy as np

from polyspace.report.figures import vectors
from polyspace.report.records.arrays import read_vectors
from polyspace.report.records.evaluation import read_evaluation
from tests.support.records import TEACHERS, write_records


def drawn(tmp_path, names):
    found = write_records(tmp_path, names=names, clips=60)
    evaluation = read_evaluation(found.evaluation)
    read = read_vectors(tmp_path / "vectors.npz", evaluation)
    return vectors.draw(vectors.principal(read), TEACHERS, names)


def test_a_plane_in_space_is_found_whole():
    random = np.random.default_rng(0)
    plane = random.normal(size=(40, 2)) @ random.normal(size=(2, 7))
    points, explained = vectors.project(plane)
    assert points.shape == (40, 2)
    assert abs(explained - 1) < 1e-12


def test_translated_and_true_vectors_share_their_axes_and_the_student_has_its_own(tmp_path):
    figure = drawn(tmp_path, ("left", "right", "still"))
    for row in range(len(TEACHERS)):
        student, said, true = figure.axes[3 * row : 3 * row + 3]
        assert said.get_xlim() == true.get_xlim()
        assert said.get_ylim() == true.get_ylim()
        assert student.get_xlim() != said.get_xlim()


def test_a_class_has_the_same_colour_in_every_panel(tmp_path):
    figure = drawn(tmp_path, ("left", "right", "still"))
    colours = [[str(dots.get_facecolor()) for dots in a.collections[1:4]] for a in figure.axes]
    assert len(set(colours[0])) == 3
    assert all(panel == colours[0] for panel in colours)


def test_of_many_classes_ten_are_coloured(tmp_path):
    figure = drawn(tmp_path, tuple(f"class {n}" for n in range(30)))
    assert len(figure.legends[0].get_texts()) == 10
