import pytest

from polyspace.report.records.evaluation import read_evaluation
from tests.support.records import write_records


@pytest.fixture
def evaluation(tmp_path):
    """Give the evaluation of a small run, with some of its entries changed."""

    def read(**changes):
        return read_evaluation(write_records(tmp_path, **changes).evaluation)

    return read
