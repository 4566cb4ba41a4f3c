"""What is to be registered as a model, and what came of it."""

from dataclasses import dataclass
from pathlib import Path

from polyspace.config import Config
from tasks import addresses


class RegisterConfig(Config):
    """Register a proven bundle as a version of an MLflow model, ready to be served."""

    bundle: Path
    """Folder of one bundle."""
    features: Path
    """Folder of the feature stores; the first held-out clip becomes the input example."""
    name: str | None = None
    """Of the model; DATASET-STUDENT, unless given."""
    alias: str = "champion"
    """Moves to the new version if its proof holds and the present one isn't better."""


@dataclass(frozen=True)
class Registered:
    """A version of a model in the registry."""

    name: str
    version: str
    alias: str | None
    """The alias that it was given; None: another version kept it."""

    @property
    def uri(self) -> str:
        """Give what `mlflow models serve -m` takes."""
        return f"models:/{self.name}/{self.version}"

    def __str__(self) -> str:
        """Say in a line what was registered."""
        given = f", @{self.alias}" if self.alias else ""
        return (
            f"{self.name} version {self.version}{given}: MLFLOW_TRACKING_URI="
            f"{addresses.tracking_uri()} mlflow models serve -m {self.uri} --env-manager local"
        )
