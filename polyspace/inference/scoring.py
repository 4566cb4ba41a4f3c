"""Every video of a folder, scored by an exported model: ``python -m polyspace.inference.scoring``.

What was scored stays scored: a run that was killed, or a folder that has grown, costs only what is
new. A video that can't be read is a row with its reason.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import tyro
from pydantic import Field

from polyspace import console
from polyspace.config import Config
from polyspace.data.datasets.listing import SUFFIXES
from polyspace.data.featurize import named_folder
from polyspace.errors import ConfigError, DatasetError, VideoError
from polyspace.export import contents
from polyspace.files import sha256_file
from polyspace.inference import finding, gathering, opening
from polyspace.inference.gathering import Video
from polyspace.inference.predictions import Identity, Row, Summary, summarise
from polyspace.inference.predictor import Predictor, Watched
from polyspace.precision import DeviceName
from polyspace.progress import Progress


class ScoreConfig(Config):
    """Score every video of a folder by an exported model, into one Parquet table."""

    videos: Path
    """Folder of the videos; those in folders below it are scored, too."""
    bundle: Path
    """Bundle, or the folder of a run that holds some: there, fp16 is taken before others."""
    out: Path = Path("predictions.parquet")
    """The table. One that is there is brought up to date: files of the same size and time that
    this bundle has scored are not looked at again."""
    device: DeviceName = "auto"
    """auto is the GPU where there is one."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that decode videos."""
    part: Annotated[int, Field(ge=1)] = 64
    """Videos that are written at a time, and that a killed run loses at most."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER of the student's weights, where they lie elsewhere than the bundle says."""
    allow_compiled: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take a bundle with machine code in it (aotinductor), which runs: only from whom you trust."""


def run(config: ScoreConfig) -> Generator[Progress, None, Path]:
    """Score what isn't scored yet, and write the table; return it.

    Raises:
        DatasetError: There is no such folder, or no video in it.
        ConfigError: pyarrow isn't installed, or another process adds to the table.
        ExportError: There is something else in the table's place.
        CheckpointError: The bundle is missing or damaged.
    """
    tables = _tables()
    listed = _list(config.videos)
    model = opening.load(
        config.bundle,
        device=config.device,
        weights=dict(map(named_folder, config.weights)),
        allow_compiled=config.allow_compiled,
    )
    bundle = sha256_file(model.folder / contents.SUMS)
    with tables.opened(config.out) as table:
        known = table.known(bundle)
        pending = {video: name for video, name in listed.items() if name not in known}
        done = len(listed) - len(pending)
        yield Progress(done, len(listed), f"{done} scored before")
        for part in _scored(model, pending, bundle, config):
            table.add(part)
            done += len(part)
            yield Progress(done, len(listed), part[-1].file.path)
        table.finish(listed.values(), bundle, _facts(model, bundle, config))
    return config.out


def summary(table: Path) -> Summary:
    """Count what a table holds.

    Raises:
        ExportError: There is none, or it is damaged.
    """
    return summarise(_tables().rows(table, "reason", "top1", "seconds"))


def dataset(bundle: Path) -> str:
    """Name the data set that a bundle's model was trained on."""
    config = contents.read_config(finding.find(bundle))
    return config["provenance"].get("fusion", {}).get("dataset", "unknown")


def main(config: ScoreConfig) -> None:
    """Score, and say what came of it."""
    path = console.show(run(config), "predicting")
    console.say(str(summary(path)))
    console.say(f"wrote {path}")


def _tables() -> ModuleType:
    """Import what writes tables.

    Raises:
        ConfigError: It needs a package that isn't installed.
    """
    try:
        return import_module("polyspace.inference.table")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tables are written by {error.name}, which isn't installed: "
            f"pip install 'polyspace[parquet]'"
        ) from error


def _list(folder: Path) -> dict[Video, Identity]:
    """List a folder's videos as they are now."""
    videos = gathering.in_folder(folder)
    if not videos:
        what = "holds no video" if folder.is_dir() else "is no folder"
        raise DatasetError(f"{folder} {what}: expected files in {', '.join(SUFFIXES)}")
    return {video: _identity(video) for video in videos}


def _identity(video: Video) -> Identity:
    path = _text(video.path)
    try:
        found = video.file.stat()
    except OSError:  # a link that leads nowhere, or gone since
        return Identity(path, 0, 0)
    return Identity(path, found.st_size, found.st_mtime_ns)


def _scored(
    model: Predictor, pending: Mapping[Video, Identity], bundle: str, config: ScoreConfig
) -> Iterator[Sequence[Row]]:
    """Score files, and give a part at a time."""
    watched = model.watch(tuple(pending), processes=config.workers)
    with closing(watched) as seen:
        started = time.perf_counter()
        while part := list(islice(seen, config.part)):
            share = (time.perf_counter() - started) / len(part)
            yield [_row(model, each, pending[each.video], bundle, share) for each in part]
            started = time.perf_counter()


def _row(model: Predictor, each: Watched, name: Identity, bundle: str, seconds: float) -> Row:
    result = each.result
    if isinstance(result, VideoError):
        words = _text(result.message.removeprefix(f"{each.video.file}: "))
        return Row(name, bundle, seconds, "refused", reason=result.reason, error=words)
    [best] = model.likeliest(result, 1)
    return Row(
        name,
        bundle,
        seconds,
        "scored",
        top1=best.name,
        top1_probability=best.probability,
        probabilities=tuple(result.tolist()),
    )


def _text(name: str) -> str:
    """Give a file's name as text: it may be any bytes, which the decoder refuses."""
    return name.encode(errors="backslashreplace").decode()


def _facts(model: Predictor, bundle: str, config: ScoreConfig) -> dict[str, Any]:
    """Say what a table is, for whoever has nothing else."""
    return {
        "class_names": model.class_names,
        "bundle": bundle,
        "bundle_folder": str(model.folder),
        "format": model.kind,
        "student": model.student.name,
        "compute": model.precision.compute,
        "reason": model.precision.reason,
        "videos": str(config.videos),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    console.run(ScoreConfig, main)
