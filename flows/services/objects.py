"""S3-compatible storage for `make stack`, in memory:  ``python -m flows.services.objects``.

moto's server, which asks for credentials as a real one does. What it holds is gone when it ends.
"""

import os
from typing import Annotated

from pydantic import Field

from polyspace import console
from polyspace.config import Config
from tasks import addresses

ACCOUNT = "123456789012"


class ObjectsConfig(Config):
    """Answer S3 requests on this machine's loopback address until interrupted."""

    port: Annotated[int, Field(ge=1024, le=65535)] = 7070
    """Port to listen on."""


def main(config: ObjectsConfig) -> None:
    """Serve, to whoever signs with $ROOT_ACCESS_KEY and $ROOT_SECRET_KEY alone."""
    from moto import settings
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    _admit(os.environ["ROOT_ACCESS_KEY"], os.environ["ROOT_SECRET_KEY"])
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    # One request at a time: moto doesn't check the condition of a put and write in one step.
    app = DomainDispatcherApplication(create_backend_app)
    make_server(addresses.HOST, config.port, app).serve_forever()


def _admit(access_key: str, secret_key: str) -> None:
    """Make a user who may do anything with these keys, which moto would rather draw itself."""
    from moto.iam.models import iam_backends

    backend = iam_backends[ACCOUNT]["aws"]
    backend.create_user("us-east-1", "root")
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    backend.put_user_policy("root", "everything", policy)
    key = backend.create_access_key("root")
    key.access_key_id, key.secret_access_key = access_key, secret_key


if __name__ == "__main__":
    console.run(ObjectsConfig, main)
