"""Ablations, as tasks: variations one after another, and one table and one picture at the end."""

import gc
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace import console, files
from polyspace.config import Config
from polyspace.errors import ConfigError, LeaseError, StoppedError
from polyspace.report import ablation as report
from polyspace.report.figures import ablation as figure
from polyspace.report.figures import canvas
from polyspace.report.records.ablation import Ablation
from polyspace.store import storage
from polyspace.store.lease import Leases
from polyspace.store.reader import FeatureStore, find_store
from polyspace.train import ablation
from polyspace.train.ablation import AblationConfig, Variation
from polyspace.train.ablation_results import Entry, Trained, scores
from tasks import ablation_entries as entries
from tasks import ablation_stores as stores
from tasks import ablation_tables as tables
from tasks import ablation_units as units
from tasks import artefacts, names, tracking
from tasks.ablation_entries import Kept
from tasks.ablation_units import Unit
from tasks.tracking import ALONE, Tracker
from tasks.trials import FAILURES

PARENT = "mlflow_run.txt"
"""Holds the MLflow run that variations nest under, however often the ablation is begun."""


class Change(Config):
    """One variation of an ablation: what it changes, with every seed."""

    group: str
    """Which part of the base is changed."""
    changed: dict[str, str]
    """What differs from the base, by the name of the setting."""


def plan(config: AblationConfig) -> tuple[Variation, ...]:
    """List what is to be measured, the base first.

    Raises:
        StoreError: A feature store is missing, or lacks a backbone.
        ConfigError: Something was given twice, or has no use.
    """
    return ablation.variations(config, stores.stored(config))


@contextmanager
def tracked(config: AblationConfig, *, enabled: bool) -> Generator[Tracker]:
    """Keep the run open that the variations' runs nest under, and others out of the folder.

    Raises:
        LeaseError: Somebody else runs an ablation there.
    """
    note = config.out / PARENT
    with _held(config.out):
        earlier = note.read_text().strip() if note.is_file() else None
        with tracking.pipeline(
            "ablate", config, config.dataset, enabled=enabled, earlier=earlier
        ) as tracker:
            if tracker.parent_id not in (None, earlier):
                text = f"{tracker.parent_id}\n".encode()
                files.write_atomically(note, lambda file: file.write(text))
            yield tracker


@task(name="measure variation", task_run_name="{variation.name}", cache_policy=NO_CACHE, retries=0)
def measure(config: AblationConfig, variation: Variation, tracker: Tracker = ALONE) -> None:
    """Train and score one variation with every seed; one that fails is a gap in the table.

    Raises:
        PolySpaceError: The base itself failed, with which the others are to be compared.
        StoppedError: It was told to stop; run again, it goes on.
    """
    kept = entries.read(config, variation)
    run_id = kept.run_id if kept else None
    entry = entries.blank(variation, variation.gap)
    if not variation.gap:
        try:
            entry, run_id = _measured(config, variation, entry, tracker, run_id)
        except (StoppedError, LeaseError):
            raise
        except FAILURES as error:
            if variation.group == "base":
                raise
            entry = entries.blank(variation, str(error).partition("\n")[0])
    identity = entries.identity(config, variation, stores.fingerprints(config))
    entries.write(config, variation, Kept(identity=identity, run_id=run_id, entry=entry))
    # What a training has mapped waits in cycles for the collector, which counts no bytes.
    gc.collect()
    console.say(f"{variation.group}, {variation.name}: {_outcome(config, entry)}")


@task(
    name="compare variations",
    task_run_name=names.TaskName("compare variations"),
    cache_policy=NO_CACHE,
    retries=0,
)
def conclude(config: AblationConfig, tracker: Tracker = ALONE) -> Path:
    """Write the table and the picture of what was measured; return the table.

    Raises:
        SweepError: The base has no score, so that there is nothing to compare with.
    """
    found = tables.collect(config, plan(config))
    written = tables.write(found, config.out)
    tracking.resume(tracker).artefacts(written)
    _note_differences(config, found, tracker)
    artefacts.table("ablation", report.rows(found), report.sentence(found))
    artefacts.picture("ablation picture", lambda: canvas.data_uri(figure.draw(found)))
    console.present(report.table(found))
    console.say(report.sentence(found))
    for path in written:
        console.say(f"wrote {path}")
    return written[0]


def _measured(
    config: AblationConfig,
    variation: Variation,
    entry: Entry,
    tracker: Tracker,
    earlier: str | None,
) -> tuple[Entry, str | None]:
    """Run all seeds under one MLflow run."""
    change = Change(group=variation.group, changed=dict(variation.changed))
    name = f"{variation.group}, {variation.name}" if variation.changed else variation.name
    with tracking.run(name, change, config.dataset, tracker, earlier=earlier) as record:
        under = tracking.under(record)
        features = stores.features(config, variation.storage)
        train = FeatureStore.open(find_store(features, config.dataset, config.train_split))
        trained = tuple(
            units.run(Unit(config, variation, seed, features, train, under))
            for seed in range(config.seeds)
        )
        record.metrics(_means(config, trained))
    return entry.model_copy(update={"trained": trained}), record.run_id


def _means(config: AblationConfig, trained: Sequence[Trained]) -> dict[str, float]:
    tops = scores(config.out, [run.score for run in trained]).hits.mean(axis=1)
    r2 = {f"r2/{name}": fmean(run.r2[name] for run in trained) for name in trained[0].r2}
    return {
        "top1": float(tops.mean()),
        "held_out_top1": fmean(run.held_top1 for run in trained),
        "seconds": fmean(run.seconds for run in trained),
        **r2,
    }


def _outcome(config: AblationConfig, entry: Entry) -> str:
    if entry.gap:
        return f"not measured: {entry.gap}"
    tops = scores(config.out, [run.score for run in entry.trained]).hits.mean(axis=1)
    seeds = ", ".join(f"{top:.1%}" for top in tops)
    return f"top-1 {tops.mean():.1%} (by seed {seeds})"


def _note_differences(config: AblationConfig, found: Ablation, tracker: Tracker) -> None:
    """Record each difference with the variation's own run."""
    if not tracker.enabled or tracker.parent_id is None:
        return
    rows = {(row.group, row.name): row for row in found.rows}
    for variation in plan(config):
        kept, row = entries.read(config, variation), rows[variation.group, variation.name]
        if kept and kept.run_id and row.to_base:
            difference = {f"to_base/{name}": value for name, value in row.to_base}
            record = tracking.resume(Tracker(tracker.enabled, kept.run_id))
            record.metrics({**difference, "to_base/holm_p": row.holm_p or 0.0})


@contextmanager
def _held(out: Path) -> Generator[None]:
    """Keep others out of a folder while the block runs."""
    place = storage.at(out)
    if place.folder is None:
        raise ConfigError(f"--out {out} is no folder: give one on this machine")
    out.mkdir(parents=True, exist_ok=True)
    leases = Leases(place)
    try:
        if leases.acquire("ablation") is None:
            raise LeaseError(
                f"{leases.holder('ablation') or 'somebody'} runs an ablation in {out}: wait until "
                f"it has ended, or give another --out"
            )
        yield
    finally:
        leases.close()
