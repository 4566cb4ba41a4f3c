"""Complete parameters of deployments, from the files in deployments/presets."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from polyspace.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "deployments" / "presets"


def read(name: str) -> dict[str, Any]:
    """Give a preset's parameters by name, and the package's version.

    A build step of deployments/prefect.yaml: what is returned fills its templates.

    Args:
        name: Of the file, without .yaml.

    Raises:
        ConfigError: There is no such preset, or it is no mapping.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise ConfigError(f"there is no preset {path}: known are {known}")
    found: object = yaml.safe_load(path.read_text())
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds {type(found).__name__}: expected NAME: VALUE lines")
    return {"version": version("polyspace"), **found}
