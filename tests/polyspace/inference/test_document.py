"""The snippets of docs/inference.md run, one after the other."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from polyspace.inference import scoring
from polyspace.inference.scoring import ScoreConfig
from polyspace.store.reader import find_store
from tests.support.stages import finish


@pytest.fixture
def folder(bundle, filmed, tmp_path, monkeypatch):
    """A folder with everything that the snippets name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle, "runs/demo/bundles/fp32")
    store = find_store(filmed.features, "ucf101", "test")
    shutil.copytree(store, "runs/demo/features/motion_test.zarr")
    shutil.copy(next(filmed.root.rglob("*.avi")), "clip.mp4")
    Path("notes.txt").write_text("no video")
    state = nn.Linear(2, 2).half().state_dict()
    torch.save(
        {"model_state_dict": state, "quantization_info": {"dtype": "fp16"}}, "stage2_best.pt"
    )
    finish(scoring.run(ScoreConfig(videos=tmp_path, bundle=bundle, device="cpu", workers=0)))


@pytest.mark.usefixtures("folder")
def test_every_snippet_runs(pytestconfig, capsys):
    document = (pytestconfig.rootpath / "docs/inference.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    assert len(snippets) == 6
    names = {"YourRefinerModel": lambda: nn.Linear(2, 2)}
    for snippet in snippets:
        exec(snippet, names)
    said = capsys.readouterr().out
    assert "torch.Size([4, 2])" in said
    assert "notes.txt format notes.txt: is damaged at its head" in said
    assert "\nfp16\n" in said
    assert "['ClassA', 'ClassB'] fp32 1" in said
