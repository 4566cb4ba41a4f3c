"""What runs are called, in Prefect and in MLflow alike: stage, data set, teachers.

A name is made of what was asked for, before anything runs, and never fails: what isn't there is
left out. Settings may be a config, or the mapping that a form sends.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run
from prefect.tasks import TaskRunNameCallbackWithParameters

LONGEST = 40
"""Characters of a list; a longer one is counted: "4 teachers"."""
LISTS = ("teachers", "formats", "runs")
"""Settings that tell runs of one stage and data set apart; the first that is there is named."""


def of(stage: str, config: object) -> str:
    """Name a run: ``train_fusion motion: motion_vectors + efficientnet_lite0``.

    Args:
        stage: What is done.
        config: Settings; of a sweep, those of its stage count.
    """
    inner = _said(config, "stage")
    places = [config] if inner is None or isinstance(inner, str) else [config, inner]
    parts = (stage, _said(config, "stage_name"), _dataset(places))
    head = " ".join(str(part) for part in parts if part)
    tail = next((text for place in places if (text := _listed(place))), "")
    return f"{head}: {tail}" if tail else head


def of_flow(stage: str) -> Callable[[], str]:
    """Give what names the runs of a flow, whose settings are its parameter `config`."""

    def name() -> str:
        return of(stage, flow_run.parameters.get("config"))

    return name


class TaskName(TaskRunNameCallbackWithParameters):
    """What names the runs of a task: by its parameter `config`, or else by all of them."""

    def __init__(self, stage: str) -> None:
        """Take what is done."""
        self._stage = stage

    def __call__(self, parameters: dict[str, Any]) -> str:
        """Name a run."""
        return of(self._stage, parameters.get("config", parameters))


def _said(config: object, name: str) -> Any:  # noqa: ANN401  # whatever was given
    if isinstance(config, Mapping):
        found: Mapping[str, Any] = config
        return found.get(name)
    return getattr(config, name, None)


def _dataset(places: Sequence[object]) -> str:
    """Give the data set: by its name, or else that of the only stores in the folder of features."""
    for name in ("dataset", "experiment"):
        for place in places:
            if found := _said(place, name):
                return str(found)
    folders = (_said(place, "features") for place in places)
    return next((name for folder in folders if folder and (name := _only(Path(folder)))), "")


def _only(folder: Path) -> str:
    """Give the data set whose stores, called DATASET_SPLIT.zarr, lie in a folder; "": several."""
    try:
        paths = [folder] if folder.suffix == ".zarr" else list(folder.glob("*_*.zarr"))
    except OSError:
        return ""
    names = {path.stem.rpartition("_")[0] for path in paths}
    return names.pop() if len(names) == 1 else ""


def _listed(config: object) -> str:
    """Name what a run is of: its teachers, or else its formats, or else the runs it compares."""
    for name in LISTS:
        if isinstance(found := _said(config, name), list | tuple) and found:
            text = " + ".join(map(str, found))
            return text if len(text) <= LONGEST else f"{len(found)} {name}"
    return ""
