import pytest

from polyspace.errors import ConfigError, SelectionError
from polyspace.export.selection import options, spectral
from polyspace.export.selection.options import PolicyOptions
from polyspace.export.selection.policy import Bound, Term, Tie

OWN = ("top1", "log_likelihood")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (OWN, "scores"),
        (("r2", "r2/flow"), "explained"),
        ((*spectral.METRICS, *spectral.EDGES), "spectral"),
        ((*spectral.METRICS, *spectral.EDGES, "top1"), "spectral"),
    ],
)
def test_the_columns_say_which_preset_it_is(names, expected):
    assert options.resolve(PolicyOptions(), names).name == expected


def test_the_default_is_what_training_keeps():
    policy = options.resolve(PolicyOptions(), OWN)
    assert policy.objective == (Term(metric="top1"),)
    assert policy.tie_break == (Tie(metric="log_likelihood"),)
    assert (policy.on_missed_target, policy.on_none_pass) == ("warn", "fail")


def test_other_columns_need_an_objective():
    with pytest.raises(ConfigError, match="say what counts with --maximise"):
        options.resolve(PolicyOptions(), ("loss",))
    policy = options.resolve(PolicyOptions(minimise=("loss",)), ("loss",))
    assert policy.objective == (Term(metric="loss", direction="down"),)


def test_conditions_are_added_to_the_presets():
    given = PolicyOptions(require=("ece<=0.1",), target=("top1>=0.7",), on_none_pass="fail")
    policy = options.resolve(given, OWN)
    assert policy.name == "scores"
    assert policy.constraints == (Bound(metric="ece", op="<=", limit=0.1),)
    assert policy.targets == (Bound(metric="top1", op=">=", limit=0.7),)


def test_an_objective_of_ones_own_takes_the_presets_place():
    given = PolicyOptions(maximise=("top1=2",), minimise=("ece",), tie_break=("ece:down",))
    policy = options.resolve(given, OWN)
    assert [(t.metric, t.direction, t.weight) for t in policy.objective] == [
        ("top1", "up", 2.0),
        ("ece", "down", 1.0),
    ]
    assert policy.tie_break == (Tie(metric="ece", direction="down"),)
    with pytest.raises(ConfigError, match="--preset scores has an objective of its own"):
        options.resolve(given.model_copy(update={"preset": "scores"}), OWN)


def test_a_metric_counts_once():
    with pytest.raises(ConfigError, match="top1 is 2 times in the objective"):
        options.resolve(PolicyOptions(maximise=("top1",), minimise=("top1",)), OWN)


def test_a_file_leaves_no_room_for_options(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("objective: [{metric: top1}]")
    assert options.resolve(PolicyOptions(policy=path), OWN).name == "policy"
    with pytest.raises(ConfigError, match="--require was given too"):
        options.resolve(PolicyOptions(policy=path, require=("ece<=0.1",)), OWN)


def test_the_spectral_preset_needs_all_of_its_columns():
    with pytest.raises(SelectionError, match="lacks ndvi_rmse_v2"):
        options.resolve(PolicyOptions(preset="spectral"), OWN)
