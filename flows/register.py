"""A proven bundle into MLflow's model registry: ``python -m flows.register --help``."""

from prefect import flow

from flows import temporary
from polyspace import console
from tasks import models
from tasks.tracking.registration import RegisterConfig, Registered


@flow(name="register", flow_run_name="register {config.bundle}")
def register(config: RegisterConfig) -> Registered:
    """Register a bundle as a version of a model; return the version.

    Args:
        config: Which bundle, and what the model is called.
    """
    return models.register(config)


def main(config: RegisterConfig) -> None:
    """Run the flow and say how the model is served."""
    temporary.server()
    console.say(str(register(config)))


if __name__ == "__main__":
    console.run(RegisterConfig, main)
