import pytest
import torch

from polyspace.errors import ConfigError, WeightsError
from polyspace.models.backbones import golden
from polyspace.models.backbones.golden import Glimpse
from polyspace.models.backbones.protocol import Features


@pytest.fixture
def entry(loaded):
    tokens = torch.arange(48.0).reshape(1, 2, 1, 24)
    seen = [Features(tokens + n, (tokens + n).mean(dim=(1, 2))) for n in range(3)]
    return golden.describe(loaded("transnetv2"), seen, device="cpu")


def moved(entry, **changes):
    """Change the second clip."""
    clips = list(entry.clips)
    clips[1] = clips[1].model_copy(update=changes)
    return entry.model_copy(update={"clips": tuple(clips)})


def test_a_glimpse_is_mean_deviation_and_values_from_all_over_the_summary(entry):
    glimpse = entry.clips[0]
    assert glimpse.mean == 23.5
    assert glimpse.std == pytest.approx(14.0)
    assert len(glimpse.summary) == golden.VALUES
    assert (glimpse.summary[0], glimpse.summary[-1]) == (12.0, 35.0)


def test_a_short_summary_is_kept_whole(loaded):
    tokens = torch.arange(8.0).reshape(1, 2, 1, 4)
    entry = golden.describe(
        loaded("motion_vectors"), [Features(tokens, tokens[:, 0, 0])], device=""
    )
    assert entry.clips[0].summary == (0.0, 1.0, 2.0, 3.0)


def test_distance_is_the_worst_number_in_deviations(entry):
    std = entry.clips[1].std
    assert golden.distance(entry, entry) == 0
    assert golden.distance(moved(entry, mean=entry.clips[1].mean + std / 4), entry) == 0.25
    summary = (entry.clips[1].summary[0] - std / 2, *entry.clips[1].summary[1:])
    assert golden.distance(moved(entry, summary=summary), entry) == 0.5


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_features_that_cannot_be_right_are_refused(loaded, value):
    tokens = torch.full((1, 2, 1, 24), value)
    with pytest.raises(WeightsError, match="transnetv2 gives features of mean"):
        golden.describe(loaded("transnetv2"), [Features(tokens, tokens[:, 0, 0])], device="cpu")


def test_other_settings_are_something_else(loaded, entry):
    other = loaded("motion_vectors")
    assert golden.describe(other, [], device="cpu").key != entry.key
    assert len(set(entry.key)) == 3


def test_the_weights_of_packages_are_known():
    assert {known.backbone for known in golden.known()} == {
        "transnetv2",
        "efficientnet_lite0",
        "motion_vectors",
    }
    assert all(len(known.clips) == 3 for known in golden.known())


def test_recorded_is_read_back_and_others_stay(tmp_path, entry):
    file = tmp_path / "team" / "golden.json"
    golden.record(file, golden.known())
    golden.record(file, [entry, entry])
    again = golden.read(file)
    assert len(again) == len(golden.known()) + 1
    assert entry in again


def test_a_second_record_replaces_the_first(tmp_path, entry):
    golden.record(tmp_path / "golden.json", [entry])
    later = entry.model_copy(update={"clips": (Glimpse(mean=0, std=1, summary=(0,)),)})
    golden.record(tmp_path / "golden.json", [later])
    assert golden.read(tmp_path / "golden.json") == (later,)


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"backbone": "x"}]', b"\xff"])
def test_a_file_of_something_else_is_refused(tmp_path, entry, content):
    file = tmp_path / "golden.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="holds no golden features"):
        golden.read(file)
    with pytest.raises(ConfigError):
        golden.record(file, [entry])
    assert file.read_bytes() == content


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="record one first"):
        golden.read(tmp_path / "golden.json")
