import torch
from safetensors.torch import load_file, save_file

from polyspace.models.backbones import registry
from polyspace.models.backbones.huggingface import save_random_tiny


def test_tokens_are_the_librarys_last_hidden_state(loaded):
    backbone = loaded("videomae")
    clips = torch.rand(2, 8, 3, 64, 64)
    with torch.no_grad():
        expected = backbone.network(pixel_values=clips).last_hidden_state
    features = backbone.forward(clips)
    assert torch.equal(features.tokens.flatten(1, 2), expected)
    assert torch.equal(features.summary, features.tokens.mean(dim=(1, 2)))


def test_it_takes_its_own_count_of_frames_whatever_is_asked():
    given = {"videomae": "random-tiny"}
    backbone = registry.load("videomae", weights=given, frames=32, device=torch.device("cpu"))
    assert (backbone.inputs.frames, backbone.grid.time) == (8, 4)


def test_the_query_and_value_biases_of_a_checkpoint_arrive(tmp_path):
    """They have names of their own in the file, which several releases of the library lost."""
    save_random_tiny("videomae", tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["encoder.layer.1.attention.attention.q_bias"] = torch.arange(48.0)
    state["encoder.layer.1.attention.attention.v_bias"] = -torch.arange(48.0)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    given = {"videomae": str(tmp_path)}
    backbone = registry.load("videomae", weights=given, frames=None, device=torch.device("cpu"))
    network = vars(backbone)["network"]
    attention = network.encoder.layer[1].attention.attention
    assert torch.equal(attention.query.bias, torch.arange(48.0))
    assert torch.equal(attention.value.bias, -torch.arange(48.0))
