import pytest

from polyspace.report.blocks import Paragraph, Table
from polyspace.report.exports import formats, terminal
from tests.support.blocks import be
from tests.support.exports import latency


def test_figures_are_named_by_format_and_only_what_was_measured_is_there(proof):
    found = formats.figures(proof("int8"))
    assert found["export/int8/ratio"] == proof("int8").ratio
    assert found["export/int8/time_ratio/batch_8"] == 1.03
    assert found["export/int8/load_seconds"] == 0.12
    bare = formats.figures(proof("int8", latency=None, memory=None, load_seconds=None))
    assert set(found) - set(bare) == {
        *(f"export/int8/time_ratio/batch_{n}" for n in (1, 4, 8, 32)),
        *(f"export/int8/milliseconds/batch_{n}" for n in (1, 4, 8, 32)),
        "export/int8/load_seconds",
        "export/int8/memory_bytes",
    }
    assert all(isinstance(value, float) for value in found.values())


def test_the_smallest_and_the_fastest_are_named_those_that_changed_nothing_first(exports):
    found = exports("fp32", "fp16", "bf16", "int8", refused={"onnx": "why"})
    one = found.formats[2]
    changed = one.model_copy(update={"proof": one.proof.model_copy(update={"agreement": 0.95})})
    some = found.model_copy(update={"formats": (*found.formats[:2], changed, found.formats[3])})
    assert formats.sentence(some) == (
        "fp32, fp16 and int8 give every clip the class that it had; the smallest is int8 (0.258 "
        "of float32), the fastest fp32 (1.00 [0.97, 1.03] of the time, one clip at a time). "
        "bf16 changes the class of some clips; the smallest is bf16 (0.502 of float32), the "
        "fastest bf16 (0.56 [0.54, 0.58] of the time, one clip at a time). Refused: onnx."
    )


@pytest.mark.parametrize(
    ("refused", "expected"),
    [({}, "There is no bundle."), ({"fp16": "NaN"}, "Refused: fp16.")],
)
def test_no_bundle_is_said_to_be_none(exports, refused, expected):
    assert formats.sentence(exports(refused=refused)) == expected


def test_a_batch_that_one_format_lacks_is_a_dash_there(exports, cells):
    found = exports("fp16", "int8")
    own = found.formats[1].proof.model_copy(update={"latency": found.proofs[0].latency[:1]})
    part = found.formats[1].model_copy(update={"proof": own})
    table, _ = formats.cost(found.model_copy(update={"formats": (found.formats[0], part)}))
    table = be(Table, table)
    assert table.head[2:6] == tuple(f"time, {n} at once" for n in (1, 4, 8, 32))
    assert table.rows[1][3:6] == ("\N{EN DASH}",) * 3


def test_without_any_measurement_there_is_a_sentence_and_no_table(proof, exports):
    bare = proof(latency=None, memory=None, load_seconds=None)
    found = exports("fp16")
    only = found.formats[0].model_copy(update={"proof": bare})
    (said,) = formats.cost(found.model_copy(update={"formats": (only,)}))
    assert str(be(Paragraph, said).text).startswith("Time and memory were not measured")


def test_formats_of_several_machines_are_not_compared_in_silence(exports):
    found = exports("fp16", "int8")
    other = found.formats[1].proof.model_copy(update={"device": "another"})
    moved = found.formats[1].model_copy(update={"proof": other})
    _, said = formats.cost(found.model_copy(update={"formats": (found.formats[0], moved)}))
    text = str(be(Paragraph, said).text)
    assert "a processor, 1 thread; another, 1 thread" in text
    assert "different machines" in text


def test_the_terminal_shows_every_format_with_the_ends_of_its_times(exports):
    view = terminal.table(exports("fp16", "int8"))
    assert [column.header for column in view.columns][-2:] == ["time, 1", "time, 32"]
    assert view.row_count == 2
    names = [str(cell) for cell in view.columns[0].cells]
    assert names == ["fp16", "int8"]


def test_the_smallest_batch_stands_for_the_time_of_a_format(proof):
    found = proof(latency=[latency(8, 0.5), latency(2, 0.9)])
    assert found.first is not None
    assert found.first.batch == 2
    assert found.at(8).ratio.median == 0.5
    assert found.at(1) is None
