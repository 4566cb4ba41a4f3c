import json

import pytest

from tests.support.stages import finish


@pytest.fixture(scope="session")
def proved(exported_source, tmp_path_factory):
    """A bundle that fresh processes proved and measured; not to be changed."""
    from polyspace.export import bundle  # late, so that shapes are checked in it

    config = exported_source.config(tmp_path_factory.mktemp("proved"), measure=True)
    return finish(bundle.run(config, "fp16"))


@pytest.fixture(scope="session")
def proof(proved):
    """What was written of it."""
    return json.loads((proved / "proof.json").read_text())
