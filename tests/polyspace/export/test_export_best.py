import json

import pytest
import torch
from safetensors.torch import load_file

from polyspace import console
from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError
from polyspace.export import export_best
from polyspace.export.bare import reread, written
from polyspace.export.export_best import ExportBestConfig
from polyspace.files import sha256_file
from polyspace.inference.opening import load_model_auto
from polyspace.report.records.selection import read_selection
from tests.support.selections import HEADER, WORKED, scored, write_checkpoints, write_table

SEED = (
    "--checkpoint_dir outputs/stage2_training/checkpoints "
    "--validation_metrics outputs/stage2_training/validation_metrics.csv "
    "--output_dir models/stage2_best --quantize_fp16 --plot"
)
"""The seed's command, as it stands there."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Type the command in an empty folder; give its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        with pytest.raises(SystemExit) as stop:
            console.run(ExportBestConfig, export_best.main, line.split())
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run


@pytest.fixture
def spectral(tmp_path):
    """The folders of the seed's command, with the worked example as the best of two."""
    folder = tmp_path / "outputs" / "stage2_training"
    write_checkpoints(folder / "checkpoints", ["checkpoint_500.pt", "checkpoint_1500.pt"])
    worse = WORKED.replace("500,1,.065", "1500,3,.084")
    (folder / "validation_metrics.csv").write_text(f"{HEADER}\n{WORKED}\n{worse}\n")
    return folder / "checkpoints"


@pytest.fixture
def unproved(monkeypatch):
    """Leave the fresh process out, which has tests of its own."""
    monkeypatch.setattr(reread, "verify", lambda state, files: len(state))


def test_the_seeds_command_and_its_loading_snippet(run, spectral, tmp_path):
    code, said, complaint = run(SEED)
    assert (code, complaint) == (0, "")
    assert "step 500 (epoch 1, checkpoint_500.pt) of 2 checkpoints, score 0.07" in said
    assert "no forward pass was made" in said
    out = tmp_path / "models" / "stage2_best"
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "checkpoint_comparison.png",
        "model.safetensors",
        "model.safetensors.sha256",
        "pareto.png",
        "quantization_info.json",
        "selection_metadata.json",
        "stage2_best.pt",
        "stage2_best.pt.sha256",
        "validation_metrics.csv",
        "weight_sensitivity.png",
    }
    loaded = torch.load("models/stage2_best/stage2_best.pt")
    info = loaded["quantization_info"]
    keys = ("dtype", "fp16_parameters", "non_fp16_parameters", "total_parameters")
    assert tuple(info[key] for key in keys) == ("fp16", 16, 0, 16)
    assert info["compression_ratio"] == info["float32_bytes"] / info["bytes"]
    assert info["bytes"] == (out / "model.safetensors").stat().st_size
    source = spectral / "checkpoint_500.pt"
    assert info["source_sha256"] == {"checkpoint": sha256_file(source)}
    assert (loaded["step"], loaded["epoch"]) == (500, 1)
    source = torch.load(source, weights_only=True)["model_state_dict"]
    state = loaded["model_state_dict"]
    assert state.keys() == source.keys()
    for name, values in load_file(out / "model.safetensors").items():
        assert torch.equal(values, state[name])
        kept = name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
        assert torch.equal(values, source[name] if kept else source[name].half())
        assert (values.dtype == torch.float16) == (not kept)
    assert b"exp_avg" not in (out / "stage2_best.pt").read_bytes()
    assert json.loads((out / "quantization_info.json").read_text())["proof"]["tensors"] == 5


def test_without_quantising_the_optimizer_is_left_out_too(run, spectral, unproved, tmp_path):
    assert run(SEED.replace(" --quantize_fp16", ""))[0] == 0
    loaded = torch.load(tmp_path / "models/stage2_best/stage2_best.pt", weights_only=True)
    assert loaded.keys() == {"model_state_dict", "step", "epoch"}
    assert loaded["model_state_dict"]["weight"].dtype == torch.float32


def test_the_seeds_weights_are_options(run, spectral, unproved):
    code, said, _ = run(f"{SEED} --spectral_weight 2 --edge_penalty_weight 3")
    assert code == 0
    assert "score 0.14" in said
    terms = read_selection(spectral.parents[2] / "models" / "stage2_best").policy.objective
    assert [term.weight for term in terms] == [2, 2, 1, 3]


def test_polyspaces_own_checkpoints_are_chosen_by_their_own_policy(run, unproved, tmp_path):
    scored(tmp_path / "run", [0.1, 0.8])
    code, said, _ = run("--checkpoint_dir run --output_dir out --quantize_fp16")
    assert code == 0
    assert "step 10 " in said
    assert (tmp_path / "out" / "out.pt").is_file()
    code, _, complaint = run("--checkpoint_dir run --output_dir out --spectral_weight 2")
    assert code == 2
    assert "--spectral_weight belongs to the spectral preset, but scores was chosen" in complaint


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda state: state["weight"].fill_(70000.0), "weight can't be exported as float16"),
        (lambda state: state["weight"].fill_(float("nan")), "weight has 12 values that are not"),
        (lambda state: state["norm.running_var"].fill_(float("inf")), "norm.running_var has 4"),
        (lambda state: state.clear(), "holds no weights"),
        (lambda state: state.update(note="by hand"), "note is no dense tensor"),
    ],
    ids=["65504", "NaN", "statistics", "empty", "text"],
)
def test_weights_that_can_not_leave_are_refused_in_one_line(run, spectral, tmp_path, damage, match):
    path = spectral / "checkpoint_500.pt"
    content = torch.load(path, weights_only=True)
    damage(content["model_state_dict"])
    torch.save(content, path)
    code, said, complaint = run(SEED)
    assert (code, said) == (2, "")
    assert match in complaint
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "models" / "stage2_best").exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_a_missing_table_is_not_replaced_by_random_metrics(run, spectral, tmp_path):
    (spectral.parent / "validation_metrics.csv").unlink()
    code, _, complaint = run(SEED)
    assert code == 2
    assert "no table of metrics" in complaint
    assert not (tmp_path / "models").exists()


def test_step_500_is_not_checkpoint_1500(run, spectral, tmp_path):
    (spectral / "checkpoint_500.pt").unlink()
    code, _, complaint = run(SEED)
    assert code == 2
    assert "no checkpoint of step 500" in complaint


def test_an_export_that_does_not_read_back_is_not_published(run, spectral, tmp_path, monkeypatch):
    run(SEED)
    before = (tmp_path / "models/stage2_best/model.safetensors").read_bytes()
    monkeypatch.setattr(written, "save", lambda state, info: b"something else")
    code, _, complaint = run(SEED)
    assert code == 2
    assert "a fresh process can't read the export" in complaint
    assert (tmp_path / "models/stage2_best/model.safetensors").read_bytes() == before


def test_a_checkpoint_with_its_digest_that_was_altered_is_refused(run, spectral, unproved):
    path = checkpoint.save(
        spectral / "checkpoint_500.pt", "other", {"model_state_dict": {"a": torch.ones(9)}}
    )
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x80\x3f")] ^= 1
    path.write_bytes(raw)
    code, _, complaint = run(SEED)
    assert code == 2
    assert "is not the file that was written" in complaint


def test_rows_of_other_columns_need_an_objective(run, tmp_path):
    write_checkpoints(tmp_path / "run", ["step_1.pt"])
    write_table(tmp_path / "run" / "validation_metrics.csv", [{"step": 1, "loss": 0.5}])
    code, _, complaint = run("--checkpoint_dir run --output_dir out")
    assert code == 2
    assert "say what counts" in complaint


class Refiner(torch.nn.Module):
    """The architecture that the small checkpoints are of."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(4, 3))
        self.norm = torch.nn.BatchNorm1d(4, affine=True)
        self.norm.register_parameter("bias", None)


def test_what_was_exported_is_loaded_into_the_users_own_model(run, spectral, unproved, tmp_path):
    run(SEED)
    path = tmp_path / "models/stage2_best/stage2_best.pt"
    model, info = load_model_auto(path, Refiner())
    source = torch.load(spectral / "checkpoint_500.pt", weights_only=True)["model_state_dict"]
    assert isinstance(model, Refiner)
    assert info is not None
    assert info["dtype"] == "fp16"
    assert torch.equal(model.state_dict()["weight"], source["weight"].half().float())
    assert torch.equal(model.state_dict()["norm.running_var"], source["norm.running_var"])


def test_flipped_bits_of_the_file_that_torch_reads_are_refused(run, spectral, unproved, tmp_path):
    run(SEED)
    path = tmp_path / "models/stage2_best/stage2_best.pt"
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 97):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        with pytest.raises(CheckpointError, match="is not the file that was written"):
            load_model_auto(path, Refiner())
