from typing import Annotated

import pytest
from annotated_types import Ge
from pydantic import ValidationError

from polyspace.config import Config


class Brew(Config):
    """How tea is made."""

    leaf: str
    """Kind of tea."""
    minutes: Annotated[float, Ge(0)] = 3.0
    """How long it draws."""


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError, match="sugar"):
        Brew.model_validate({"leaf": "oolong", "sugar": 1})


def test_settings_cannot_be_changed():
    brew = Brew(leaf="oolong")
    with pytest.raises(ValidationError, match="frozen"):
        brew.minutes = 4


@pytest.mark.parametrize("minutes", [-1, float("nan"), float("inf")])
def test_values_outside_the_bounds_are_refused(minutes):
    with pytest.raises(ValidationError, match="minutes"):
        Brew(leaf="oolong", minutes=minutes)


def test_defaults_are_checked_too():
    class Cold(Config):
        minutes: Annotated[float, Ge(0)] = -1.0

    with pytest.raises(ValidationError, match="minutes"):
        Cold()


def test_the_string_under_a_field_is_its_help_and_the_order_is_kept():
    properties = Brew.model_json_schema()["properties"]
    assert list(properties) == ["leaf", "minutes"]
    assert properties["minutes"]["description"] == "How long it draws."


def test_a_config_survives_its_json():
    brew = Brew(leaf="oolong", minutes=2.5)
    assert Brew.model_validate_json(brew.model_dump_json()) == brew
