import json

import pytest
import torch

from polyspace.errors import CheckpointError, ExportError
from polyspace.export import contents, loading
from polyspace.export.formats import inductor
from polyspace.export.formats.kinds import Loaded
from polyspace.precision import resolve
from tests.support.zoo import answers, distilled, looks, subject

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_code_answers_any_number_of_clips_and_only_where_that_is_allowed(tmp_path):
    try:
        inductor.refuse_no_compiler("aotinductor")
    except ExportError as error:
        pytest.skip(str(error))
    model = distilled("residual_mlp", "mean")
    stored = inductor.write("aotinductor", subject(model), tmp_path)
    assert stored.dtype == "fp32"
    run = inductor.load("aotinductor", tmp_path, model.specs(), CPU).run
    for clips in (1, 3, 7):
        tokens = looks(clips)
        torch.testing.assert_close(run(tokens), answers(model, tokens), rtol=1e-4, atol=1e-5)


def test_a_bundle_of_compiled_code_is_loaded_only_where_that_is_allowed(tmp_path, monkeypatch):
    config = {"format": contents.FORMAT, "kind": "aotinductor", "entry": "tokens", "model": {}}
    (tmp_path / contents.CONFIG).write_text(json.dumps(config))
    (tmp_path / contents.PROOF).write_text("{}")
    contents.seal(tmp_path)
    with pytest.raises(ExportError, match=r"holds compiled code.* allow_compiled=True"):
        loading.open_bundle(tmp_path, CPU)
    loaded = Loaded(lambda inputs: inputs, resolve("fp32", CPU))
    monkeypatch.setattr(inductor, "load", lambda *_: loaded)
    assert loading.open_bundle(tmp_path, CPU, allow_compiled=True).loaded is loaded


def test_without_a_compiler_there_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(ExportError, match=r"aotinductor needs a C\+\+ compiler"):
        inductor.write("aotinductor", subject(distilled("mean")), tmp_path)


def test_what_torch_can_not_load_is_refused_in_one_line(tmp_path):
    (tmp_path / inductor.FILE).write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="can't be loaded here") as refusal:
        inductor.load("aotinductor", tmp_path, {}, CPU)
    assert "\n" not in str(refusal.value)


def test_code_for_a_cpu_is_not_loaded_for_something_else(tmp_path):
    with pytest.raises(ExportError, match="was compiled for a CPU"):
        inductor.load("aotinductor", tmp_path, {}, torch.device("cuda"))
