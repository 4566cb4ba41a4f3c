"""A flow for workers of a stack: run as a script, it is registered, triggered and waited for."""

import sys
import tempfile
from pathlib import Path

from prefect import flow


@flow
def greet(name: str) -> None:
    """Leave a greeting with MLflow, as whoever the worker is."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.create_experiment(f"greetings/{name}")
    run_id = client.create_run(experiment).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "greeting.txt"
        path.write_text(f"hello {name}")
        client.log_artifact(run_id, str(path))
    client.log_metric(run_id, "greeted", 1.0)
    client.set_terminated(run_id)


def _trigger(pool: str, name: str) -> None:
    from mlflow import MlflowClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments import run_deployment
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from tests.support.greeting import greet as found

    deployment = RunnerDeployment.from_flow(
        found,
        "test",
        work_pool_name=pool,
        entrypoint_type=EntrypointType.MODULE_PATH,
        job_variables={"working_dir": "."},
    )
    deployment.apply()
    run = run_deployment("greet/test", parameters={"name": name}, timeout=150, poll_interval=1)
    assert isinstance(run, FlowRun)
    assert run.state
    client = MlflowClient()
    experiment = client.get_experiment_by_name(f"greetings/{name}")
    assert experiment
    found_run = client.search_runs([experiment.experiment_id])[0]
    text = Path(client.download_artifacts(found_run.info.run_id, "greeting.txt")).read_text()
    sys.stdout.write(f"{run.state.name} {found_run.data.metrics['greeted']} {text}\n")


if __name__ == "__main__":
    _trigger(*sys.argv[1:])
