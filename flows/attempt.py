"""One attempt at a run, as workers start it: ``python -m flows.attempt``.

It is Prefect's own ``python -m prefect.engine``, but for one thing: it ends when the run is no
longer its own. A machine that was cut off, or asleep, counts as lost, and another one goes on with
its run; when it comes back, two processes would do the same work, and either could end the other's
run.
"""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType
from typing import ParamSpec, TypeVar
from uuid import UUID

import httpx
from prefect._internal.control_listener import configure_from_env
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.engine import handle_engine_signals
from prefect.events import emit_event
from prefect.events.related import tags_as_related_resources
from prefect.flow_engine import load_flow, load_flow_run, run_flow

from flows.watching import HEARTBEAT_SECONDS

P = ParamSpec("P")
R = TypeVar("R")
AT_WORK = frozenset({StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED})
"""States of a run whose process may go on."""


def main() -> None:
    """Do the run that the worker names in the environment, as Prefect's engine does."""
    run_id = UUID(os.environ["PREFECT__FLOW_RUN_ID"])
    # By it the worker says that a signal is a cancellation.
    configure_from_env()
    with handle_engine_signals(run_id):
        run = load_flow_run(run_id)
        with _beating(run):
            flow = load_flow(run)
        flow.fn = owned(flow.fn)
        run_flow(flow, flow_run=run)


def owned(function: Callable[P, R]) -> Callable[P, R]:
    """Give a flow's function that ends the process, and says nothing, when its run is another's."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        with watched(context.flow_run):
            return function(*args, **kwargs)

    return call


def is_lost(mine: FlowRun, now: FlowRun) -> bool:
    """Say whether somebody else has the run, or will have it, or has ended it.

    Args:
        mine: The run as it was when this process began with it.
        now: The same run as the server knows it now.
    """
    state = now.state.type if now.state else None
    return now.run_count != mine.run_count or state not in AT_WORK


@contextmanager
def _beating(run: FlowRun) -> Generator[None]:
    """Send signs of life while the flow's code is imported, which takes a busy machine a minute."""

    def beat() -> None:
        emit_event(
            "prefect.flow-run.heartbeat",
            resource={
                "prefect.resource.id": f"prefect.flow-run.{run.id}",
                "prefect.resource.name": run.name,
            },
            related=tags_as_related_resources(set(run.tags)),
        )

    beat()
    with _repeating(beat):
        yield


@contextmanager
def watched(run: FlowRun) -> Generator[None]:
    """Look after the run while the block runs, and once more when it ends, however it does."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        _leave_if_lost(run)

    # The first thing that a process does that was stopped is to ask, and nothing goes on meanwhile:
    # what a training has written since may be further than where this one is.
    before = signal.signal(signal.SIGCONT, ask)
    try:
        with _repeating(lambda: _leave_if_lost(run)):
            yield
    finally:
        signal.signal(signal.SIGCONT, before)
        _leave_if_lost(run)


@contextmanager
def _repeating(action: Callable[[], None]) -> Generator[None]:
    """Do something every thirty seconds while the block runs."""
    over = threading.Event()

    def repeat() -> None:
        # After a sleep of the machine this is over at once.
        while not over.wait(HEARTBEAT_SECONDS):
            action()

    threading.Thread(target=copy_context().run, args=(repeat,), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _leave_if_lost(run: FlowRun) -> None:
    """End this process where the run is another's; a server that is away says no such thing."""
    try:
        with get_client(sync_client=True) as client:
            now = client.read_flow_run(run.id)
    except httpx.HTTPError:
        return
    if is_lost(run, now):
        state = now.state.name if now.state else "gone"
        # Not by print: this may be in the middle of one.
        os.write(
            1, f"run {run.name} is no longer this process's, it is {state}: it ends\n".encode()
        )
        for child in multiprocessing.active_children():
            child.kill()
        # Neither an exception, which Prefect would report, nor another status, which the worker
        # would: the run's state is somebody else's.
        os._exit(0)


if __name__ == "__main__":
    main()
