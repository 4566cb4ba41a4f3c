import csv

import pytest

from polyspace.report import markdown
from polyspace.report.blocks import Code, Facts, Folded, Link, Listing, Noted, Paragraph, Table

HOSTILE = "<b>|`x`*_[a](javascript:1)#\n# title"

pytestmark = pytest.mark.xdist_group("report")


def test_the_text_has_every_section_and_its_pictures_lie_beside_it(reported):
    text = (reported / "report.md").read_text()
    page = (reported / "report.html").read_text()
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert len(titles) == page.count("<h2>")
    linked = [part.split(")")[0] for part in text.split("](figures/")[1:]]
    assert len(linked) == page.count("<img")
    assert all((reported / "figures" / name).is_file() for name in linked)


def test_the_table_is_also_there_as_csv(reported):
    with (reported / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows][:2] == ["fusion", "student"]
    assert all(0 <= float(row["top1_low"]) <= float(row["top1"]) for row in rows)


def test_the_command_stands_at_the_end(reported):
    assert "made by `python -m polyspace.train.evaluate" in (reported / "report.md").read_text()


def test_data_is_never_markup():
    said = markdown.block(Paragraph(HOSTILE), "")
    assert said.startswith(r"\<b\>\|\`x\`\*\_\[a\](javascript:1)\#")
    assert "\n" not in said
    table = markdown.block(Table(("a", "b"), [(HOSTILE, Code(HOSTILE))]), "")
    assert len(table.splitlines()) == 3
    assert table.splitlines()[2].count(" | ") == 1


def test_every_kind_of_block_is_written():
    blocks = {
        "- a: `b`": Facts({"a": Code("b")}),
        "    one\n    two": Listing("one\ntwo"),
        "| [a b](<c/d%20e.html>) |": Table(("h",), [(Link("a b", "c/d%20e.html"),)]),
        "| x: y |": Table(("h",), [(Noted("x", "y"),)]),
        "<details><summary>t</summary>\n\nu\n\n</details>": Folded("t", [Paragraph("u")]),
    }
    for expected, block in blocks.items():
        assert expected in markdown.block(block, "")
