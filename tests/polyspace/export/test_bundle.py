import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from polyspace.errors import ExportError, PolySpaceError
from polyspace.export import bundle, contents
from polyspace.export.formats.kinds import FormatName
from polyspace.export.proof.prove import Pair
from tests.support.exported import drawn, exportable, with_checkpoints
from tests.support.stages import finish, follow

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("same_process")


def with_weights(exported_source, folder, **values):
    """Put values into the first weights of modules, as no training would publish them."""
    folder.mkdir()
    paths = {}
    for kind, path in (
        ("converters", exported_source.converters),
        ("fusion", exported_source.fusion),
    ):
        record = torch.load(path, weights_only=True)
        for name, value in values.items():
            if name in record["state"]:
                record["state"][name].view(-1)[0] = value
        paths[kind] = folder / f"{kind}.pt"
        torch.save(record, paths[kind])
    return paths


class TestPublishing:
    def test_a_bundle_appears_whole_and_alone(self, exported_source, tmp_path):
        out = tmp_path / "out"
        said, folder = follow(bundle.run(exported_source.config(out), "fp16"))
        assert folder == out / "fp16"
        assert [path.name for path in out.iterdir()] == ["fp16"]
        contents.verify(folder)
        assert [str(word).split(":")[0] for word in said] == ["fp16"] * len(said)
        assert (said[0].done, said[-1].done) == (0, said[-1].total)

    def test_what_it_holds_is_described(self, exported_source, tmp_path):
        config = contents.read_config(finish(bundle.run(exported_source.config(tmp_path), "int8")))
        assert (config["kind"], config["entry"]) == ("int8", "tokens")
        assert config["class_names"] == ["c0", "c1", "c2"]
        assert config["student"]["tokens"] == {"time": 4, "space": 4, "dim": 6}
        assert set(config["provenance"]) == {"converters", "fusion"}
        info = config["quantization_info"]
        assert set(info["source_sha256"]) == {"converters", "fusion"}
        assert info["bytes"] == (tmp_path / "int8" / "model.safetensors").stat().st_size

    def test_a_second_export_takes_the_place_of_the_first(self, exported_source, tmp_path):
        first, second = (
            finish(bundle.run(exported_source.config(tmp_path, keep_float32=keep), "fp16"))
            for keep in ((), ("fusion.head",))
        )
        assert first == second
        policy = contents.read_config(second)["quantization_info"]["policy"]
        assert policy["keep_float32"] == ["fusion.head"]

    def test_a_foreign_folder_is_refused_before_anything_is_done(self, exported_source, tmp_path):
        (tmp_path / "fp16").mkdir()
        (tmp_path / "fp16" / "thesis.txt").write_text("years")
        stage = bundle.run(exported_source.config(tmp_path), "fp16")
        next(stage)
        with pytest.raises(
            ExportError, match="has no SHA256SUMS, so it was made by something else"
        ):
            next(stage)
        assert [path.name for path in (tmp_path / "fp16").iterdir()] == ["thesis.txt"]

    def test_an_export_that_fails_leaves_the_one_before(self, exported_source, tmp_path):
        out = tmp_path / "out"
        folder = finish(bundle.run(exported_source.config(out), "fp16"))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        config = exported_source.config(out, keep_float32=("nothing",))
        with pytest.raises(ExportError, match="--keep-float32 nothing"):
            finish(bundle.run(config, "fp16"))
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert [path.name for path in out.iterdir()] == ["fp16"]

    def test_a_killed_export_leaves_one_of_both_whole(self, tmp_path):
        exportable(tmp_path)
        command = [sys.executable, "-m", "tests.support.killed_export", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        first, *killed, last = map(json.loads, ended.stdout.splitlines())
        assert (first["status"], first["number"]) == (0, 0)
        assert len(killed) > 10
        published = 0
        for export in killed:
            assert export["status"] == -signal.SIGKILL
            assert export["number"] in (published, export["kill_at"]), export
            published = export["number"]
        assert all(export["direct"] for export in killed)
        assert (last["status"], last["number"]) == (0, last["kill_at"])
        assert last["left"] == ["fp16"]


class TestBadInput:
    def refused(self, exported_source, out, name: FormatName = "fp16", **changes):
        """Give the one line that an export ends with; nothing is left of it."""
        with pytest.raises(PolySpaceError) as caught:
            finish(bundle.run(exported_source.config(out, **changes), name))
        assert "\n" not in str(caught.value)
        assert not list(out.iterdir()) if out.exists() else True
        return str(caught.value)

    def first_of(self, exported_source):
        return next(iter(torch.load(exported_source.fusion, weights_only=True)["state"]))

    def test_values_over_65504_are_named_and_fit_into_wider_types(self, exported_source, tmp_path):
        name = self.first_of(exported_source)
        paths = with_weights(exported_source, tmp_path / "x", **{name: 70_000.0})
        said = self.refused(exported_source, tmp_path / "out", **paths)
        assert f"{name} can't be exported as float16" in said
        config = exported_source.config(tmp_path / "out", **paths)
        finish(bundle.run(config, "fp32"))

    @pytest.mark.parametrize("kind", ["fp32", "int8"])
    def test_weights_that_are_not_numbers_are_refused(self, kind, exported_source, tmp_path):
        name = self.first_of(exported_source)
        paths = with_weights(exported_source, tmp_path / "x", **{name: float("nan")})
        said = self.refused(exported_source, tmp_path / "out", kind, **paths)
        assert f"{name} has 1 values that are not finite" in said

    @pytest.mark.parametrize("kind", ["converters", "fusion"])
    def test_missing_weights_are_refused(self, kind, exported_source, tmp_path):
        record = torch.load(getattr(exported_source, kind), weights_only=True)
        del record["state"][next(iter(record["state"]))]
        torch.save(record, tmp_path / "cut.pt")
        said = self.refused(exported_source, tmp_path / "out", **{kind: tmp_path / "cut.pt"})
        assert "1 missing" in said

    @pytest.mark.parametrize("kind", ["converters", "fusion"])
    def test_a_checkpoint_that_is_not_there_is_named(self, kind, exported_source, tmp_path):
        said = self.refused(exported_source, tmp_path / "out", **{kind: tmp_path / "no.pt"})
        assert said.startswith(f"no {kind} checkpoint at")

    def test_converters_and_fusion_of_two_trainings_are_refused(self, exported_source, tmp_path):
        other = with_checkpoints(tmp_path / "x", exported_source.features, drawn(seed=5))
        said = self.refused(exported_source, tmp_path / "out", converters=other.converters)
        assert "translations of other converters than these" in said

    def test_checkpoints_in_each_others_place_are_refused(self, exported_source, tmp_path):
        swapped = {"converters": exported_source.fusion, "fusion": exported_source.converters}
        assert "expected converters" in self.refused(exported_source, tmp_path / "out", **swapped)

    def test_a_pickle_with_code_in_it_is_not_run(self, exported_source, tmp_path):
        class Hostile:
            def __reduce__(self):
                return Path.touch, (tmp_path / "owned",)

        torch.save({"format": 1, "kind": "fusion", "state": Hostile()}, tmp_path / "hostile.pt")
        said = self.refused(exported_source, tmp_path / "out", fusion=tmp_path / "hostile.pt")
        assert "is not a checkpoint of values and tensors" in said
        assert not (tmp_path / "owned").exists()

    def test_a_class_list_of_another_length_is_refused(self, exported_source, tmp_path):
        record = torch.load(exported_source.fusion, weights_only=True)
        record["spec"]["class_names"] = ["c0", "c1"]
        torch.save(record, tmp_path / "short.pt")
        said = self.refused(exported_source, tmp_path / "out", fusion=tmp_path / "short.pt")
        assert "of another shape" in said

    def test_other_features_are_refused(self, exported_source, tmp_path):
        said = self.refused(exported_source, tmp_path / "out", features=tmp_path)
        assert str(tmp_path) in said


class TestSeveralFormats:
    def test_all_are_made_and_told(self, exported_source, tmp_path, capsys):
        bundle.main(exported_source.config(tmp_path, formats=("fp32", "fp16")))
        said = capsys.readouterr().out.splitlines()
        for line, name in zip(said, ("fp32", "fp16"), strict=False):
            assert line.startswith(f"{tmp_path / name}: ")
        assert (tmp_path / "index.html").is_file()

    @pytest.mark.parametrize("what", ["fail", "report"])
    def test_one_that_is_refused_doesnt_keep_the_others_back(
        self, what, exported_source, tmp_path, capsys, monkeypatch
    ):
        def prove(pair: Pair, *rest):
            if pair.export.name.startswith("fp16"):
                raise ExportError("too far off")
            return proved(pair, *rest)

        proved = bundle.prove
        monkeypatch.setattr(bundle, "prove", prove)
        config = exported_source.config(tmp_path, formats=("fp16", "fp32"), refused=what)
        if what == "fail":
            with pytest.raises(ExportError, match=r"^fp16: too far off$"):
                bundle.main(config)
        else:
            bundle.main(config)
            assert "refused  fp16: too far off" in capsys.readouterr().out
        assert [path.name for path in tmp_path.iterdir() if path.name[:2] == "fp"] == ["fp32"]


class TestReference:
    def test_float32_is_its_own(self, exported_source, tmp_path, monkeypatch):
        pair = self.pair(exported_source, tmp_path, monkeypatch, "fp32")
        assert pair.reference == pair.export

    def test_others_are_timed_beside_float32(self, exported_source, tmp_path, monkeypatch):
        pair = self.pair(exported_source, tmp_path, monkeypatch, "int8")
        assert pair.reference.name == "fp32"
        assert not pair.reference.exists()
        assert pair.bytes < pair.float32_bytes

    def pair(self, exported_source, tmp_path, monkeypatch, name):
        pairs = []

        def prove(pair, *rest):
            pairs.append(pair)
            contents.verify(pair.reference, needed=("config.json",))
            return proved(pair, *rest)

        proved = bundle.prove
        monkeypatch.setattr(bundle, "prove", prove)
        finish(bundle.run(exported_source.config(tmp_path, measure=True), name))
        return pairs[0]
