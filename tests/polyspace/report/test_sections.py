import re

from polyspace.report import records, sections
from tests.support.records import SIZES, write_records


def cells(html):
    rows = re.findall(r"<tr.*?</tr>", html)
    return [[re.sub(r"<.*?>", " ", c).strip() for c in re.findall(r"<td.*?</td>", r)] for r in rows]


def test_every_method_is_a_row_best_first_and_the_method_stands_out(evaluation):
    record = evaluation()
    html = sections.methods(record).html()
    tops = [float(row[2].rstrip(" %")) for row in cells(html)[1:]]
    assert tops == sorted((round(m.top1.value * 100, 1) for m in record.methods), reverse=True)
    (marked,) = re.findall(r'<tr class="method">.*?</tr>', html)
    assert "what fusion is" in marked


def test_mistakes_are_listed_by_how_many_clips_they_took(evaluation):
    record = evaluation()
    counts = ((4, 0, 1), (3, 5, 0), (0, 0, 0))
    own = record.method("fusion").model_copy(update={"confusion": counts})
    changed = record.model_copy(update={"methods": (own, *record.methods[1:])})
    assert cells(sections.classes(changed).html())[1:] == [
        ["right", "left", "3", "37.5 %"],
        ["left", "still", "1", "20.0 %"],
    ]


def test_a_faultless_method_has_no_list_of_mistakes(evaluation):
    record = evaluation()
    own = record.method("fusion").model_copy(
        update={"confusion": ((4, 0, 0), (0, 3, 0), (0, 0, 9))}
    )
    changed = record.model_copy(update={"methods": (own, *record.methods[1:])})
    assert "every clip was recognised" in sections.classes(changed).html()


def test_a_long_list_of_quarantined_clips_is_folded(evaluation):
    few = sections.coverage(evaluation()).html()
    assert ["left/broken-0.mp4", "no-video", "left/broken-0.mp4: has no video stream"] in cells(few)
    assert ["no-video", "1"] in cells(few)
    assert "<details>" not in few
    many = {f"clip-{n}": "torn" for n in range(50)}
    covered = {"clips": 74, "evaluated": 24, "share": 0.32, "quarantined": many}
    html = sections.coverage(evaluation(coverage=covered)).html()
    assert "<summary>All 50 quarantined clips" in html
    assert ["unnamed", "50"] in cells(html)
    assert len(cells(html)) == 2 + 51


def test_every_converter_of_every_teacher_is_a_row(tmp_path, evaluation):
    record = evaluation()
    vectors = records.read_vectors(tmp_path / "vectors.npz", record.teachers)
    rows = cells(sections.translation(record, vectors).html())[1:]
    assert [(teacher, kind) for teacher, kind, *_ in rows] == [
        (teacher, kind) for teacher, kinds in record.translation.items() for kind in kinds
    ]
    assert rows[0][2:] == ["\N{MINUS SIGN}0.010", "0.480", "0.000", "\N{MINUS SIGN}0.020"]


def test_agreement_that_was_measured_in_one_space_only_leaves_the_other_blank(tmp_path, evaluation):
    record = evaluation()
    kinds = {
        "ridge": record.translation["motion_vectors"]["ridge"].model_copy(update={"r2_own": None})
    }
    record = record.model_copy(update={"translation": {"motion_vectors": kinds}})
    vectors = records.read_vectors(tmp_path / "vectors.npz", record.teachers)
    (row,) = cells(sections.translation(record, vectors).html())[1:]
    assert row[2:] == ["0.390", "0.740", "0.620", ""]


def test_the_export_says_what_changed_and_what_was_allowed(tmp_path, evaluation):
    proof = records.read_proof(write_records(tmp_path).proof)
    html = sections.export(proof, SIZES, evaluation()).html()
    assert "3.81 MB instead of 7.6 MB" in html
    assert "+0.00 points, 0.5 allowed" in html
    assert "kept_float32" in html


def test_the_provenance_has_command_fingerprints_and_versions(evaluation):
    html = sections.provenance(evaluation()).html()
    for part in ("python -m polyspace.train.evaluate", "ab" * 32, "cd" * 32, "torch 2.13.0"):
        assert part in html
