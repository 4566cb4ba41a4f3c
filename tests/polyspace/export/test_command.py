import shlex
from pathlib import Path
from typing import Annotated

import tyro

from polyspace import console
from polyspace.config import Config
from polyspace.export.bundle import ExportConfig, again
from polyspace.export.command import command


class Travel(Config):
    """Where to go."""

    to: Path
    """Where."""
    by: tuple[str, ...] = ("train",)
    """How."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """What to carry."""
    rested: bool = True
    """Whether to stop on the way."""
    alone: bool = False
    """Whether nobody comes along."""
    speed: float | None = None
    """How fast."""


def test_it_names_what_differs_from_the_defaults():
    assert command("travel", Travel(to=Path("home"))) == "python -m travel --to home"


def test_every_kind_of_option_is_read_back_as_it_was():
    config = Travel(
        to=Path("a far place"),
        by=("bike", "boat"),
        weights=("a=b c", "d=e"),
        rested=False,
        alone=True,
        speed=0.25,
    )
    _, _, _, *argv = shlex.split(command("travel", config))
    assert console.parse(Travel, argv) == config


def test_a_bundle_is_made_again_by_itself():
    config = ExportConfig(
        converters=Path("c.pt"),
        fusion=Path("f.pt"),
        features=Path("features"),
        formats=("fp16", "int8"),
        keep_float32=("fusion.head", "translator"),
        measure=False,
        threshold_points=0.25,
        device="cpu",
        split="val",
    )
    _, _, module, *argv = shlex.split(again(config, "int8"))
    assert module == "polyspace.export.bundle"
    parsed = console.parse(ExportConfig, argv)
    assert parsed == config.model_copy(update={"formats": ("int8",)})
