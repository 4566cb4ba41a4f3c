import pytest
from packaging.requirements import Requirement

from polyspace.cli.health import libraries

TORCH = Requirement("torch>=2.10,<2.14")
TRANSFORMERS = Requirement("transformers>=5.18")


def test_every_library_of_this_environment_is_in_its_range():
    checks = {check.name: check for check in libraries.check()}
    assert {"python", "torch", "transformers", "zarr", "av", "numpy"} <= set(checks)
    assert {checks[name].verdict for name in ("python", "torch", "zarr", "av")} == {"ok"}


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cpu", "2.13.1"])
def test_a_version_within_the_range_is_ok(version):
    check = libraries.required(TORCH, version)
    assert (check.verdict, check.found) == ("ok", f"{version} (>=2.10,<2.14)")


@pytest.mark.parametrize("version", ["2.9.1", "2.14.0", None])
def test_a_version_outside_of_it_or_none_is_an_error_with_what_to_install(version):
    check = libraries.required(TORCH, version)
    assert check.verdict == "error"
    assert check.remedy == 'pip install "torch>=2.10,<2.14"'


def test_a_release_that_is_known_to_be_wrong_is_an_error_with_its_reason():
    check = libraries.required(TRANSFORMERS, "5.12.1")
    assert check.verdict == "error"
    assert "loses videomae's query and value biases" in str(check)


def test_an_optional_library_outside_of_its_range_is_a_warning(monkeypatch):
    asked = ['prefect<3.9,>=3.8; extra == "flows"', 'absent>=1; extra == "flows"']
    monkeypatch.setattr(libraries.metadata, "requires", lambda _: asked)
    versions = {"prefect": "3.9.1"}
    monkeypatch.setattr(libraries, "_installed", versions.get)
    _, check = libraries.check()
    assert (check.name, check.verdict) == ("prefect", "warning")
    assert check.remedy == 'pip install "prefect>=3.8,<3.9"'
