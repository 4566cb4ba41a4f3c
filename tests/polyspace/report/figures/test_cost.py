import numpy as np
import pytest
from matplotlib.text import Text

from polyspace.report.figures import canvas, cost
from polyspace.report.records.inference import Cost
from polyspace.report.records.record import Estimate

PATHS = {
    "student": ("baseline", 100.0, 8_600_000_000, 0.55),
    "fusion": ("method", 108.0, 8_700_000_000, 0.73),
    "teacher:motion_vectors": ("upper bound", 8.0, 640, 0.98),
    "teacher:efficientnet_lite0": ("upper bound", 110.0, 3_000_000_000, 0.54),
    "teacher:videomae": ("upper bound", 900.0, 180_000_000_000, 0.72),
    "teacher:vjepa2": ("upper bound", 950.0, 190_000_000_000, 0.74),
    "teacher:timesformer": ("upper bound", 940.0, 196_000_000_000, 0.7),
    "true_teachers": ("upper bound", 3000.0, 600_000_000_000, 0.96),
}


def measured(*names, **changes):
    return Cost.model_validate(
        {
            "device": "a processor",
            "threads": 2,
            "dtype": "fp32",
            "batch": 4,
            "processes": 2,
            "views": 1,
            "videos": 6,
            "paths": [path(name, **changes) for name in names or PATHS],
            "flops": "what is counted",
            "memory": "what is included",
            "missing": {},
            "seconds": 12.0,
        }
    )


def path(name, **changes):
    kind, median, flops, _ = PATHS[name]
    span = {"median": median, "low": 0.9 * median, "high": 1.3 * median}
    return {
        "name": name,
        "kind": kind,
        "words": name,
        "backbones": [name],
        "parameters": 1000,
        "flops": flops,
        "latency_ms": {"decode": span, "total": span},
        "clips_per_second": 10.0,
        "peak_memory_bytes": 1,
        "batched_memory_bytes": 2,
        "repeats": 10,
        "missing": {},
    } | changes


ACCURACIES = {
    name: Estimate(value=top1, low=top1 - 0.08, high=min(1.0, top1 + 0.08))
    for name, (*_, top1) in PATHS.items()
}


@pytest.mark.parametrize("over", ["latency", "flops"])
@pytest.mark.parametrize("names", [tuple(PATHS), tuple(PATHS)[:3]])
def test_every_path_has_a_label_that_touches_no_other(names, over):
    figure = cost.draw(measured(*names), ACCURACIES, over)
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    assert sorted(text.get_text() for text in texts) == sorted(
        name.replace("_", " ", 1) if name == "true_teachers" else name.replace(":", ": ")
        for name in names
    )
    boxes = [Text.get_window_extent(text) for text in texts]  # without their lines
    pairs = [(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :]]
    assert not [pair for pair in pairs if pair[0].overlaps(pair[1])]


def test_marks_stand_at_their_accuracy_and_cost():
    axes = cost.draw(measured("fusion"), ACCURACIES).axes[0]
    up, across, mark = axes.lines[:3]
    assert mark.get_xydata() == pytest.approx(np.array([[108.0, 0.73]]))
    assert np.asarray(up.get_ydata()) == pytest.approx([0.65, 0.81])
    assert np.asarray(across.get_xdata()) == pytest.approx([97.2, 140.4])
    assert mark.get_color() == canvas.KINDS["method"]
    assert axes.get_xscale() == "log"


def test_a_path_without_accuracy_or_cost_is_not_drawn():
    known = {name: ACCURACIES[name] for name in ("fusion", "student")}
    points = cost.points(measured(), known, "latency")
    assert [point.path.name for point in points] == ["student", "fusion"]
    assert not cost.points(measured(latency_ms={}), ACCURACIES, "latency")
    assert not cost.points(measured(flops=None), ACCURACIES, "flops")
    assert not cost.points(measured(flops=0), ACCURACIES, "flops")


def test_nothing_to_draw_is_an_empty_picture():
    figure = cost.draw(measured(latency_ms={}), ACCURACIES)
    assert not figure.axes[0].texts
    assert canvas.png(figure)


@pytest.mark.parametrize(
    ("over", "labels"),
    [("latency", ["10 ms", "1 s"]), ("flops", ["1 M"])],
)
def test_the_scale_is_written_in_units(over, labels):
    figure = cost.draw(measured(), ACCURACIES, over)
    figure.draw_without_rendering()
    written = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert set(labels) <= set(written)
