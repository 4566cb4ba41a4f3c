"""What `docker/compose.yaml` says of each service, put in terms of this machine."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polyspace.errors import ConfigError

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"
ADDRESSES = {"postgres": 5432, "prefect": 4200, "proxy": 4201, "mlflow": 5000, "objects": 7070}
"""Where services find each other."""
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """A program and its settings."""

    command: Sequence[str]
    environment: Mapping[str, str]

    def at(self, places: Mapping[str, str]) -> "Service":
        """Give the service with other places: addresses, ports and paths, all in one pass.

        Args:
            places: What stands in the file, and what takes its place: addresses and paths wherever
                they stand, longest first, all else only where it is a whole word or value.
        """
        inside = sorted((at for at in places if ":" in at or "/" in at), key=len, reverse=True)
        found = re.compile("|".join(map(re.escape, inside)))

        def move(text: str) -> str:
            return places.get(text) or found.sub(lambda match: places[match.group()], text)

        moved = {name: move(value) for name, value in self.environment.items()}
        return Service([move(word) for word in self.command], moved)


def document(variables: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Any]:
    """Read the file with its variables filled in, as docker compose does.

    Raises:
        ConfigError: A variable without a default has no value.
    """

    def value(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        if name in variables:
            return variables[name]
        if operator != "-":
            raise ConfigError(f"{path} needs {name}: {word or 'set it'}")
        return word

    return yaml.safe_load(_VARIABLE.sub(value, path.read_text()))


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    """Give every service that the file names.

    Args:
        variables: What the file's variables stand for; digests of images matter to nobody here.
    """
    read = document({name: "unused" for name in _digests()} | dict(variables))
    return {
        name: Service(
            [str(word) for word in found["command"]],
            {key: str(value) for key, value in found["environment"].items()},
        )
        for name, found in read["services"].items()
    }


def _digests() -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+_DIGEST)", COMPOSE.read_text()))
