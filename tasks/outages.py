"""When a task is tried again: only where it asked a server over the network that didn't answer.

A stage that failed would fail the same way again, and has hours of work behind it: stages are never
tried again by themselves, whatever Prefect's own settings say. What a stage asks of an object store
or tells MLflow is asked and told again there, by the client and by the spool.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from prefect.client.schemas.objects import State

from tasks import addresses
from tasks.tracking.client import is_outage


class Retrying(TypedDict):
    """What a task of Prefect's is told about being tried again."""

    retries: int
    retry_delay_seconds: list[float]
    """Before each."""
    retry_condition_fn: Callable[[object, object, State[Any]], bool]


def may_pass(task: object, task_run: object, state: State[Any]) -> bool:
    """Say whether a task failed because a server could not be asked.

    Args:
        task: Which; of no account.
        task_run: Which run of it; of no account.
        state: How it ended; its data is the exception.
    """
    if not addresses.tracking_uri().startswith("http"):
        return False
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and any(map(is_outage, _causes(error)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it was raised from, as far back as that goes."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


WHERE_MLFLOW_IS_ASKED = Retrying(
    retries=2, retry_delay_seconds=[2.0, 10.0], retry_condition_fn=may_pass
)
"""MLflow's own client has tried several times by then."""
