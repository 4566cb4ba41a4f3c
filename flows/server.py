"""The Prefect server, that takes nobody for lost when it starts: ``python -m flows.server``.

While a server is down, nobody's signs of life arrive; started again, it would take every run for
lost that was due before. So each gets its time once more.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import sqlalchemy
from prefect.server.database import provide_database_interface
from pydantic import Field
from sqlalchemy.exc import DBAPIError

from flows import watching
from polyspace import console
from polyspace.config import Config
from tasks import addresses


class ServerConfig(Config):
    """Start a Prefect server; its database is what Prefect's own settings say."""

    host: str = addresses.HOST
    """Address to listen on."""
    port: Annotated[int, Field(ge=1024, le=65535)] = addresses.PREFECT_PORT
    """Port to listen on."""


def main(config: ServerConfig) -> None:
    """Become the server, after everybody that it waits for has got more time."""
    asyncio.run(reprieve(datetime.now(UTC)))
    where = ("--host", config.host, "--port", str(config.port))
    os.execv(sys.executable, (sys.executable, "-m", "prefect", "server", "start", *where))


async def reprieve(now: datetime) -> None:
    """Have the server wait for every run as long as if it were heard of when it has started."""
    database = provide_database_interface()
    until = now + timedelta(seconds=watching.STARTING_SECONDS + watching.WITHIN_SECONDS)
    bucket, automation = database.AutomationBucket, database.Automation
    names = [wanted.name for wanted in watching.automations()]
    ours = sqlalchemy.select(automation.id).where(automation.name.in_(names))
    late = bucket.automation_id.in_(ours), bucket.end < until
    later = sqlalchemy.update(bucket).where(*late).values(end=until)
    try:
        async with database.session_context(begin_transaction=True) as session:
            await session.execute(later)
    except DBAPIError:
        # The server makes its tables when it is started for the first time.
        return
    finally:
        await (await database.engine()).dispose()


if __name__ == "__main__":
    console.run(ServerConfig, main)
