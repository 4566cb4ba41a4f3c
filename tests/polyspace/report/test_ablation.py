"""The table of an ablation, from a record that nothing had to be trained for."""

import csv
import io

import pytest

from polyspace.report import ablation, words
from tests.support.ablations import ablated


def cells(found):
    """The table's lines, each as a list of cells."""
    lines = [line for line in ablation.markdown(found, "a.png").splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_sentence_says_what_differs_and_what_is_missing():
    said = ablation.sentence(ablated())
    assert "right on 70.0 % [60.0, 80.0] of toy test" in said
    assert "Of 3 rows that are compared with it, 1 differs beyond chance" in said
    assert "(Holm, 5 %): without flow. 1 could not be measured." in said


def test_where_nothing_differs_that_is_said():
    record = ablated()
    rows = [row.model_copy(update={"holm_p": 1.0}) for row in record.rows if row.to_base]
    said = ablation.sentence(record.model_copy(update={"rows": (record.rows[0], *rows)}))
    assert "with it, none differs beyond chance" in said
    assert "could not be measured" not in said


def test_the_page_names_all_that_figures_rest_on():
    page = ablation.markdown(ablated(), "a.png")
    for part in (
        "n = 35 clips of 9 groups (1 more could not be read)",
        "10 looks at them",
        "seeds 0, 1",
        "abababababab",
        "cdcdcdcdcdcd",
        "CPU (x86_64), 1 threads",
        "`python -m flows.ablate --dataset toy`",
        "9 groups are few",
        "select on test",
        "![",
    ):
        assert part in page


def test_the_table_has_a_row_for_everything_and_marks_what_is_certain():
    head, _, *lines = cells(ablated())
    assert {len(line) for line in lines} == {len(head)}
    assert [line[1] for line in lines] == [row.name for row in ablated().rows]
    assert [line[0] for line in lines] == ["base", "", "teachers", "joins", "views"]
    p = head.index("p (Holm)")
    assert [line[p] for line in lines] == [words.NONE, ".600", "**.040**", ".600", words.NONE]
    assert lines[2][2] == "40.0 % [30.0, 50.0]"
    assert lines[2][3] == f"{words.MINUS}30.0 [{words.MINUS}40.0, {words.MINUS}20.0]"
    assert lines[2][head.index("R² flow")] == words.NONE
    assert lines[2][head.index("R² look")] == "0.250"
    assert lines[-1][2] == "not measured: this store has one view of each clip"


def test_csv_gives_the_numbers_back():
    record = ablated()
    found = list(csv.DictReader(io.StringIO(ablation.comma_separated(record))))
    assert [row["variation"] for row in found] == [row.name for row in record.rows]
    third, expected = found[2], record.rows[2]
    assert expected.to_base is not None
    assert float(third["to_base"]) == pytest.approx(expected.to_base.value)
    assert float(third["p"]) == expected.to_base.p
    assert float(third["top1_seed_1"]) == expected.seeds[1]
    assert (third["r2_flow"], float(third["r2_look"])) == ("", 0.25)
    assert found[-1]["top1"] == found[-1]["top1_seed_0"] == ""
    assert found[-1]["gap"] == record.rows[-1].gap


def test_the_terminal_s_table_has_every_row():
    assert ablation.table(ablated()).row_count == len(ablated().rows)
