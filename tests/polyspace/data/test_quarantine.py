from polyspace.data.quarantine import count_reasons, note, split_note
from polyspace.errors import VideoError


def test_a_note_holds_reason_file_and_words():
    text = note(VideoError("a.mp4: is truncated: 3 of 9 frames are there", "truncated"))

    assert text == "truncated: a.mp4: is truncated: 3 of 9 frames are there"
    assert split_note(text) == ("truncated", "a.mp4: is truncated: 3 of 9 frames are there")


def test_notes_of_old_stores_give_no_reason():
    assert split_note("a.mp4: is empty") == ("unnamed", "a.mp4: is empty")


def test_reasons_are_counted_the_commonest_first():
    notes = ["missing: a: is empty", "limit: b: is long", "limit: c: is long"]

    assert count_reasons(notes) == {"limit": 2, "missing": 1}
