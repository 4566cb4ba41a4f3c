import pytest

from polyspace.data.datasets import annotations
from polyspace.errors import DatasetError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "list"


def test_rows_are_read_by_their_columns_with_quotes_and_a_byte_order_mark(file):
    file.write_text('\ufeffpath, label\r\n"a,b.mp4", "cat"\r\n\r\nc.mp4,dog\r\n', newline="")

    assert annotations.rows(file, ("path", "label")) == [
        {"path": "a,b.mp4", "label": "cat"},
        {"path": "c.mp4", "label": "dog"},
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has the columns none"),
        ("path\na\n", "has the columns path: expected each once, among them path, label"),
        ("path,label,label\n", "expected each once"),
        ("path,label,groups\n", "column 'groups', which means nothing here"),
        ("path,label\na\n", "line 2: 1 values for 2 columns"),
        ("path,label\na,b\nc,d,e\n", "line 3: 3 values for 2 columns"),
        ('path,label\n"a"b,c\n', "line 2: no CSV"),
    ],
)
def test_a_table_that_is_none_is_refused(file, text, reason):
    file.write_text(text)

    with pytest.raises(DatasetError, match=reason):
        annotations.rows(file, ("path", "label"), ("group",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is no JSON"),
        ("{}", "holds no list: expected objects with id"),
        ('[{"id": 1}, {"name": 2}]', "entry 2: found .* expected an object with id"),
        ("[1]", "entry 1"),
    ],
)
def test_a_list_that_is_none_is_refused(file, text, reason):
    file.write_text(text)

    with pytest.raises(DatasetError, match=reason):
        annotations.objects(file, ("id",))


def test_a_missing_file_and_one_that_is_no_text_are_refused(file):
    with pytest.raises(DatasetError, match=r"list is missing: .* docs/datasets\.md"):
        annotations.lines(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="can't be read as text"):
        annotations.lines(file)
