import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from polyspace.errors import CheckpointError, ExportError
from polyspace.export.folding import Folded
from polyspace.export.formats import archive, program
from tests.support.zoo import answers, distilled, looks, subject

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    return distilled("residual_mlp", "dsconv", "perceiver")


@pytest.fixture(scope="module")
def left(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pt2")
    return program.write("pt2", subject(model), folder), folder


@pytest.mark.parametrize("clips", [0, 1, 3, 7])
def test_any_number_of_clips_is_answered_as_the_model_does(left, model, clips):
    run = program.load("pt2", left[1], model.specs(), CPU).run
    tokens = looks(clips)
    said = run(tokens)
    torch.testing.assert_close(said, answers(model, tokens), rtol=1e-4, atol=1e-5)
    assert not said.requires_grad


def test_the_census_counts_every_weight_of_the_module(left, model):
    counted = {tensor.name: (tensor.count, tensor.dtype) for tensor in left[0].tensors}
    module = Folded(model).state_dict()
    assert counted == {name: (v.numel(), "float32") for name, v in module.items()}
    assert {t.name for t in left[0].tensors if t.kind == "parameter"} == {
        name for name, _ in Folded(model).named_parameters()
    }


def test_the_file_holds_no_pickle_and_nothing_of_this_machine(left):
    with zipfile.ZipFile(left[1] / program.FILE) as opened:
        for entry in opened.infolist():
            content = opened.read(entry)
            assert not entry.filename.endswith(".pt") or not content
            with pytest.raises(Exception, match=r"."):
                pickle.loads(content)
            if entry.filename.endswith(".json"):
                assert b".py" not in content
                assert b"/tmp" not in content


ALONE = """
import sys, torch
assert not any(name.startswith("polyspace") for name in sys.modules)
network = torch.export.load({path!r}).module(check_guards=False)
print(tuple(network(torch.zeros(5, 4, 4, 8)).shape))
"""


def test_torch_runs_the_file_without_polyspace(left):
    script = ALONE.format(path=str(left[1] / program.FILE))
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/"
    )
    assert ended.stdout.strip() == "(5, 3)"


def rewritten(path: Path, out: Path, change) -> Path:
    """Copy an archive, letting `change` replace what is in it: name and content to such pairs."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            for name, content in change(entry.filename, old.read(entry)):
                new.writestr(name, content)
    return out


def replacing(end, edit):
    """Change the JSON whose name ends so."""

    def change(name, content):
        if name.endswith(end):
            said = json.loads(content)
            edit(said)
            content = json.dumps(said).encode()
        return [(name, content)]

    return change


def adding(name, content=b"x"):
    def change(other, held):
        extra = [(name, content)] if other.endswith("archive_version") else []
        return [(other, held), *extra]

    return change


def first_call(said):
    return next(n for n in said["graph_module"]["graph"]["nodes"] if "aten" in n["target"])


def of_call(**changes):
    return replacing("model.json", lambda said: first_call(said).update(changes))


def of_weights(**changes):
    def edit(said):
        next(iter(said["config"].values())).update(changes)

    return replacing("weights_config.json", edit)


def size_of(expression):
    def edit(said):
        for value in said["graph_module"]["graph"]["sym_int_values"].values():
            value["as_expr"]["expr_str"] = expression

    return replacing("model.json", edit)


HOSTILE = {
    "a function of torch that isn't an operator": of_call(target="torch.os.system"),
    "an operator of somebody else": of_call(target="torch.ops.evil.run.default"),
    "a function of operator that calls": of_call(target="_operator.call"),
    "a higher order operator": of_call(target="torch.ops.higher_order.cond"),
    "a name that becomes code": of_call(name="x; import os"),
    "notes": of_call(metadata={"stack_trace": "File 'x'"}),
    "checks of inputs": replacing("model.json", lambda said: said.update(guards_code=["exit()"])),
    "a size that is code": size_of("__import__('os').system('true')"),
    "a size that calls": size_of("exit()"),
    "a weight as pickle": of_weights(use_pickle=True),
    "a weight elsewhere": of_weights(path_name="../../etc/passwd"),
    "weights as older versions had them": adding("model/data/weights/model.pt"),
    "constants as older versions had them": adding("model/data/constants/model.pt"),
    "an object": adding("model/data/constants/custom_obj_0"),
    "compiled code": adding("model/data/aotinductor/model/a.so"),
    "the layout of an older version": adding("serialized_exported_program.json", b"{}"),
    "two files of one name": adding("model/models/MODEL.json".lower(), b"{}"),
    "a second archive": adding("other/version", b"3"),
    "extra files": adding("model/extra/readme.txt"),
    "example inputs": lambda name, content: [
        (name, pickle.dumps(({},)) if "sample_inputs" in name else content)
    ],
    "no JSON": lambda name, content: [(name, b"{" if name.endswith("model.json") else content)],
}


def test_what_was_written_passes_and_so_does_a_plain_copy(left, tmp_path):
    copy = rewritten(left[1] / program.FILE, tmp_path / "a.pt2", lambda n, c: [(n, c)])
    archive.refuse_hostile(copy)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_that_could_run_code_is_refused_before_torch_reads_it(
    left, model, what, tmp_path, monkeypatch
):
    monkeypatch.setattr(program, "load_pt2", lambda *_: pytest.fail("torch has read it"))
    rewritten(left[1] / program.FILE, tmp_path / program.FILE, HOSTILE[what])
    with pytest.raises(CheckpointError, match="export it again") as refusal:
        program.load("pt2", tmp_path, model.specs(), CPU)
    assert "\n" not in str(refusal.value)


def test_what_is_no_archive_is_refused(model, tmp_path):
    (tmp_path / program.FILE).write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="is damaged"):
        program.load("pt2", tmp_path, model.specs(), CPU)


class Unwilling(torch.nn.Module):
    """A network that no graph can hold."""

    def forward(self, tokens):
        return tokens.sum((1, 2))[:, :3] if float(tokens.sum()) > 0 else tokens[:, 0, 0, :3]


def test_what_can_not_be_traced_is_refused_with_its_reason(model, tmp_path):
    given = subject(model)
    object.__setattr__(given, "module", Unwilling())
    with pytest.raises(ExportError, match=r"pt2: what is distilled from stu can't be traced") as no:
        program.write("pt2", given, tmp_path)
    assert "\n" not in str(no.value)
    assert not any(tmp_path.iterdir())
