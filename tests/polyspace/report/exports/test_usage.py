import ast

import pytest

from polyspace.report.exports import usage

PICTURES = {"entry": "pictures"}


@pytest.mark.parametrize("changes", [{}, PICTURES])
@pytest.mark.parametrize("kind", ["fp16", "onnx_int8"])
def test_snippets_are_python(bundle, kind, changes):
    found = bundle(kind, **changes)
    ast.parse(usage.python(found))
    ast.parse(usage.onnx(found) or "")
    assert f'polyspace.load("{kind}")' in usage.python(found)


def test_only_graphs_run_without_polyspace(bundle):
    assert usage.onnx(bundle("fp16")) is None
    assert usage.onnx(bundle("pt2")) is None
    assert "onnx_int8/model.onnx" in (usage.onnx(bundle("onnx_int8")) or "")


def test_inputs_have_the_shape_that_the_model_takes(bundle):
    assert '(1, 16, 4, 192), "float32"' in usage.python(bundle("onnx"))
    assert '(1, 16, 4, 192), "float32"' in (usage.onnx(bundle("onnx")) or "")
    assert '(1, 16, 3, 27, 48), "uint8"' in (usage.onnx(bundle("onnx", **PICTURES)) or "")
