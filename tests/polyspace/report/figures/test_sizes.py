from polyspace.report.figures import sizes
from polyspace.report.records.training import read_proof
from tests.support.records import write_records


def widths(axes):
    return [bar.get_bbox().width for bar in axes.patches]


def test_bars_are_as_long_as_what_they_stand_for(tmp_path):
    proof = read_proof(write_records(tmp_path).proof)
    weights, features = sizes.draw(proof, {"a": 10, "b": 1000}).axes
    assert widths(weights) == [proof.float32_bytes, proof.bytes]
    assert widths(features) == [10, 1000]
    assert [text.get_text() for text in features.texts] == ["10 bytes", "1 kB"]
