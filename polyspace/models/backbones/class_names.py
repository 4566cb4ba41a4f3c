"""Names of classes as different places spell them, brought to one spelling."""

import hashlib
from collections.abc import Iterable


def plain(name: str) -> str:
    """Reduce a class's name to what spellings of it share: small letters and digits, and no more.

    "ApplyEyeMakeup", "apply_eye_makeup" and "apply eye makeup" become one, and so do templates with
    and without their brackets. Nothing is said of synonyms, word order or endings: "Archery" is
    "archery", and "HorseRiding" isn't "riding or walking with horse".
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def digest(names: Iterable[str]) -> str:
    """Give the sha256 of a list of classes, whatever their order and spelling; hexadecimal."""
    return hashlib.sha256("\n".join(sorted(map(plain, names))).encode()).hexdigest()
