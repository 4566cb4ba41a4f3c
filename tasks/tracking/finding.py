"""How a run is found in MLflow by the id that it was given on the machine that it ran on."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from tasks.tracking import library

RUN = "polyspace.run"
"""Tag that holds the id that is ours."""
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")
"""What MLflow says of an id that it doesn't know; the last where users have to log in."""


def resolve(client: library.MlflowClient, run_id: str) -> library.Run | None:
    """Find a run by MLflow's id or ours, deleted ones too.

    Raises:
        MlflowException: Nobody can be asked.
    """
    try:
        return client.get_run(run_id)
    except library.MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
    tagged = tagged_with(client, RUN, run_id)
    return next((run for run in tagged if not is_deleted(run)), tagged[0] if tagged else None)


def tagged_with(client: library.MlflowClient, tag: str, value: str) -> Sequence[library.Run]:
    """Find all runs that have a tag, of any experiment, deleted ones too, in one fixed order."""
    experiments = [e.experiment_id for e in client.search_experiments(library.ViewType.ALL)]
    found = pages(client, experiments, f"tags.`{tag}` = '{value}'")
    return sorted(found, key=lambda run: (run.info.start_time or 0, run.info.run_id))


def pages(
    client: library.MlflowClient,
    experiments: list[str],
    wanted: str,
    order: list[str] | None = None,
) -> Generator[library.Run]:
    """Search page by page, deleted runs too; a page is 1,000 runs."""
    token = None
    while True:
        page = client.search_runs(
            experiments, wanted, library.ViewType.ALL, order_by=order, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def is_deleted(run: library.Run) -> bool:
    """Say whether a run was deleted; its files may go at any time."""
    return run.info.lifecycle_stage == "deleted"
