import pytest

from polyspace.errors import SelectionError
from polyspace.export.selection import table


def read(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_text(text, encoding="utf-8")
    return table.read(path)


def test_all_columns_but_four_are_metrics(tmp_path):
    found = read(
        tmp_path, "step,epoch,checkpoint,sha256,top1,x y\n7,1,a.pt,AB,0.5,2\n3,0,b.pt,,1e-3,1\n"
    )
    assert [row.step for row in found.rows] == [3, 7]
    assert found.names == ("top1", "x y")
    first, last = found.rows
    assert (first.epoch, first.checkpoint, first.sha256) == (0, "b.pt", None)
    assert (last.checkpoint, last.sha256, last.metrics) == ("a.pt", "ab", {"top1": 0.5, "x y": 2.0})


def test_what_spreadsheets_write_is_read(tmp_path):
    found = read(tmp_path, "\ufeffstep,epoch,top1\r\n500.0,,0.5\r\n\r\n1500.0,2.0,0.25\r\n")
    assert [(row.step, row.epoch) for row in found.rows] == [(500, None), (1500, 2)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("step,top1\n", "has no rows"),
        ("epoch,top1\n1,0.5\n", "no column 'step'"),
        ("step,epoch\n1,1\n", "has no metrics"),
        ("step,top1,top1\n1,1,1\n", "column top1 more than once"),
        ("step,top1,\n1,1,1\n", "column without a name"),
        ("step,top1\n5,0.5\n5,0.6\n", "step 5 more than once"),
        ("step,checkpoint,top1\n5,a.pt,0.5\n6,a.pt,0.6\n", "checkpoint a.pt more than once"),
        ("step,top1\n5,0.5\n,0.6\n", "line 3 has no step"),
        ("step,top1\n5.5,0.5\n", "step is 5.5, expected a whole number"),
        ("step,top1\n-5,0.5\n", "step is -5, expected a whole number"),
        ("step,top1\nlast,0.5\n", "step is last, expected a whole number"),
        ("step,top1\n1,nan\n", "line 2: top1 is nan, expected a finite number"),
        ("step,top1\n1,inf\n", "top1 is inf"),
        ("step,top1\n1,1e999\n", "top1 is 1e999"),
        ("step,top1\n1,\n", "top1 is empty"),
        ("step,top1\n1,good\n", "top1 is good"),
        ("step,top1\n1,0.5,0.6\n", "3 cells under 2 columns"),
        ('step,top1\n1,"0.5\n', "no CSV table"),
    ],
)
def test_a_table_that_can_not_be_trusted_is_refused_in_one_line(tmp_path, text, match):
    with pytest.raises(SelectionError, match=match) as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)
    assert "metrics.csv" in str(refused.value)


def test_a_table_that_is_missing_is_never_made_up(tmp_path):
    with pytest.raises(SelectionError, match="nothing is chosen without measurements"):
        table.read(tmp_path / "none.csv")
    with pytest.raises(SelectionError, match="Is a directory"):
        table.read(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"\xff\xfe\x00step")
    with pytest.raises(SelectionError, match="no CSV table"):
        table.read(path)
