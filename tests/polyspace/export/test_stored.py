import pytest

from polyspace.export.stored import Stored, StoredTensor, quantization_info

TENSORS = (
    StoredTensor("a", "parameter", "float16", 10),
    StoredTensor("b", "parameter", "float32", 3),
    StoredTensor("c", "parameter", "bfloat16", 4),
    StoredTensor("d", "buffer", "float32", 5),
    StoredTensor("e", "buffer", "int64", 1),
)


@pytest.fixture
def info():
    stored = Stored("fp16", ("model.safetensors",), TENSORS, "most of it float16")
    return quantization_info(
        stored, size=50, float32_size=100, sources={"fusion": "ab"}, keep_float32=("head",)
    )


def test_the_seeds_five_keys_come_first(info):
    assert list(info)[:5] == [
        "dtype",
        "fp16_parameters",
        "non_fp16_parameters",
        "total_parameters",
        "compression_ratio",
    ]
    assert [info[key] for key in list(info)[:5]] == ["fp16", 14, 3, 17, 2.0]


def test_parameters_and_buffers_are_counted_apart(info):
    assert info["parameters"] == {"float16": 10, "float32": 3, "bfloat16": 4}
    assert info["buffers"] == {"float32": 5, "int64": 1}


def test_sources_policy_and_every_tensor_are_told(info):
    assert info["source_sha256"] == {"fusion": "ab"}
    assert info["policy"] == {"storage": "most of it float16", "keep_float32": ["head"]}
    assert [tensor["name"] for tensor in info["tensors"]] == ["a", "b", "c", "d", "e"]
