"""Which classes of two lists are the same, going by their names."""

from collections import Counter
from collections.abc import Mapping, Sequence

from polyspace.models.backbones.class_names import plain


def match(theirs: Sequence[str], ours: Sequence[str]) -> Mapping[int, int]:
    """Give, by the place of a class in `ours`, its place in `theirs`.

    A name that stands twice in one of the lists, or that nothing is left of, is left out.
    """
    own, other = _places(ours), _places(theirs)
    return {place: other[name] for name, place in own.items() if name in other}


def _places(names: Sequence[str]) -> dict[str, int]:
    said = [plain(name) for name in names]
    counts = Counter(said)
    return {name: place for place, name in enumerate(said) if name and counts[name] == 1}
