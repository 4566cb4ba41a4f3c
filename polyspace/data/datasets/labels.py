"""Names of classes: the official orders, which are shipped, and how a clip's class is looked up.

A table is a text file in ``tables/``: lines that begin with # say where it is from, each other line
is a name. Its bytes are checked whenever it is read, because a changed order would number every
class of every published head wrongly, and nothing else would notice.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from polyspace.errors import DatasetError, LabelError

CHECKSUMS: Mapping[str, str] = {
    "breakfast": "7271215bcd0e17e4c27253d3a84a93e3ecdbda7f0a83a317775f236e7d049694",
    "diving48": "aee2231e3ee86978ffc8cdcfef63b0670d21018ba1529ff01092cb2afe33383e",
    "hmdb51": "70a0e6eda110364b9f8ae18e5337d7e0d1bb14521f1fbf93ba16b74a2a68375a",
    "ssv2": "0a6b03be9dfd4a4ecf92ce2549df5d1dc6121e38cc74b3e7c0b62dec1fab1a40",
    "uav-human_train_v1": "4459b6fcb7f42ff3a26ad6a10df80ca364c7e0413d380553e1cf4733ef427649",
    "uav-human_train_v2": "ec908bca56cf2df6dfd5c52a7ef962924d4e9afc8cfe04accfb2b1795decca8b",
    "ucf101": "916ce13e36fc5ccf640e253c09e849404a8106b49c7480725e2db0c2db07bb4d",
}
"""The sha256 of every table. Those called like a data set are its classes in their order."""

EXAMPLES = 3
"""How many of the clips that something is wrong with a message names."""


def table(name: str) -> tuple[str, ...]:
    """Read a table that is shipped.

    Raises:
        DatasetError: It is not the one that was shipped.
    """
    content = files("polyspace.data.datasets").joinpath("tables", f"{name}.txt").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != CHECKSUMS[name]:
        raise DatasetError(
            f"the table {name}.txt inside the installed polyspace has the sha256 {found[:12]}…, "
            f"expected {CHECKSUMS[name][:12]}…: install polyspace again"
        )
    lines = content.decode().splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def official(dataset: str) -> tuple[str, ...] | None:
    """Give the official order of a data set's classes, or None where no table is shipped."""
    return table(dataset) if dataset in CHECKSUMS else None


def numbers(
    dataset: str, named: Sequence[tuple[str, str]], class_names: Sequence[str]
) -> list[int]:
    """Look up the class of every clip.

    Args:
        dataset: Name of the data set, for the message.
        named: Each clip, as a message would call it, and its class's name.
        class_names: The classes in their order.

    Raises:
        LabelError: A name is none of the classes. Such clips are neither dropped nor numbered -1:
            the figures would be about fewer clips than they say.
    """
    places = {name: place for place, name in enumerate(class_names)}
    unknown = [(clip, name) for clip, name in named if name not in places]
    if unknown:
        names = sorted({name for _, name in unknown})
        raise LabelError(
            f"{len(unknown)} of {len(named)} clips of {dataset} have one of {len(names)} labels "
            f"that are none of its {len(class_names)} classes, first "
            f"{quoted(f'{name} ({clip})' for clip, name in unknown)}: "
            f"expected names such as {quoted(class_names)}"
        )
    return [places[name] for _, name in named]


def quoted(names: Iterable[str]) -> str:
    """Name the first few of many."""
    first = list(names)[: EXAMPLES + 1]
    more = ", …" if len(first) > EXAMPLES else ""
    return ", ".join(repr(name) for name in first[:EXAMPLES]) + more
