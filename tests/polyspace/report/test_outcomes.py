import numpy as np
import pytest

from polyspace.errors import RecordError
from polyspace.report.records.outcomes import read_outcomes
from tests.support.records import write_records


def test_columns_of_one_method_are_put_together(tmp_path):
    found = read_outcomes(write_records(tmp_path).folder / "outcomes.csv")
    assert {name: values.shape for name, values in found.named.items()} == {
        "fusion": (2, 24),
        "student": (1, 24),
    }
    assert found.ids[:2] == ("clip-0", "clip-1")
    assert found.groups[:4] == ("g0", "g0", "g0", "g1")
    assert np.mean(found.named["student"][0] == found.labels) == 0.5


@pytest.mark.parametrize(
    "text",
    ["", "id,group\na,b\n", "id,group,class,fusion/0\na,b,zero,0\n", "id,group,class\na,b\n"],
)
def test_what_is_no_such_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "outcomes.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match="not the outcomes of an evaluation"):
        read_outcomes(path)
