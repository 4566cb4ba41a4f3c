import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.errors import SelectionError
from polyspace.export.selection import dossier, scoring, spectral, table
from polyspace.export.selection.matching import Found
from polyspace.export.selection.options import PolicyOptions
from tests.support.selections import HEADER, WORKED, write_checkpoints


@pytest.fixture
def choose(tmp_path):
    """Choose among rows of the eleven columns."""

    def choose(*lines, header=HEADER, **options):
        steps = [line.partition(",")[0] for line in lines]
        write_checkpoints(tmp_path, [f"checkpoint_{step}.pt" for step in steps])
        path = tmp_path / "metrics.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return dossier.choose(path, tmp_path, PolicyOptions.model_validate(options))

    return choose


def metrics_of(line):
    (row,) = csv.DictReader(io.StringIO(f"{HEADER}\n{line}\n"))
    return {name: float(value) for name, value in row.items() if name not in ("step", "epoch")}


def test_the_worked_example(choose):
    found = choose(WORKED)
    assert found.policy.name == "spectral"
    assert found.winner.score == pytest.approx(0.07, abs=1e-12)
    assert found.winner.passes
    assert found.winner.missed == ()
    record = dossier.record(found, "best.pt").best_checkpoint
    assert record.improvements == pytest.approx({"ndvi": 0.02, "evi": 0.025, "sam": 0.05})
    assert record.improvements_over == "v1"


def test_the_columns_are_the_seeds():
    assert ",".join(spectral.COLUMNS) == HEADER


def test_the_epoch_may_be_missing(choose):
    header = HEADER.replace("epoch,", "")
    found = choose(WORKED.replace("500,1,", "500,"), header=header)
    assert found.winner.score == pytest.approx(0.07, abs=1e-12)


@pytest.mark.parametrize("edges", ["2.0,3.5,0.85", "1.5,5.0,0.85", "1.5,3.5,0.7"])
def test_limits_are_strict(choose, edges):
    with pytest.raises(SelectionError, match="none of 1 checkpoints"):
        choose(WORKED.replace("1.5,3.5,0.85", edges))


def test_a_better_score_beyond_a_limit_does_not_win(choose):
    better = "1000,2,.001,.001,.001,.085,.095,.180,1.5,5.1,0.85"
    assert choose(WORKED, better).winner.step == 500


def test_the_penalty_is_the_seeds(choose):
    bad = spectral.derived(metrics_of("1,1,0,0,0,0,0,0,3,7,0.5"))
    assert bad["edge_penalty"] == pytest.approx(10 * 1 + 5 * 2 + 2 * 0.2)


EDGES = st.tuples(st.floats(0, 4), st.floats(0, 10), st.floats(0, 1))
RMSES = st.tuples(*(st.floats(0, 0.5) for _ in range(6)))


@given(
    st.lists(st.tuples(RMSES, EDGES), min_size=1, max_size=6),
    st.floats(0, 1000),
)
def test_the_weight_of_the_penalty_can_not_change_who_wins(rows, weight):
    winners = []
    for policy in (spectral.policy(), spectral.policy(edge_penalty_weight=weight)):
        judged = []
        for step, (rmses, edges) in enumerate(rows):
            values = dict(zip((*spectral.METRICS, *spectral.EDGES), (*rmses, *edges), strict=True))
            row = table.Row(step, None, values, None, None)
            found = Found(row, Path("made.pt"), "")
            judged.append(scoring.judge(found, spectral.derived(values), policy))
        best = next(scoring.ranked(judged, policy))
        winners.append((best.step, best.passes))
    if winners[0][1]:
        assert winners[0] == winners[1]


def test_a_missing_column_is_named(choose):
    header = HEADER.replace(",edge_ratio", "")
    with pytest.raises(SelectionError, match="the table lacks edge_ratio"):
        choose(WORKED.removesuffix(",0.85"), header=header)


def test_a_column_that_would_be_derived_is_refused(choose):
    with pytest.raises(SelectionError, match="column d_ndvi would be derived"):
        choose(f"{WORKED},0.5", header=f"{HEADER},d_ndvi")
