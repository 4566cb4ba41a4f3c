import pytest

from polyspace.report import evaluation as report
from polyspace.report.records.evaluation import read_evaluation
from tests.support.records import SIZES, write_records


@pytest.fixture
def evaluation(tmp_path):
    """Give the evaluation of a small run, with some of its entries changed."""

    def read(**changes):
        return read_evaluation(write_records(tmp_path, **changes).evaluation)

    return read


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """The folder of a report on a run in which nothing is out of the ordinary; sixteen pictures."""
    found = write_records(tmp_path_factory.mktemp("reported"))
    material = report.read(found.folder, exports=found.exports, sizes=SIZES)
    return report.write(material, found.folder / "out").parent
