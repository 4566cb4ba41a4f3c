"""What workers may run, registered with the Prefect server: ``python -m flows.deploy``."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from flows.extract_features import extract_features, extract_part
from flows.sweep import sweep, sweep_part
from polyspace import console
from polyspace.config import Config
from tasks import parts

DEPLOYED = (extract_features, extract_part, sweep, sweep_part)


class DeployConfig(Config):
    """Register flows with the server at PREFECT_API_URL, for the workers of the pool "polyspace".

    What is registered already is brought up to date.
    """


def main(_: DeployConfig) -> None:
    """Register everything, and say how a worker is started."""
    parts.refuse_unreachable()
    _make_pool()
    for flow in DEPLOYED:
        deployment = RunnerDeployment.from_flow(
            flow,
            parts.POOL,
            work_pool_name=parts.POOL,
            # Modules and the worker's own folder: the project may lie elsewhere on each machine.
            entrypoint_type=EntrypointType.MODULE_PATH,
            job_variables={"working_dir": "."},
        )
        deployment.apply()
    console.say(parts.remedy())


def _make_pool() -> None:
    """Make the pool, whose workers run flows as processes, if there is none of that name."""
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=parts.POOL, type=ProcessWorker.type, base_job_template=template)
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return


if __name__ == "__main__":
    console.run(DeployConfig, main)
