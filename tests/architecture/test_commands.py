"""What the documents tell people to type is understood, and what they point at is there."""

import ast
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from polyspace import console
from polyspace.cli.doctor import Doctor
from polyspace.cli.estimate import Estimate
from polyspace.cli.predict import Predict
from polyspace.cli.store import Store
from polyspace.config import Config
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import StoreWriter
from tests.architecture.readme_tree import ROOT

DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md") for path in ROOT.glob(pattern)
)
CODE = sorted(
    path for top in ("polyspace", "tasks", "flows") for path in (ROOT / top).rglob("*.py")
)
EXECUTABLE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
"""Modules whose files can run code when they are read."""


def commands():
    """Give every command of ours that stands in a block of shell, with its document."""
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:sh|bash)\n(.*?)```", document.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:2] == ["python", "-m"]:
                    yield pytest.param(
                        words[2], words[3:], id=f"{document.name}-{' '.join(words[2:])}"
                    )
                elif words[:1] == ["torchrun"]:
                    at = words.index("-m")
                    yield pytest.param(
                        words[at + 1], words[at + 2 :], id=f"{document.name}-{' '.join(words)}"
                    )
                elif words[:1] == ["polyspace"]:
                    yield pytest.param(
                        "polyspace.cli.command", words[1:], id=f"{document.name}-{' '.join(words)}"
                    )


def config_of(module: str) -> type[Config]:
    """Give the class that a module hands to `console.run`, which is its command line."""
    spec = find_spec(module)
    assert spec is not None, f"there is no {module}"
    assert spec.origin is not None, f"{module} is a package"
    names = [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(Path(spec.origin).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "console.run"
    ]
    assert names, f"{module} can't be run"
    return getattr(import_module(module), names[0])


def options_of(config: type[Config]) -> set[str]:
    """Give the options of all of a command's subcommands."""
    union = get_args(config.model_fields["command"].annotation)
    kinds = [get_args(kind)[0] if get_args(kind) else kind for kind in union]
    return {name for kind in kinds for name in kind.model_fields}


def test_there_are_commands_to_try():
    assert {command.values[0] for command in commands()} >= {
        "polyspace.cli.command",
        "polyspace.data.featurize",
        "polyspace.train.train_converter",
        "polyspace.train.train_fusion",
        "polyspace.train.eval_downstream",
        "polyspace.train.evaluate",
    }


@pytest.mark.parametrize(("module", "options"), list(commands()))
def test_every_command_in_the_documents_is_understood(module, options):
    assert isinstance(console.parse(config_of(module), options), Config)


def test_a_command_with_a_wrong_option_would_be_noticed():
    with pytest.raises(ValueError, match="frobnicate"):
        console.parse(config_of("polyspace.data.featurize"), ["--frobnicate"])


def test_options_named_in_passing_exist():
    modules = [
        path for path in CODE if "console.run(" in path.read_text() and path.parent.name != "cli"
    ]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    known = {field for name in names for field in config_of(name).model_fields}
    known |= {f"no_{field}" for field in known} | {"help", *options_of(Store)}
    known |= {*Doctor.model_fields, *Estimate.model_fields, *Predict.model_fields}
    known |= {field.removeprefix("as_") for field in known}  # named --json
    for document in DOCUMENTS:
        for option in re.findall(r"`--([a-zA-Z][\w-]*)", document.read_text()):
            assert option.replace("-", "_") in known, f"{document.name}: --{option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_documents_name_exist(document):
    named = re.findall(
        r"`((?:polyspace|tasks|flows|tests|docs)/[\w./-]*|[.\w-]+\.(?:py|toml|yaml))`",
        document.read_text(),
    )
    for path in named:
        found = (ROOT / path).exists() or any(ROOT.glob(f"polyspace/**/{path}"))
        assert found or any(ROOT.glob(f"t*/**/{path}")), path


def test_the_store_documents_reader_agrees_after_a_kill_and_a_second_extraction(tmp_path):
    path = tmp_path / "made_train.zarr"
    ids = tuple("abcd")
    header = StoreHeader("made", "train", ("one",), clips_per_chunk=2, protocol={})
    rows = ClipRows(ids, ids, np.zeros(4, dtype=np.int64))
    spec = ArraySpec("student", time=2, space=1, dim=3)
    _write(path, header, rows, spec, {})
    next(path.glob("tokens/student/c.1.*")).unlink()
    _write(path, header, rows, spec, {"c": "damaged"})
    ledger = max(path.glob("ledger/*.jsonl"))
    ledger.write_bytes(ledger.read_bytes() + b'{"item":1,"start')
    store = FeatureStore.open(path)
    found, tokens = _reader()(path, "student")
    assert found == ["a", "b", "d"]
    assert (tokens == store.tokens("student", store.rows(["student"])).numpy()).all()


def _reader():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/store.md").read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    return names["read"]


def _write(path, header, rows, spec, quarantined):
    with StoreWriter.open(path, header, rows, [spec]) as writer:
        for item in writer.pending():
            tokens = torch.full((len(item), 1, 2, 1, 3), float(item.index))
            block = Block(tokens, tokens[:, :, 0, 0], np.zeros((len(item), 1, 2, 2)))
            writer.write(item, {spec.backbone: block}, quarantined)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_can_execute_a_file_is_imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & EXECUTABLE
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in EXECUTABLE
            # Under their own names, the calls' arguments are checked (test_code.py).
            assert not (
                node.module in ("torch", "numpy") and "load" in {n.name for n in node.names}
            )
