"""When a run counts as lost, and what becomes of it then: automations of the Prefect server.

A run beats while its process lives. The server marks one that is not heard of as crashed, and has
a worker go on with it; what it had finished is skipped. Nobody has to look after this: the
automations are on the server's page like any other, and are switched off there.
"""

from datetime import timedelta

from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState

from tasks import parts

HEARTBEAT_SECONDS = 30
"""Between two signs of life of a run; Prefect takes nothing shorter, and 180 unless told."""
WITHIN_SECONDS = 90
"""How long nothing is heard of a run that counts as lost: three beats. The server looks every five
seconds and needs some to act, on a machine at ten times its load twenty."""
STARTING_SECONDS = 120
"""What a server may take to start, and everybody to find it again."""
NOTICED_SECONDS = 120
"""What is promised: a lost run is marked as crashed within this time."""
TIMES = 3
"""How often a run is taken up again: one that takes its machine down each time ends with that."""
SETTING = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
"""Where Prefect looks for the first of these in a run's environment."""

LOST = "Lost: not heard of for"
"""Begins what a lost run's state says; a run that crashed by itself says something else."""
TAG = ResourceSpecification.model_validate(
    {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.polyspace"}
)
"""Every deployment here has it. Other people's runs beat more slowly."""
POOLS = ResourceSpecification.model_validate(
    {"prefect.resource.role": "work-pool", "prefect.resource.name": list(parts.POOLS.values())}
)
"""Where a run begins within seconds; a container's picture may have to be fetched first."""
EVENT = "prefect.flow-run."
"""Begins the name of everything that is heard of a run, and its own."""


def automations() -> tuple[AutomationCore, ...]:
    """Give everything that the server does by itself about runs that nobody works on."""
    return _silent(), _never_begun(), _taken_up(), _cancelled()


def _silent() -> AutomationCore:
    return AutomationCore(
        name="lost runs are marked as crashed",
        description="A run that was running and sends no sign of life has lost its machine.",
        trigger=_silence({"Running", "heartbeat"}, TAG),
        actions=[_change(StateType.CRASHED, "Crashed", f"{LOST} {WITHIN_SECONDS} s.")],
    )


def _never_begun() -> AutomationCore:
    message = f"{LOST} {WITHIN_SECONDS} s, and it had not begun."
    return AutomationCore(
        name="runs that never begin are marked as crashed",
        description="A worker took a run and nothing came of it: the machine was lost at once.",
        trigger=_silence({"Pending", "Submitting", "InfrastructurePending"}, TAG, POOLS),
        actions=[_change(StateType.CRASHED, "Crashed", message)],
    )


def _taken_up() -> AutomationCore:
    return AutomationCore(
        name="lost runs are taken up again",
        description=f"A worker goes on after what is done; {TIMES} times, then it stays crashed.",
        trigger=EventTrigger(
            expect={f"{EVENT}Crashed"},
            match=ResourceSpecification.model_validate(
                {
                    "prefect.resource.id": f"{EVENT}*",
                    "prefect.state-message": f"{LOST}*",
                    # Counts how often it has begun.
                    "prefect.run-count": [str(count) for count in range(TIMES + 1)],
                }
            ),
            match_related=[TAG],
            posture=Posture.Reactive,
        ),
        actions=[_change(StateType.SCHEDULED, "AwaitingRetry", "Taken up again after its loss.")],
    )


def _cancelled() -> AutomationCore:
    message = f"Cancelled; nobody was there to stop it for {WITHIN_SECONDS} s."
    return AutomationCore(
        name="cancelled runs end without their worker",
        description="A run is cancelled by its worker; where that is gone, nobody would say so.",
        trigger=_silence({"Cancelling"}, TAG, expected="Cancelled"),
        actions=[_change(StateType.CANCELLED, "Cancelled", message)],
    )


def _silence(after: set[str], *related: ResourceSpecification, expected: str = "*") -> EventTrigger:
    """Say that something is expected of each run, again and again, once something was heard."""
    return EventTrigger(
        after={EVENT + name for name in after},
        expect={EVENT + expected},
        match=ResourceSpecification.model_validate({"prefect.resource.id": f"{EVENT}*"}),
        match_related=list(related),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=WITHIN_SECONDS),
    )


def _change(state: StateType, name: str, message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=state, name=name, message=message, force=False)
