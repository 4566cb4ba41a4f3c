"""The registered model, as a task."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace import console
from polyspace.errors import RecordError
from tasks import artefacts, outages
from tasks.tracking import ALONE, Tracker
from tasks.tracking.registration import RegisterConfig, Registered


@task(
    name="register",
    task_run_name="register {config.bundle}",
    cache_policy=NO_CACHE,
    **outages.WHERE_MLFLOW_IS_ASKED,
)
def register(config: RegisterConfig, tracker: Tracker = ALONE) -> Registered:
    """Register a bundle as a version of a model."""
    from tasks.tracking import registry  # imports MLflow, of which other stages need nothing yet

    found = registry.register(config, tracker)
    artefacts.text("model", f"`{found}`")
    return found


def offer(config: RegisterConfig, tracker: Tracker) -> None:
    """Register a bundle if it was published and runs are tracked; say what came of it."""
    if not tracker.enabled or not config.bundle.is_dir():
        return
    try:
        console.say(f"registered {register(config, tracker)}")
    except RecordError as error:
        console.say(f"not registered: {error}")
