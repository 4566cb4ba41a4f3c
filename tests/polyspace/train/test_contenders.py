import numpy as np
import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.models.converters import Translator
from polyspace.models.fusion import Fusion, FusionSpec
from polyspace.train.batches import divide
from polyspace.train.contenders import contenders, parameters
from polyspace.train.fusion_workload import translated
from polyspace.train.translation import closed_form

ROWS = np.arange(6)


@pytest.fixture
def translator(converters):
    return Translator.from_record(checkpoint.load(converters, "converters")).eval()


@pytest.fixture
def spec(train):
    return FusionSpec(
        student=train.shape("stu"),
        teachers={name: train.shape(name) for name in ("flow", "look")},
        class_names=train.class_names,
        rank=4,
        dropout=0.5,
    )


@pytest.fixture
def listed(translator, spec, train):
    """Give the contenders of a translator, by name, in their order."""
    rows = train.rows(("stu", "flow", "look"))
    closed = closed_form(translator, train, divide(train, rows, share=0.2, seed=0))

    def make(of=translator, seed=0):
        entries = contenders(of, spec, closed=closed, shapes=spec.teachers, seed=seed)
        assert len({entry.name for entry in entries}) == len(entries)
        return {entry.name: entry for entry in entries}

    return make


@pytest.fixture
def table(listed):
    return listed()


@pytest.fixture
def seen(table, train):
    @torch.no_grad()
    def see(name, rows=ROWS):
        return table[name].view(train)(rows)

    return see


def test_every_baseline_control_and_bound_is_there(table):
    assert {name: entry.kind for name, entry in table.items()}.items() >= {
        "student": "baseline",
        "equal_parameters": "control",
        "mean_predictor": "baseline",
        "untrained_converters": "control",
        "translated:flow": "baseline",
        "teacher:flow": "upper bound",
        "translated:look": "baseline",
        "teacher:look": "upper bound",
        "ridge_converters": "baseline",
        "procrustes_converters": "baseline",
        "attentive:stu": "baseline",
        "true_teachers": "upper bound",
        "concatenated_teachers": "upper bound",
    }.items()


def test_every_contenders_fusion_takes_what_it_sees(table, train):
    for entry in table.values():
        with torch.no_grad():
            given = entry.view(train)(ROWS)
            said = Fusion(entry.spec).eval()(given.student, given.translated)
        assert said.logits.shape == (6, 3), entry.name
        assert set(entry.spec.teachers) == set(given.translated), entry.name


def test_equal_parameters_has_within_two_percent_of_the_whole_methods(table, translator, spec):
    whole = parameters(translator) + parameters(Fusion(spec))
    entry = table["equal_parameters"]
    assert entry.before + parameters(Fusion(entry.spec)) == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize("name", ["student", "equal_parameters"])
def test_the_student_controls_see_the_standardised_student_alone(seen, train, translator, name):
    given = seen(name)
    torch.testing.assert_close(given.student, translator.student(train.tokens("stu", ROWS)))
    assert given.translated == {}


def test_the_mean_predictor_sees_of_a_teacher_what_is_the_same_for_every_clip(seen, spec):
    given = seen("mean_predictor").translated
    assert {name: value.shape[1:] for name, value in given.items()} == {
        name: (shape.time, shape.space, shape.dim) for name, shape in spec.teachers.items()
    }
    for value in given.values():
        assert torch.equal(value, value[:1, :1, :1].expand_as(value))
        assert value.abs().max() < 1e-4


def test_true_teachers_are_seen_standardised(seen, train, translator):
    for name, value in seen("true_teachers").translated.items():
        expected = translator[name].teacher(train.tokens(name, ROWS))
        torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        seen("teacher:look").student, translator["look"].teacher(train.tokens("look", ROWS))
    )


def test_a_translation_alone_is_what_the_fusion_gets(seen, train, translator):
    with torch.no_grad():
        expected = translated(train, translator)(ROWS).translated["look"]
    torch.testing.assert_close(seen("translated:look").student, expected)


def test_untrained_converters_are_drawn_from_the_seed_and_are_not_the_trained_ones(
    translator, listed, train
):
    def see(seed):
        entry = listed(seed=seed)["untrained_converters"]
        with torch.no_grad():
            return entry.view(train)(ROWS).translated["look"]

    assert torch.equal(see(0), see(0))
    assert not torch.allclose(see(0), see(1))
    with torch.no_grad():
        assert not torch.allclose(see(0), translated(train, translator)(ROWS).translated["look"])


def test_parameters_that_run_before_the_fusion_are_counted(table, translator):
    assert table["untrained_converters"].before == parameters(translator)
    assert table["translated:look"].before == parameters(translator["look"])
    assert table["teacher:look"].before == table["student"].before == 0


def test_silent_error_6_what_a_contender_sees_does_not_depend_on_the_batch(table, train):
    for entry in table.values():
        with torch.no_grad():
            together, alone = (entry.view(train)(rows) for rows in (ROWS, ROWS[2:3]))
        torch.testing.assert_close(alone.student, together.student[2:3])
        for name, value in alone.translated.items():
            torch.testing.assert_close(value, together.translated[name][2:3])


@torch.no_grad()
def test_contenders_see_through_a_trunk_and_count_it(translator, listed, train):
    torch.manual_seed(0)
    specs = {name: own.model_copy(update={"trunk": 8}) for name, own in translator.specs.items()}
    behind = Translator(translator.student_name, specs).eval()
    torch.nn.init.normal_(behind.trunk.get_parameter("blocks.0.down.weight"))
    table = listed(behind)
    seen = table["translated:look"].view(train)(ROWS).student
    assert torch.equal(seen, translated(train, behind)(ROWS).translated["look"])
    alone = parameters(behind["look"].converter) + parameters(behind.trunk)
    assert table["translated:look"].before == alone
    assert table["untrained_converters"].before == parameters(behind)


@torch.no_grad()
def test_closed_form_converters_differ_from_one_another_and_from_the_trained_ones(
    seen, translator, train
):
    names = ("mean_predictor", "procrustes_converters", "ridge_converters")
    said = [seen(name).translated["look"] for name in names]
    said.append(translated(train, translator)(ROWS).translated["look"])
    for place, one in enumerate(said):
        assert all(not torch.allclose(one, other) for other in said[place + 1 :])


def test_what_is_there_for_scale_is_trained_once_and_what_is_compared_with_every_seed(table):
    once = {name for name, entry in table.items() if not entry.repeated}
    assert once == {
        "attentive:stu",
        *(f"{what}:{name}" for what in ("translated", "teacher") for name in ("flow", "look")),
        "true_teachers",
        "concatenated_teachers",
    }


def test_concatenation_has_all_true_teachers_and_the_attentive_probe_has_none(table):
    assert table["concatenated_teachers"].spec.join == "concatenation"
    assert table["attentive:stu"].spec.head == "attentive"
    assert table["attentive:stu"].spec.teachers == {}
