"""What is changed of a base, and what can't be."""

from pathlib import Path
from typing import get_args

import pytest

from polyspace.errors import ConfigError
from polyspace.losses.mix import LOSSES
from polyspace.models.converters import ConverterKind
from polyspace.precision import FeatureType
from polyspace.train import ablation
from polyspace.train.ablation import BASE, GROUPS, STORED, Stored, variations
from tests.support.ablations import CONVERTER, FUSION, ablation_of

ONE_VIEW = Stored(views=1, types=("float16",))


def planned(stored=ONE_VIEW, **changes):
    config = ablation_of(Path("here"), Path("there"), **changes)
    return config, variations(config, stored)


def differing(config, variation):
    """Which fields of a variation are not the base's."""
    base = ablation.base(config)
    about = ("name", "group", "changed", "gap")
    return {
        name
        for name in vars(base)
        if name not in about and getattr(variation, name) != getattr(base, name)
    }


def test_the_base_comes_first_and_every_other_one_changes_one_thing():
    config, plan = planned(Stored(4, ("float16",)), groups=GROUPS)
    assert plan[0].name == BASE
    assert differing(config, plan[0]) == set()
    for variation in plan[1:]:
        assert len(differing(config, variation)) == 1 or variation.gap, variation
    assert len({(one.group, one.name) for one in plan}) == len(plan)


def test_groups_keep_the_order_that_was_asked_for():
    _, plan = planned(groups=("views", "joins", "teachers"))
    assert list(dict.fromkeys(one.group for one in plan)) == ["base", "views", "joins", "teachers"]


def test_every_teacher_is_left_out_and_hidden():
    _, plan = planned(groups=("teachers",))
    assert [one.teachers for one in plan[1:3]] == [("look",), ("flow",)]
    assert [one.without for one in plan[3:]] == [("flow",), ("look",)]


def test_a_single_teacher_can_be_hidden_but_not_left_out():
    _, plan = planned(groups=("teachers",), teachers=("flow",))
    assert [bool(one.gap) for one in plan] == [False, True, False]
    assert "the student alone" in plan[1].gap


@pytest.mark.parametrize("kind", get_args(ConverterKind))
def test_every_kind_of_converter_but_the_bases_is_there_once(kind):
    _, plan = planned(groups=("converters",), converter=CONVERTER.model_copy(update={"kind": kind}))
    kinds = [one.converter.kind for one in plan]
    assert kinds[0] == kind
    assert sorted(kinds) == sorted(get_args(ConverterKind))


def test_each_loss_stands_alone():
    _, plan = planned(groups=("losses",))
    assert [one.converter.losses for one in plan[1:]] == [(f"{name}=1",) for name in LOSSES]


def test_solved_converters_have_no_losses_to_change():
    ridge = CONVERTER.model_copy(update={"kind": "ridge"})
    _, plan = planned(groups=("losses",), converter=ridge)
    assert [bool(one.gap) for one in plan] == [False, True]


def test_kinds_that_don_t_go_with_the_base_are_gaps_that_say_why():
    trunk = CONVERTER.model_copy(update={"trunk": 8})
    _, plan = planned(groups=("converters",), converter=trunk)
    gaps = {one.changed["converter.kind"]: one.gap for one in plan[1:] if one.gap}
    assert "--kind ridge is solved" in gaps["ridge"]
    assert "residual_mlp" not in gaps


@pytest.mark.parametrize(
    ("there", "had"),
    [
        ("float32", {"float16", "bfloat16", "int8"}),
        ("float16", {"bfloat16", "int8"}),
        ("scaled", {"bfloat16", "int8"}),
        ("bfloat16", {"int8"}),
        ("int8", set()),
    ],
)
def test_a_type_that_was_rounded_away_is_a_stated_gap(there: FeatureType, had):
    _, plan = planned(Stored(1, (there,)), groups=("storage",))
    found = {one.storage: one.gap for one in plan[1:]}
    assert found.keys() == set(STORED) - {there}
    assert {dtype for dtype, gap in found.items() if not gap} == had
    for dtype in found.keys() - had:
        assert f"a store of {there}" in found[dtype]


def test_beside_float32_every_type_can_be_had_the_bases_own_too():
    _, plan = planned(Stored(1, ("float16",), exact=True), groups=("storage",))
    assert [(one.storage, one.gap) for one in plan[1:]] == [(dtype, "") for dtype in STORED]


def test_a_store_of_mixed_types_is_no_type_of_its_own():
    _, plan = planned(Stored(1, ("float16", "float32")), groups=("storage",))
    assert [one.storage for one in plan[1:]] == list(STORED)
    assert [bool(one.gap) for one in plan[1:]] == [True, False, False, False]


@pytest.mark.parametrize(("views", "tried"), [(2, [1]), (4, [1, 2]), (5, [1, 2, 4])])
def test_fewer_views_are_tried_where_there_are_several(views, tried):
    _, plan = planned(Stored(views, ("float16",)), groups=("views",))
    assert [one.views for one in plan[1:]] == tried


def test_one_view_is_a_stated_gap():
    _, plan = planned(groups=("views",))
    assert [one.gap for one in plan[1:]] == ["this store has one view of each clip"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teachers": ("flow", "flow")}, "--teachers has flow 2 times"),
        ({"groups": ("joins", "joins")}, "--groups has joins 2 times"),
        ({"fusion": FUSION.model_copy(update={"seed": 3})}, r"--fusion\.seed 3 has no use"),
        ({"converter": CONVERTER.model_copy(update={"seed": 3})}, r"--converter\.seed 3"),
    ],
)
def test_what_has_no_use_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        planned(**changes)
