"""The automations of a Prefect server without the server: events and time are put in by hand.

It is Prefect's own code that decides what follows, on a database of its own.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.events import AutomationCore
from prefect.server.database import provide_database_interface
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import temporary_database_config
from prefect.server.events import triggers
from prefect.server.events.schemas.automations import Automation, EventTrigger, Firing, Posture
from prefect.server.events.schemas.events import ReceivedEvent

GRANULARITY_SECONDS = 5
"""Between two looks at what did not happen; a test asks Prefect whether this is so."""
# Prefect corrects for events that arrive late, as all of the past would.
BEGIN = datetime.now(UTC) + timedelta(days=1)


@dataclass
class Clockwork:
    """Time, and what automations did about the runs that were told of."""

    seconds: float = 0.0
    """Since the story began."""
    done: list[tuple[str, UUID, float]] = field(default_factory=list[tuple[str, UUID, float]])
    """Automation, run, and when."""
    due: dict[UUID, datetime] = field(default_factory=dict[UUID, datetime])
    """When the server next has a reason to look."""

    async def hear(self, run: UUID, name: str, **labels: str) -> None:
        """Let an event of a run arrive."""
        resource = {"prefect.resource.id": f"prefect.flow-run.{run}"}
        event = dict(
            id=uuid4(),
            occurred=BEGIN + timedelta(seconds=self.seconds),
            event=f"prefect.flow-run.{name}",
            resource={
                **resource,
                **{f"prefect.{k.replace('_', '-')}": v for k, v in labels.items()},
            },
            related=[
                {"prefect.resource.id": "prefect.tag.polyspace", "prefect.resource.role": "tag"},
                {
                    "prefect.resource.id": "prefect.work-pool.1",
                    "prefect.resource.role": "work-pool",
                    "prefect.resource.name": "polyspace-cpu",
                },
            ],
        )
        await triggers.reactive_evaluation(ReceivedEvent.model_validate(event))

    async def wait(self, seconds: float) -> None:
        """Let time pass; the server looks every few seconds."""
        until = self.seconds + seconds
        while self.seconds < until:
            self.seconds = min(until, self.seconds + GRANULARITY_SECONDS)
            now: Any = BEGIN + timedelta(seconds=self.seconds)  # pendulum's, in their annotation
            for trigger in list(triggers.triggers.values()):
                is_due = self.due.get(trigger.id, now) <= now
                if trigger.posture == Posture.Proactive and is_due:
                    self.due[trigger.id] = await triggers.proactive_evaluation(trigger, now)

    async def be_down(
        self, seconds: float, before: Callable[[datetime], Coroutine[Any, Any, None]] | None
    ) -> None:
        """Let time pass without a look, and then perhaps something, before the server is up."""
        self.seconds += seconds
        self.due.clear()
        if before:
            await before(BEGIN + timedelta(seconds=self.seconds))

    def note(self, firing: Firing) -> None:
        """Keep what an automation would do now."""
        trigger = firing.trigger
        assert isinstance(trigger, EventTrigger)
        event = firing.triggering_event
        about = firing.triggering_labels.get("prefect.resource.id") or (event and event.resource.id)
        assert about
        self.done.append((trigger.automation.name, UUID(about.rpartition(".")[2]), self.seconds))


async def _make(automations: Sequence[AutomationCore]) -> None:
    database = provide_database_interface()
    for wanted in automations:
        said = wanted.model_dump(mode="json", exclude={"owner_resource"})
        made = Automation.model_validate({**said, "id": uuid4()})
        async with database.session_context(begin_transaction=True) as session:
            session.add(database.Automation(**made.model_dump_for_orm()))
        triggers.load_automation(made)


def tell(
    story: Callable[[Clockwork], Coroutine[Any, Any, None]],
    automations: Sequence[AutomationCore],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Clockwork:
    """Tell a story to a server that has some automations; give what became of it."""
    clockwork = Clockwork()

    async def act(firing: Firing) -> None:
        clockwork.note(firing)

    async def whole() -> None:
        await triggers.reset()
        database = provide_database_interface()
        engine = await database.engine()
        async with engine.begin() as connection:
            for orm in (database.Automation, database.AutomationBucket):
                table = orm.metadata.tables[orm.__tablename__]
                await connection.run_sync(table.create)
        try:
            await _make(automations)
            await story(clockwork)
        finally:
            await triggers.reset()
            await engine.dispose()

    monkeypatch.setattr(triggers, "act", act)
    where = AioSqliteConfiguration(f"sqlite+aiosqlite:///{folder / 'prefect.db'}")
    with temporary_database_config(where):
        asyncio.run(whole())
    return clockwork
