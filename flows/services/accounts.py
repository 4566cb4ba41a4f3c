"""The buckets, and the MLflow user of the workers:  ``python -m flows.services.accounts``."""

import os
from contextlib import suppress
from typing import Any

import httpx

from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError

BUCKETS = ("mlflow", "polyspace")
"""MLflow's artefacts, and feature stores."""
UNAUTHORIZED = 401
USERS = "/api/2.0/mlflow/users"


class AccountsConfig(Config):
    """Make what is not there yet, once the servers answer.

    Takes addresses and secrets from the environment, as docker/compose.yaml sets them.
    """


def main(_: AccountsConfig) -> None:
    """Make buckets and user, and say so; what is there already stays."""
    make_buckets()
    make_worker()
    console.say(
        f"buckets {', '.join(BUCKETS)}; MLflow user {os.environ['MLFLOW_TRACKING_USERNAME']}"
    )


def make_buckets() -> None:
    """Make the buckets with the keys in the environment."""
    import boto3  # installed where MLflow's server is

    client: Any = boto3.client("s3")
    taken = (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists)
    for name in BUCKETS:
        with suppress(*taken):
            client.create_bucket(Bucket=name)


def make_worker() -> None:
    """Make the workers' user; one that is there gets the password that the secret holds now.

    Raises:
        ConfigError: MLflow refuses the administrator.
    """
    name = os.environ["MLFLOW_TRACKING_USERNAME"]
    user = {"username": name, "password": os.environ["MLFLOW_TRACKING_PASSWORD"]}
    administrator = ("admin", os.environ["MLFLOW_ADMIN_PASSWORD"])
    uri = os.environ["MLFLOW_TRACKING_URI"]
    with httpx.Client(base_url=uri, auth=administrator, timeout=60) as client:
        found = client.get(f"{USERS}/get", params={"username": name})
        if found.status_code == UNAUTHORIZED:
            raise ConfigError(
                f"MLflow at {uri} refuses its administrator: the secret mlflow_admin_password is "
                f"not the password that it was first started with"
            )
        if found.is_success:
            client.patch(f"{USERS}/update-password", json=user).raise_for_status()
        else:
            client.post(f"{USERS}/create", json=user).raise_for_status()


if __name__ == "__main__":
    console.run(AccountsConfig, main)
