from dataclasses import replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyspace.errors import ConfigError, ExportError
from polyspace.inference import table
from polyspace.inference.predictions import Identity, Row

FACTS = {"class_names": ["left", "right"]}


def row(number, bundle="b1", *, size=10, chance=0.75, reason=None):
    """Give a row of a file; by its chance it can be told from an earlier one of the file."""
    name = Identity(f"v{number:03d}.mp4", size, 7)
    if reason:
        return Row(name, bundle, 0.1, "refused", reason=reason, error="no")
    chances = (chance, 1 - chance)
    return Row(name, bundle, 0.1, "scored", None, None, "left", chance, chances)


def fill(path, parts, wanted=None, bundle="b1"):
    """Add parts to a table and finish it; as if nothing else lay in the folder."""
    with table.opened(path) as found:
        for part in parts:
            found.add(part)
        names = wanted if wanted is not None else [each.file for part in parts for each in part]
        found.finish(names, bundle, FACTS)


def paths(path):
    return [each["path"] for each in table.rows(path, "path")]


def test_what_is_written_is_read_back(tmp_path):
    rows = [row(0), row(1, reason="format")]
    fill(tmp_path / "a.parquet", [rows])
    found = list(table.rows(tmp_path / "a.parquet"))
    assert found == [{**r.plain(), "probabilities": r.probabilities and list(r.probabilities)}
                     for r in rows]  # fmt: skip
    assert table.facts(tmp_path / "a.parquet") == FACTS
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_anybody_reads_it(tmp_path):
    fill(tmp_path / "a.parquet", [[row(0)]])
    columns = pq.read_table(tmp_path / "a.parquet").schema
    assert columns.field("probabilities").type == pa.list_(pa.float32())
    assert columns.field("top1_probability").type == pa.float32()


def test_parts_become_row_groups_of_some_size(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "GROUP", 5)
    fill(tmp_path / "a.parquet", [[row(2 * n), row(2 * n + 1)] for n in range(7)])
    found = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [6, 6, 2]
    assert paths(tmp_path / "a.parquet") == [f"v{n:03d}.mp4" for n in range(14)]


def test_parts_of_a_run_that_was_killed_are_known_and_kept(tmp_path):
    with table.opened(tmp_path / "a.parquet") as found:
        found.add([row(0), row(1)])
    with table.opened(tmp_path / "a.parquet") as found:
        assert found.known("b1") == {row(0).file, row(1).file}
        assert found.known("b2") == set()
    assert not (tmp_path / "a.parquet").exists()
    fill(tmp_path / "a.parquet", [[row(2)]], wanted=[row(n).file for n in range(3)])
    assert paths(tmp_path / "a.parquet") == ["v000.mp4", "v001.mp4", "v002.mp4"]


def test_a_kill_between_the_table_and_the_end_of_its_parts_doubles_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    with monkeypatch.context() as killed:
        killed.setattr(table.shutil, "rmtree", raises(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fill(path, [[row(0), row(1)]])
    assert paths(path) == ["v000.mp4", "v001.mp4"]
    assert Path(f"{path}.parts").is_dir()
    fill(path, [], wanted=[row(0).file, row(1).file])
    assert paths(path) == ["v000.mp4", "v001.mp4"]
    assert not Path(f"{path}.parts").exists()


def test_reasons_that_may_pass_are_tried_again_and_the_latest_answer_counts(tmp_path):
    path = tmp_path / "a.parquet"
    fill(path, [[row(0, reason="time-out"), row(1, reason="format"), row(2)]])
    with table.opened(path) as found:
        assert found.known("b1") == {row(1).file, row(2).file}
    fill(path, [[row(0, chance=0.625)]], wanted=[row(n).file for n in range(3)])
    assert [r["top1_probability"] for r in table.rows(path)] == [None, 0.75, 0.625]


def test_a_table_to_which_nothing_is_added_is_left_as_it_is(tmp_path):
    path = tmp_path / "a.parquet"
    fill(path, [[row(0), row(1)]])
    before = path.stat()
    fill(path, [], wanted=[row(0).file, row(1).file])
    assert path.stat().st_ino == before.st_ino
    fill(path, [], wanted=[row(1).file])
    assert paths(path) == ["v001.mp4"]


@settings(max_examples=15, deadline=None)
@given(
    runs=st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 5), st.integers(1, 2), max_size=6),
            st.sampled_from(["b1", "b2"]),
            st.integers(1, 3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_after_any_runs_it_holds_what_lies_there_once_and_of_the_last_bundle(
    runs, tmp_path_factory
):
    path = tmp_path_factory.mktemp("table") / "a.parquet"
    numbers = count()
    last = {}
    for there, bundle, size in runs:
        listed = [row(n, bundle, size=s) for n, s in there.items()]
        with table.opened(path) as found:
            known = found.known(bundle)
            new = [
                replace(r, top1_probability=next(numbers) / 1024)
                for r in listed
                if r.file not in known
            ]
            for start in range(0, len(new), size):
                found.add(new[start : start + size])
            found.finish([r.file for r in listed], bundle, FACTS)
        last = {(r.file, bundle): last.get((r.file, bundle)) for r in listed}
        last |= {(r.file, bundle): r.top1_probability for r in new}
        held = [
            ((Identity(r["path"], r["size_bytes"], r["modified_ns"]), r["bundle"]),
             r["top1_probability"]) for r in table.rows(path)
        ]  # fmt: skip
        assert len(held) == len(dict(held)) == len(listed)
        assert dict(held) == last


@pytest.mark.parametrize("content", [b"", b"text", b"PAR1" + bytes(40) + b"PAR1"])
def test_something_else_in_its_place_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="nothing was written") as refused, table.opened(path):
        pass
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content
    assert not Path(f"{path}.parts").exists()


def test_a_table_of_something_else_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"path": ["a"]}), path)
    with pytest.raises(ExportError, match="is no table of predictions"), table.opened(path):
        pass


def test_a_folder_in_its_place_is_refused(tmp_path):
    with pytest.raises(ExportError, match="can't be read as a table"), table.opened(tmp_path):
        pass


def _try(path, answers):
    try:
        with table.opened(path):
            answers.put("opened")
    except ConfigError as error:
        answers.put(str(error))


def test_two_processes_do_not_add_to_one_table(tmp_path):
    context = get_context("spawn")
    answers = context.SimpleQueue()
    with table.opened(tmp_path / "a.parquet"):
        other = context.Process(target=_try, args=(tmp_path / "a.parquet", answers))
        other.start()
        other.join()
        assert "another process is adding to" in answers.get()


def raises(error):
    def fail(*_, **__):
        raise error

    return fail
