import re

from polyspace.report import page
from polyspace.report.records.arrays import read_projections, read_vectors
from polyspace.report.records.exports import Exports
from polyspace.report.records.looks import Looks
from polyspace.report.sections import (
    classes,
    clips,
    cost,
    export,
    methods,
    protocol,
    provenance,
    spaces,
    translation,
)
from tests.support.exports import exports
from tests.support.records import SIZES


def html(section):
    return page.section(section, "make")


def cells(markup):
    rows = re.findall(r"<tr.*?</tr>", markup)
    return [[re.sub(r"<.*?>", " ", c).strip() for c in re.findall(r"<td.*?</td>", r)] for r in rows]


def test_every_method_is_a_row_best_first_and_the_method_stands_out(evaluation):
    record = evaluation()
    text = html(methods.section(record))
    tops = [float(row[1].rstrip(" %")) for row in cells(text)[1:]]
    assert tops == sorted((round(m.top1.value * 100, 1) for m in record.methods), reverse=True)
    (marked,) = re.findall(r'<tr class="method">.*?</tr>', text)
    assert "what fusion is" in marked


def test_mistakes_are_listed_by_how_many_clips_they_took(evaluation):
    record = evaluation()
    counts = ((4, 0, 1), (3, 5, 0), (0, 0, 0))
    own = record.method("fusion").model_copy(update={"confusion": counts})
    changed = record.model_copy(update={"methods": (own, *record.methods[1:])})
    assert cells(html(classes.section(changed)))[1:] == [
        ["right", "left", "3", "37.5 %"],
        ["left", "still", "1", "20.0 %"],
    ]


def test_a_faultless_method_has_no_list_of_mistakes(evaluation):
    record = evaluation()
    own = record.method("fusion").model_copy(
        update={"confusion": ((4, 0, 0), (0, 3, 0), (0, 0, 9))}
    )
    changed = record.model_copy(update={"methods": (own, *record.methods[1:])})
    assert "every clip was recognised" in html(classes.section(changed))


def test_a_long_list_of_quarantined_clips_is_folded(evaluation):
    few = html(protocol.section(evaluation(), Looks()))
    assert ["left/broken-0.mp4", "no-video", "left/broken-0.mp4: has no video stream"] in cells(few)
    assert ["no-video", "1"] in cells(few)
    assert "<details>" not in few
    many = {f"clip-{n}": "torn" for n in range(50)}
    covered = {"clips": 74, "evaluated": 24, "share": 0.32, "quarantined": many, "unlabelled": 0}
    text = html(protocol.section(evaluation(coverage=covered), Looks()))
    assert "<summary>All 50 quarantined clips" in text
    assert ["unnamed", "50"] in cells(text)
    assert sum(row[:1] == [f"clip-{n}"] for n in range(50) for row in cells(text)) == 50


def test_every_converter_of_every_teacher_is_a_row(evaluation):
    record = evaluation()
    expected = [
        (teacher, kind.replace("_", " "))
        for teacher, kinds in record.translation.items()
        for kind in kinds
    ]
    rows = cells(html(translation.section(record)))[1:][: len(expected)]
    assert [(teacher, kind) for teacher, kind, *_ in rows] == expected
    assert rows[0][2:6] == ["\N{MINUS SIGN}0.010", "0.480", "0.000", "0.000"]
    assert rows[0][-1] == "10.0 %"


def test_every_exported_format_is_a_row_and_refused_ones_have_their_reason(evaluation):
    found = Exports.model_validate(exports("fp16", "int8", refused={"onnx": "no onnx here"}))
    text = html(export.section(evaluation(), found, SIZES))
    rows = cells(text)
    sizes = {row[0]: row[1:3] for row in rows if len(row) == 7}
    assert sizes == {"fp16": ["3.81 MB", "0.502"], "int8": ["1.96 MB", "0.258"]}
    assert ["onnx", "no onnx here"] in rows
    assert "Refused: onnx." in text


def test_an_export_without_any_bundle_has_no_empty_table(evaluation):
    found = Exports.model_validate(exports(refused={"fp16": "NaN"}))
    text = html(export.section(evaluation(), found, SIZES))
    assert ["fp16", "NaN"] in cells(text)
    assert "of float32" not in text


def test_the_provenance_has_command_fingerprints_and_versions(evaluation):
    text = html(provenance.section(evaluation()))
    for part in ("python -m polyspace.train.evaluate", "ab" * 32, "cd" * 32, "torch 2.13.0"):
        assert part in text


def test_the_protocol_says_what_was_checked_and_what_is_missing(evaluation):
    flag = {"backbone": "videomae", "trained_on": None, "source": "a folder", "level": "unknown"}
    record = evaluation(contamination=[{**flag, "words": "nobody says"}])
    text = html(protocol.section(record, Looks(tracked=True, words="the first tracked look at it")))
    assert "the first tracked look at it" in text
    assert "0 groups, 0 clips by name" in text
    assert ["videomae", "nobody says", "a folder"] in cells(text)
    gap = ["kNN probe: motion_vectors", "20 nearest neighbours vote, but there are 8 clips"]
    assert gap in cells(text)


def test_what_is_left_of_a_teachers_own_decisions_is_shown(tmp_path, evaluation):
    record = evaluation()
    (row,) = [r for r in cells(html(translation.section(record))) if "1,000" in r]
    assert row[2:] == ["40.0 %", "[30.0, 50.0]", "70.0 %", "10.0 %"]


def test_ranks_stand_beside_those_of_chance(tmp_path, evaluation):
    record = evaluation()
    rows = cells(html(translation.section(record)))
    expected = ["motion_vectors", "20.0 %", "50.0 %", "4.5", "3", "12.5 of 24"]
    assert expected in rows


def test_the_spaces_have_their_figures_beside_those_of_shuffled_clips(tmp_path, evaluation):
    record = evaluation()
    pooled = read_vectors(tmp_path / "vectors.npz", record)
    projected = read_projections(tmp_path / "projections.npz", record)
    text = html(spaces.section(record, pooled, projected))
    assert "t-SNE, seed 0, of 24 clips" in text
    rows = cells(text)
    assert ["transnetv2", "12", "5.0", "6.0", "3.0"] in rows
    pair = ["transnetv2", "motion_vectors", "0.400", "0.300 (0.100, p = .005)"]
    assert any(row[:4] == pair for row in rows)
    assert ["flat", "it has collapsed"] in rows


def test_costs_have_a_row_a_path_and_say_what_is_missing(evaluation):
    record = evaluation()
    assert record.cost
    text = html(cost.section(record, record.cost))
    rows = cells(text)
    fusion = next(row for row in rows if row and row[0].startswith("fusion"))
    assert fusion[1:] == ["5.0", "100.0", "12.5", "8.7 G", "81 MB", "2,470,000"]
    assert ["teacher: motion_vectors", "flops", "its weights are not here"] in rows
    assert "peak of a fresh process" in text


def test_without_any_known_cost_there_is_a_table_but_no_picture(evaluation):
    record = evaluation()
    assert record.cost
    bare = [path.model_copy(update={"latency_ms": {}, "flops": None}) for path in record.cost.paths]
    text = html(cost.section(record, record.cost.model_copy(update={"paths": tuple(bare)})))
    assert "<img" not in text
    assert "<table>" in text


def test_clips_without_frames_say_why_once(evaluation):
    record = evaluation()
    text = html(clips.section(record, [None] * len(record.shown)))
    assert "No frames of 1 clips: give --root." in text
    assert text.count("<img") == 1
    assert "There is none." in text
