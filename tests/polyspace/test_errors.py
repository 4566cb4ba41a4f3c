import inspect

import pytest

from polyspace import errors
from polyspace.errors import PolySpaceError, UnknownNameError

TREE = (errors.__doc__ or "").splitlines()

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, PolySpaceError)
]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_stands_in_the_tree_with_the_builtin_it_is(error):
    if error is PolySpaceError:
        return
    builtin = next(base for base in error.__mro__ if base.__module__ == "builtins")
    line = next(text for text in TREE if f" {error.__name__}" in text)
    direct = [base.__name__ for base in error.__bases__ if base.__module__ == "builtins"]
    assert all(name in line for name in direct)
    assert issubclass(error, builtin)
    assert builtin is not Exception


def test_the_tree_names_no_error_that_is_not_there():
    drawn = [text.split("── ")[1].split("(")[0].split()[0] for text in _branches()]
    assert sorted(drawn) == sorted(
        error.__name__ for error in CLASSES if error is not PolySpaceError
    )


def test_an_unknown_name_offers_the_nearest_and_lists_all():
    error = UnknownNameError("backbone", "videmae", ["vivit", "videomae"])
    assert str(error) == (
        "unknown backbone 'videmae': did you mean 'videomae'? known are videomae, vivit"
    )


def test_an_unknown_name_that_is_near_to_nothing_offers_nothing():
    assert str(UnknownNameError("data set", "x", ["motion"])) == (
        "unknown data set 'x': known are motion"
    )
    assert str(UnknownNameError("data set", "x", [])) == "unknown data set 'x': known are none"


def _branches():
    return [text for text in TREE if "── " in text]
