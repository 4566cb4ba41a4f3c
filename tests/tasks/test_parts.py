import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from polyspace.errors import ConfigError
from tasks import parts


def test_without_a_server_it_is_said_what_to_start():
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigError, match=r"PREFECT_API_URL is not set.*make serve"),
    ):
        parts.refuse_unreachable()


def test_a_server_that_does_not_answer_is_named():
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(ConfigError, match=r"no Prefect server answers at http://127.0.0.1:1/api"),
    ):
        parts.refuse_unreachable()
