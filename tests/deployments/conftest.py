import pytest
from prefect.client.orchestration import get_client

from flows import deploy
from flows.deploy import DeployConfig
from tests.support import services


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """The address of a server's pages, with everything deployed."""
    with services.server(tmp_path_factory.mktemp("prefect")) as address:
        deploy.main(DeployConfig(gpus=2, watch=False))
        yield address


@pytest.fixture
def api(pages):
    """A client of that server."""
    with get_client(sync_client=True) as client:
        yield client
