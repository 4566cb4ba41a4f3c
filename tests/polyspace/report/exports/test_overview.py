import json
import re

from polyspace.report import page
from polyspace.report.exports import overview
from polyspace.report.records.exports import read_exports
from tests.support.exports import latency, quantization, write_bundle


def written(folder, refused=()):
    path = overview.write(overview.collect(folder, dict(refused)), folder)
    return read_exports(path), (folder / "index.html").read_text()


def test_all_formats_stand_side_by_side_the_largest_first(tmp_path, cells):
    for kind in ("int8", "fp32", "fp16"):
        write_bundle(tmp_path / kind, kind)
    found, text = written(tmp_path)
    assert [exported.folder for exported in found.formats] == ["fp32", "fp16", "int8"]
    rows = [row for row in cells(text) if row[0] in ("fp32", "fp16", "int8")]
    assert [row[0] for row in rows[:3]] == ["fp32", "fp16", "int8"]
    links = re.findall(r'<a href="([^"#]+)"', text)
    assert links == ["fp32/proof.html", "fp16/proof.html", "int8/proof.html"]
    assert text.count("<img") == 2


def test_refused_formats_have_their_reason(tmp_path, cells):
    write_bundle(tmp_path / "fp16")
    found, text = written(tmp_path, {"onnx": "<b>differs</b>"})
    assert found.refused == {"onnx": "<b>differs</b>"}
    assert ["onnx", "&lt;b&gt;differs&lt;/b&gt;"] in cells(text)
    assert 'class="answer open"' in text


def test_what_an_export_has_not_finished_is_no_format(tmp_path):
    for name in ("fp16", "int8.partial", "bf16.old"):
        write_bundle(tmp_path / name)
    (tmp_path / "else").mkdir()
    (tmp_path / "file").write_text("")
    found, _ = written(tmp_path)
    assert [exported.folder for exported in found.formats] == ["fp16"]


def test_a_bundle_of_an_earlier_version_is_said_to_be_one_and_the_others_are_shown(tmp_path):
    write_bundle(tmp_path / "fp16")
    write_bundle(tmp_path / "int8", "int8", schema=1)
    found, _ = written(tmp_path)
    assert [exported.folder for exported in found.formats] == ["fp16"]
    assert "another version" in found.refused["int8"]


def test_bundles_of_other_checkpoints_are_no_forms_of_one_model(tmp_path):
    other = {**quantization("int8"), "source_sha256": {"fusion": "99" * 32}}
    write_bundle(tmp_path / "fp16")
    write_bundle(
        tmp_path / "int8",
        "int8",
        config={"quantization_info": other},
        created="2026-11-20T06:00:00+00:00",
    )
    _, text = written(tmp_path)
    assert "Made of other checkpoints than the newest export: int8." in text


def test_a_bundle_of_before_is_not_passed_off_as_new(tmp_path):
    write_bundle(tmp_path / "fp16")
    _, text = written(tmp_path, {"fp16": "too far apart"})
    assert "Refused when last exported: fp16." in text
    _, clean = written(tmp_path)
    assert 'class="banner"' not in clean


def test_a_folder_without_a_bundle_still_has_its_reasons(tmp_path):
    found, text = written(tmp_path / "none", {"fp16": "NaN"})
    assert found.formats == ()
    assert "Refused: fp16." in text
    assert "<img" not in text


def test_times_of_a_busy_machine_are_announced_as_such(tmp_path):
    steady, shaky = latency(1, 0.5), latency(1, 0.5)
    shaky["ratio"] = {"median": 0.5, "low": 0.3, "high": 0.7}
    write_bundle(tmp_path / "fp16", latency=[steady])
    assert "busy" not in written(tmp_path)[1]
    write_bundle(tmp_path / "int8", "int8", latency=[shaky])
    assert "Timed while the machine was busy: int8." in written(tmp_path)[1]


def test_without_times_there_is_no_picture(tmp_path):
    write_bundle(tmp_path / "fp16", latency=None)
    _, text = written(tmp_path)
    assert "<img" not in text


def test_the_record_reads_back_as_it_was_and_the_page_is_made_of_it_alone(tmp_path):
    write_bundle(tmp_path / "fp16")
    found, text = written(tmp_path)
    again = json.loads((tmp_path / "exports.json").read_text())
    assert again["formats"][0]["proof"]["schema"] == 2
    assert page.render(overview.compose(found)) == text
