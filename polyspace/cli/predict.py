"""polyspace predict: the likeliest classes of some videos, by an exported model."""

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field
from rich.table import Table
from tyro.conf import FlagCreatePairsOff, arg

from polyspace import console
from polyspace.config import Config
from polyspace.data.datasets.listing import SUFFIXES
from polyspace.data.featurize import named_folder
from polyspace.errors import DatasetError, VideoError
from polyspace.inference import gathering, opening
from polyspace.inference.predictor import Guess, Predictor, Watched
from polyspace.precision import DeviceName
from polyspace.progress import Progress


class Predict(Config):
    """Name the likeliest classes of videos, by an exported model.

    A video that can't be read is one line on stderr, and the others are answered; exit 2 only if
    none could be read.
    """

    videos: Annotated[tyro.conf.Positional[tuple[Path, ...]], Field(min_length=1)]
    """Files; a folder stands for all videos in it."""
    bundle: Path
    """Bundle, or the folder of a run that holds some: there, fp16 is taken before others."""
    top: Annotated[int, Field(ge=1)] = 5
    """How many classes of each video."""
    device: DeviceName = "auto"
    """auto is the GPU where there is one."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that decode videos."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER of the student's weights, where they lie elsewhere than the bundle says."""
    allow_compiled: Annotated[bool, FlagCreatePairsOff] = False
    """Take a bundle with machine code in it (aotinductor), which runs: only from whom you trust."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Say it as one JSON object."""


def run(asked: Predict) -> None:
    """Predict, and say it.

    Raises:
        DatasetError: There is no video in the folders that were named.
        VideoError: None of the videos could be read.
    """
    videos = gathering.gather(asked.videos)
    if not videos:
        raise DatasetError(
            f"no video in {' or '.join(map(str, asked.videos))}: expected files in "
            f"{', '.join(SUFFIXES)}"
        )
    weights = dict(map(named_folder, asked.weights))
    model = opening.load(
        asked.bundle, device=asked.device, weights=weights, allow_compiled=asked.allow_compiled
    )
    seen = console.show(_watch(model, videos, asked.workers), "predicting")
    if asked.as_json:
        console.say(json.dumps(_facts(model, seen, asked.top), indent=2))
    else:
        _say(model, seen, asked.top)
    _refuse_nothing([each.result for each in seen if isinstance(each.result, VideoError)], seen)


def _watch(
    model: Predictor, videos: Sequence[gathering.Video], workers: int
) -> Generator[Progress, None, list[Watched]]:
    seen = list[Watched]()
    for each in model.watch(videos, processes=workers):
        seen.append(each)
        yield Progress(len(seen), len(videos), each.video.path)
    return seen


def _facts(model: Predictor, seen: Sequence[Watched], top: int) -> dict[str, Any]:
    return {
        "bundle": str(model.folder),
        "format": model.kind,
        "compute": model.precision.compute,
        "reason": model.precision.reason,
        "videos": [{"video": str(each.video.file), **_answer(model, each, top)} for each in seen],
    }


def _answer(model: Predictor, each: Watched, top: int) -> dict[str, Any]:
    if isinstance(each.result, VideoError):
        return {"error": str(each.result), "why": each.result.reason}
    return {"top": [guess._asdict() for guess in model.likeliest(each.result, top)]}


def _say(model: Predictor, seen: Sequence[Watched], top: int) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("video", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for each in seen:
        if not isinstance(each.result, VideoError):
            _fill(table, str(each.video.file), model.likeliest(each.result, top))
    if table.row_count:
        console.present(table)


def _fill(table: Table, video: str, guesses: Sequence[Guess]) -> None:
    for place, guess in enumerate(guesses):
        table.add_row("" if place else video, guess.name, f"{guess.probability:.1%}")


def _refuse_nothing(refused: Sequence[VideoError], seen: Sequence[Watched]) -> None:
    """Say what could not be read.

    Raises:
        VideoError: Nothing could.
    """
    if len(seen) == 1 and refused:
        raise refused[0]
    for error in refused:
        console.complain(str(error))
    if len(refused) == len(seen):
        raise VideoError(f"none of {len(seen)} videos could be read", refused[0].reason)
