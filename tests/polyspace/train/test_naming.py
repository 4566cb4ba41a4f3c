from hypothesis import given
from hypothesis import strategies as st

from polyspace.models.backbones.class_names import plain
from polyspace.train.naming import match


def test_spellings_of_one_name_are_one():
    spellings = ("ApplyEyeMakeup", "apply_eye_makeup", "Apply eye make-up", "apply eye makeup ")
    assert {plain(name) for name in spellings} == {"applyeyemakeup"}
    assert plain("Putting [something] onto [something]") == plain(
        "putting something onto something"
    )


def test_classes_are_matched_by_name_whatever_their_order():
    assert match(("Archery", "bowling", "HighJump"), ("high_jump", "fencing", "archery")) == {
        0: 2,
        2: 0,
    }


def test_a_name_that_stands_twice_is_matched_with_nothing():
    assert match(("a b", "ab", "c"), ("ab", "c")) == {1: 2}
    assert match(("ab",), ("a b", "A_B")) == {}


def test_names_without_letters_are_matched_with_nothing():
    assert match(("?", "!"), ("?", "!")) == {}


@given(st.lists(st.text(max_size=6), max_size=8), st.lists(st.text(max_size=6), max_size=8))
def test_what_is_matched_is_called_alike_and_each_once(theirs, ours):
    found = match(theirs, ours)
    assert all(plain(ours[own]) == plain(theirs[other]) for own, other in found.items())
    assert len(set(found.values())) == len(found)
