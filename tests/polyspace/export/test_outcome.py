import pytest

from polyspace.errors import ExportError
from polyspace.export import outcome
from polyspace.report.records.exports import read_exports
from tests.support.exports import write_bundle


def test_a_bundle_is_summed_up_in_one_line(tmp_path):
    said = outcome.in_words(write_bundle(tmp_path / "int8", "int8"))
    assert said.startswith(f"{tmp_path / 'int8'}: int8: the same class on 140 of 140 clips")
    assert "\n" not in said


def test_the_terminal_has_every_format_and_every_reason(tmp_path, capsys):
    write_bundle(tmp_path / "fp16")
    outcome.write(tmp_path, {"int8": "[red]3 points[/red] apart"}, fails=False)
    outcome.show(tmp_path)
    said = capsys.readouterr().out
    assert "motion, test: 140 clips" in said
    assert "140 of 140" in said
    assert "refused  int8: [red]3 points[/red] apart" in said
    assert said.rstrip().endswith(str(tmp_path / "index.html"))


@pytest.mark.parametrize("fails", [False, True])
def test_a_folder_is_left_alone_only_where_nothing_was_published_and_that_is_an_error(
    tmp_path, fails
):
    out = tmp_path / "bundles"
    path = outcome.write(out, {"fp16": "NaN"}, fails=fails)
    assert out.exists() is not fails
    assert fails or (path and read_exports(path).refused) == {"fp16": "NaN"}


def test_only_what_was_to_fail_does(tmp_path):
    outcome.conclude({"fp16": "NaN"}, fails=False)
    outcome.conclude({}, fails=True)
    with pytest.raises(ExportError, match=r"^fp16: NaN; int8: too far$"):
        outcome.conclude({"fp16": "NaN", "int8": "too far"}, fails=True)
