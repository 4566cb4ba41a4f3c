"""Versions of libraries: against the ranges that this package was made for, and known flaws."""

import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from polyspace.cli.health.check import Check, error, ok, warning
from polyspace.models.backbones.flaws import FLAWS

PACKAGE = "polyspace"


def check() -> Iterator[Check]:
    """Check Python, every library that is required, and the optional ones that are there."""
    yield _python()
    for text in metadata.requires(PACKAGE) or ():
        requirement = Requirement(text)
        found = _installed(requirement.name)
        if _is_required(requirement):
            yield required(requirement, found)
        elif found and not requirement.specifier.contains(found, prereleases=True):
            yield warning(
                requirement.name,
                f"{found} is outside {_range(requirement)}, which an extra of polyspace asks for",
                f'pip install "{requirement.name}{_range(requirement)}"',
            )


def required(requirement: Requirement, found: str | None) -> Check:
    """Compare a library that is needed with the range, and with what is known to be wrong."""
    name, wanted = requirement.name, _range(requirement)
    remedy = f'pip install "{name}{wanted}"'
    if found is None:
        return error(name, f"not installed, expected {wanted}", remedy)
    for flaw in FLAWS:
        if flaw.library == name and flaw.is_in(found):
            return error(name, f"{found} {flaw.what}", flaw.remedy)
    if not requirement.specifier.contains(found, prereleases=True):
        return error(name, f"{found}, expected {wanted}", remedy)
    return ok(name, f"{found} ({wanted})")


def _python() -> Check:
    wanted = metadata.metadata(PACKAGE)["Requires-Python"]
    found = platform.python_version()
    if Requirement(f"python{wanted}").specifier.contains(found, prereleases=True):
        return ok("python", f"{found} ({wanted})")
    return error("python", f"{found}, expected {wanted}", "make a new environment with that")


def _range(requirement: Requirement) -> str:
    """Say a range from its lower end to its upper."""
    return ",".join(sorted(map(str, requirement.specifier), reverse=True))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_required(requirement: Requirement) -> bool:
    """Tell whether a library is needed here: of no extra, and on this system."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
