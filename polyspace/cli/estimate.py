"""``polyspace estimate``: what an extraction will take, before anything is written."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

from pydantic import Field
from rich.table import Table
from tyro.conf import FlagCreatePairsOff, arg

from polyspace import console
from polyspace.data.estimate import in_words
from polyspace.data.featurize import FeaturizeConfig
from polyspace.data.forecast import SPATIALS, Amount, Forecast, forecast


class Estimate(FeaturizeConfig):
    """Say what an extraction will take, with its own options; exit 1 if the disk can't hold it."""

    sample: Annotated[int, Field(ge=1)] = 3
    """Clips that are decoded and encoded to measure times and memory."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Say it as one JSON object."""


def run(asked: Estimate) -> None:
    """Estimate, and say it."""
    found = console.show(forecast(asked, sample=asked.sample), "estimating")
    if asked.as_json:
        console.say(json.dumps(_facts(found), indent=2))
    else:
        _say(found, asked)
    if not found.fits:
        sys.exit(1)


def _facts(found: Forecast) -> dict[str, object]:
    return {
        **asdict(found),
        "needed": found.needed,
        "gathered": found.gathered,
        "fits": found.fits,
    }


def _say(found: Forecast, asked: Estimate) -> None:
    console.say("; ".join(map(_of_split, found.splits)))
    console.present(_table(found))
    for reason in found.pace.refused:
        console.say(f"of the sample, {reason}")
    pace = found.pace
    console.say(
        f"time: {duration(found.seconds)} (medians of {pace.sampled} clips on {found.device}; "
        f"decoding {duration(pace.decode)} a clip, {asked.workers} at a time)"
    )
    where = "of the GPU" if found.device == "cuda" else "of this process"
    console.say(
        f"memory: {in_words(found.peak)} {where}, and {in_words(found.gathered)} "
        f"for the features of a work item"
    )
    free = "in an object store" if found.free is None else f"{in_words(found.free)} are free"
    console.say(f"disk: {in_words(found.needed)} to be written, {free} at {asked.out}")
    if not found.fits:
        console.say("too large for the disk: choose a smaller --spatial, or another --out")


def _of_split(amount: Amount) -> str:
    left = max(amount.missing.values())
    todo = "" if left == amount.clips else f", {left} of them to do"
    return f"{amount.split}: {amount.clips} clips{todo}"


def _table(found: Forecast) -> Table:
    """Lay out size and time by backbone; the granularity that was chosen has a star."""
    table = Table(box=None, pad_edge=False)
    table.add_column("backbone")
    table.add_column("time x rows x columns x dim")
    for spatial in SPATIALS:
        mark = "*" if spatial == found.spatial else ""
        table.add_column(f"spatial {spatial}{mark}", justify="right")
    table.add_column("prepare a clip", justify="right")
    table.add_column("encode a clip", justify="right")
    for name, shape in found.shapes.items():
        table.add_row(
            name,
            " x ".join(map(str, shape)),
            *(in_words(found.size(spatial, name)) for spatial in SPATIALS),
            duration(found.pace.prepare[name]),
            duration(found.pace.backbone[name]),
        )
    sums = [sum(found.size(spatial, name) for name in found.shapes) for spatial in SPATIALS]
    table.add_row("all", "", *map(in_words, sums), "", "")
    return table


def duration(seconds: float) -> str:
    """Say a time as people do."""
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
