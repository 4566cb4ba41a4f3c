import json
import shutil
from pathlib import Path

import pytest
import torch

from polyspace.errors import DatasetError, ExportError, LabelError
from polyspace.export import bundle, contents
from polyspace.export.formats.kinds import FormatName
from polyspace.export.proof import fresh
from polyspace.export.proof.compare import HeldOut, kl
from polyspace.export.proof.jobs import Job
from polyspace.export.proof.latency import BATCHES, FEWEST
from tests.support.exported import back_from, drawn, exportable
from tests.support.stages import finish
from tests.support.stores import make_store

FIELDS = (
    "schema kind entry bytes float32_bytes ratio dataset split fingerprint clips looks groups "
    "top1_source top1_export difference_points agreement max_abs_logit mean_abs_logit mean_kl "
    "max_kl changed thresholds compute device threads versions latency memory load_seconds command "
    "created seconds"
)
OF_THE_DAY = ("latency", "memory", "load_seconds", "created", "seconds", "command")
"""Fields that differ from one proof to the next."""


def prove(exported_source, out, name: FormatName = "fp16", **changes):
    folder = finish(bundle.run(exported_source.config(out, **changes), name))
    return json.loads((folder / "proof.json").read_text())


def logits(exported_source, model):
    clips = exported_source.clips()
    with torch.no_grad():
        return model(clips.tokens("stu", clips.rows(("stu",)))).logits


def test_a_proof_has_these_fields(proof):
    assert " ".join(proof) == FIELDS
    assert (proof["schema"], proof["kind"], proof["entry"]) == (2, "fp16", "tokens")
    assert (proof["dataset"], proof["split"]) == ("toy", "test")
    assert (proof["clips"], proof["looks"], proof["groups"]) == (36, 36, 9)


def test_it_says_of_which_store_and_which_file(proof, proved, exported_source):
    assert proof["fingerprint"] == exported_source.clips().fingerprint
    assert proof["bytes"] == (proved / "model.safetensors").stat().st_size
    assert proof["ratio"] == proof["bytes"] / proof["float32_bytes"]
    assert proof["thresholds"] == {"points": 0.1, "agreement": None, "mean_kl": None}
    assert proof["command"].startswith("python -m polyspace.export.bundle --device cpu ")


def test_a_fresh_process_says_what_the_rounded_weights_say(proof, exported_source, tmp_path):
    model = exported_source.source().model
    before = logits(exported_source, model)
    after = logits(exported_source, back_from("fp16", model, tmp_path))
    assert proof["max_abs_logit"] == pytest.approx(float((after - before).abs().max()), rel=1e-3)
    assert proof["mean_kl"] == pytest.approx(float(kl(before, after).mean()), rel=1e-2)
    labels = torch.from_numpy(exported_source.clips().labels)
    right = float((before.argmax(1) == labels).double().mean())
    assert proof["top1_source"]["value"] == pytest.approx(right)
    assert proof["top1_source"]["low"] <= right <= proof["top1_source"]["high"]


def test_time_memory_and_loading_are_measured(proof):
    assert [row["batch"] for row in proof["latency"]] == list(BATCHES)
    for row in proof["latency"]:
        assert row["repeats"] >= FEWEST
        for part in ("source_ms", "export_ms", "ratio"):
            assert 0 < row[part]["low"] <= row[part]["median"] <= row[part]["high"]
    assert 0 < proof["memory"]["export_bytes"] < 2**30
    assert 0 < proof["memory"]["source_bytes"] < 2**30
    assert "resident memory" in proof["memory"]["words"]
    assert all(0 < proof["load_seconds"][who] < 60 for who in ("source", "export"))
    assert proof["compute"]["export"] == "fp32"
    assert "float16" in proof["compute"]["reason"]
    assert proof["threads"] == torch.get_num_threads()
    assert proof["versions"]["torch"] == torch.__version__


def test_a_bundle_holds_what_it_lists_and_nothing_else(proved):
    contents.verify(proved)
    listed = {line.split()[1] for line in (proved / "SHA256SUMS").read_text().splitlines()}
    assert {path.name for path in proved.iterdir()} == listed | {"SHA256SUMS"}
    assert [path.name for path in proved.parent.iterdir()] == ["fp16"]


def test_proofs_are_the_same_but_for_what_the_day_brings(proof, exported_source, tmp_path):
    again = prove(exported_source, tmp_path)
    assert {k: v for k, v in again.items() if k not in OF_THE_DAY} == {
        k: v for k, v in proof.items() if k not in OF_THE_DAY
    }
    assert (again["latency"], again["memory"], again["load_seconds"]) == (None, None, None)


@pytest.mark.usefixtures("same_process")
class TestInThisProcess:
    """The same, but for the fresh process, which takes seconds to start."""

    def test_float32_is_the_source(self, exported_source, tmp_path):
        proof = prove(exported_source, tmp_path, "fp32")
        assert (proof["max_abs_logit"], proof["max_kl"], proof["agreement"]) == (0, 0, 1)

    def test_every_view_is_compared(self, tmp_path):
        source = exportable(tmp_path, views=3)
        proof = prove(source, tmp_path / "out", "int8", threshold_points=100)
        assert (proof["clips"], proof["looks"]) == (36, 108)

    def test_weights_of_another_network_are_refused(self, exported_source, tmp_path, monkeypatch):
        sabotage(monkeypatch, drawn(seed=1))
        with pytest.raises(ExportError, match="fp16 differs from its source on 36 held-out clips"):
            prove(exported_source, tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())

    @pytest.mark.parametrize(
        ("changes", "option"),
        [
            ({"threshold_points": 0.0, "threshold_agreement": 1.0}, "--threshold-agreement"),
            ({"threshold_points": 100.0, "threshold_kl": 0.0}, "--threshold-kl"),
        ],
    )
    def test_thresholds_of_the_command_line_are_kept(
        self, changes, option, exported_source, tmp_path, monkeypatch
    ):
        sabotage(monkeypatch, drawn(seed=1))
        with pytest.raises(ExportError, match=option):
            prove(exported_source, tmp_path, **changes)

    def test_what_is_allowed_is_published(self, exported_source, tmp_path, monkeypatch):
        sabotage(monkeypatch, drawn(seed=1))
        proof = prove(exported_source, tmp_path, threshold_points=100)
        assert proof["agreement"] < 1
        assert proof["changed"]
        assert proof["thresholds"]["points"] == 100

    def test_an_export_that_gives_no_numbers_is_refused(
        self, exported_source, tmp_path, monkeypatch
    ):
        broken = drawn()
        with torch.no_grad():
            next(broken.fusion.head.parameters())[0] = 1e38
            next(broken.fusion.head.parameters())[1] = -1e38
        sabotage(monkeypatch, broken)
        with pytest.raises(ExportError, match="the export gives logits that are not finite"):
            prove(exported_source, tmp_path, "fp32", threshold_points=100)

    def test_clips_of_one_group_leave_no_interval(self, exported_source, tmp_path):
        features = Path(shutil.copytree(exported_source.features, tmp_path / "features"))
        shutil.rmtree(features / "toy_test.zarr")
        make_store(features, "test", clips=8, groups=1)
        with pytest.raises(DatasetError, match="all 8 clips belong to the group"):
            prove(exported_source, tmp_path / "out", features=features)


def sabotage(monkeypatch, model):
    """Let another model's weights be written in the place of the right ones."""
    assemble = bundle.assemble

    def swapped(kind, subject, source, student, folder):
        sizes = assemble(kind, subject, source, student, folder)
        back_from(kind, model, folder)
        contents.seal(folder)
        return sizes

    monkeypatch.setattr(bundle, "assemble", swapped)


@pytest.mark.parametrize("names", [("c0", "c1"), ("c0", "c2", "c1"), ("c0", "c1", "other")])
def test_a_class_list_of_another_length_or_order_is_refused(names, exported_source):
    with pytest.raises(LabelError, match=f"of 3 classes .*, the model names {len(names)}"):
        HeldOut.of(exported_source.clips(), "stu", names)


def test_classes_that_the_store_lacks_are_no_harm(exported_source):
    HeldOut.of(exported_source.clips(), "stu", ("c0", "c1", "c2", "class_3"))


def test_the_last_words_of_a_process_that_fails_are_told(proved, tmp_path, exported_source):
    broken = Path(shutil.copytree(proved, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"something else")
    job = Job(
        bundle=broken,
        store=exported_source.clips().store.path,
        entry="tokens",
        device="cpu",
        threads=1,
        measure=False,
    )
    with pytest.raises(ExportError, match=r"a fresh process can't use the bundle: .* not the file"):
        fresh.answer(job)


def test_a_process_that_is_ended_from_outside_is_told_apart():
    ended = fresh.subprocess.CompletedProcess([], -9, stdout="", stderr="")
    assert "ended by signal 9" in fresh._last_words(ended)
    silent = fresh.subprocess.CompletedProcess([], 3, stdout="", stderr="")
    assert fresh._last_words(silent) == "it ended with 3"
