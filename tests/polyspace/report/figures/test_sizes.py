from polyspace.report.figures import sizes
from polyspace.report.records.exports import Exports
from tests.support.exports import SIZES, exports


def widths(axes):
    return [bar.get_bbox().width for bar in axes.patches]


def test_bars_are_as_long_as_what_they_stand_for():
    proofs = Exports.model_validate(exports("fp16", "int8")).proofs
    weights, features = sizes.draw(proofs, {"a": 10, "b": 1000}).axes
    assert widths(weights) == [SIZES["fp32"], SIZES["fp16"], SIZES["int8"]]
    assert widths(features) == [10, 1000]
    assert [text.get_text() for text in features.texts] == ["10 bytes", "1 kB"]


def test_without_a_bundle_there_are_still_the_features():
    weights, features = sizes.draw((), {"a": 10}).axes
    assert widths(weights) == []
    assert widths(features) == [10]
