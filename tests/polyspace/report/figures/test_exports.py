from polyspace.report.figures import canvas, exports
from polyspace.report.records.exports import Exports
from tests.support import exports as records

KINDS = ("fp32", "fp16", "bf16", "int8", "onnx", "onnx_int8")


def proofs(*kinds):
    return Exports.model_validate(records.exports(*kinds)).proofs


def marks(figure):
    (axes,) = figure.axes
    points = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]
    return {(float(p.get_xdata()[0]), float(p.get_ydata()[0])): p for p in points}


def test_every_format_is_a_mark_at_its_time_and_size_with_its_name():
    some = proofs(*KINDS)
    figure = exports.draw(some, 8)
    assert set(marks(figure)) == {(at.ratio.median, p.ratio) for p in some if (at := p.at(8))}
    assert {text.get_text() for text in figure.axes[0].texts} == set(KINDS)


def test_formats_that_changed_a_class_are_hollow():
    same, other = proofs("fp16", "int8")
    other = other.model_copy(update={"agreement": 0.9})
    found = marks(exports.draw((same, other), 1))
    assert found[1.01, same.ratio].get_color() == canvas.FUSION
    assert found[1.03, other.ratio].get_color() == canvas.PAPER


def test_pictures_of_several_batches_have_the_same_scales():
    some = proofs("fp16", "bf16")
    slow = some[1].model_copy(update={"latency": (*some[1].latency[:3],)})
    limits = [exports.draw((some[0], slow), n).axes[0].get_xlim() for n in (1, 32)]
    assert limits[0] == limits[1]
    assert len(marks(exports.draw((some[0], slow), 32))) == 1


def test_names_do_not_lie_on_one_another():
    figure = exports.draw(proofs(*KINDS), 1)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
