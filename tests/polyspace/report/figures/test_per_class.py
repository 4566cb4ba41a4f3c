from polyspace.report.figures import per_class


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_classes_are_sorted_by_what_the_method_gains(evaluation):
    read = evaluation(names=tuple(f"class {n}" for n in range(60)), clips=600)
    own, other = (read.method(name).per_class for name in ("fusion", "student"))
    shown = [read.dataset.class_names.index(label) for label in labels(per_class.draw(read))]
    gains = [own[place] - other[place] for place in shown]
    assert len(shown) == per_class.SHOWN
    assert gains == sorted(gains)
    assert gains[-1] == max(a - b for a, b in zip(own, other, strict=True))


def test_classes_without_clips_are_left_out(evaluation):
    read = evaluation(names=("left", "right", "still"), clips=2)
    assert sorted(labels(per_class.draw(read))) == ["left", "right"]
