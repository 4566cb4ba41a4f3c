"""A data set looked over before anything is made of it: what would make its figures wrong."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from polyspace.data.clips import Clip, Manifest
from polyspace.data.datasets import labels, registry
from polyspace.data.duplicates import Files, look_over
from polyspace.errors import DatasetError
from polyspace.progress import Progress

Kind = Literal[
    "unreadable",
    "missing",
    "empty",
    "identical across splits",
    "identical across classes",
    "identical",
    "group",
    "id",
    "class order",
    "folder",
    "no clips",
]

CROSSINGS: tuple[tuple[Kind, str], ...] = (
    ("identical across splits", "identical files in two splits"),
    ("identical across classes", "identical files with two labels"),
    ("identical", "identical files that count more than once"),
)
"""What a set of files with the same bytes may cross, worst first."""


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed."""

    kind: Kind
    words: str
    """What was found, in the plural."""
    examples: tuple[str, ...]
    """Every case."""
    wrong: bool
    """Whether figures on this data set are wrong because of it."""

    def __str__(self) -> str:
        """Say it in one line, with how many there are and the first of them."""
        first, more = self.examples[: labels.EXAMPLES], len(self.examples) > labels.EXAMPLES
        named = "; ".join(first) + ("; …" if more else "")
        return f"{'wrong' if self.wrong else 'note'}: {self.words}: {len(self.examples)} ({named})"


@dataclass(frozen=True)
class Checked:
    """What came of looking a data set over."""

    dataset: str
    root: Path
    clips: dict[str, int]
    """How many clips each split lists."""
    classes: int
    files: int
    hashed: int
    """Files that were read whole, because another one has their size."""
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        """Whether something was found that makes figures wrong."""
        return any(finding.wrong for finding in self.findings)

    def __str__(self) -> str:
        """Say in one line what was looked at, and what came of it."""
        listed = ", ".join(f"{split} {count}" for split, count in self.clips.items())
        count = sum(finding.wrong for finding in self.findings)
        return (
            f"{self.dataset} under {self.root}: {self.classes} classes, clips in {listed}; "
            f"{self.files} files looked at, {self.hashed} of equal size compared; labels, groups "
            f"and ids compared between splits: {f'{count} wrong' if count else 'nothing wrong'}"
        )


Way = Mapping[str, Manifest]
"""The official splits of one way of splitting by their names, such as train01 and test01."""


def check(dataset: str, root: Path) -> Generator[Progress, None, Checked]:
    """Read every official split of a data set, and look for what would make figures wrong.

    Args:
        dataset: One of the registry's names.
        root: Its folder.

    Raises:
        UnknownNameError: There is no such data set.
        DatasetError: The folder is missing, or not one split can be read.
    """
    clips, ways, findings = yield from _read(dataset, root)
    manifests = [manifest for way in ways for manifest in way.values()]
    paths = {clip.path for manifest in manifests for clip in manifest.clips}
    files = yield from look_over(root, paths)
    class_names = manifests[0].class_names
    findings += [
        *_files(files),
        *_identical(ways, files),
        *_shared(ways, "group", lambda clip: clip.group),
        *_shared(ways, "id", lambda clip: clip.id),
        *_class_order(dataset, manifests),
        *_folders(manifests),
        *_without_clips(ways),
    ]
    return Checked(
        dataset, root, clips, len(class_names), len(paths), files.hashed, tuple(findings)
    )


def _read(
    dataset: str, root: Path
) -> Generator[Progress, None, tuple[dict[str, int], list[Way], list[Finding]]]:
    """Read the splits; one that can't be read is a finding, unless none can."""
    named = registry.ways(dataset, root)
    total, clips, ways = sum(map(len, named)), dict[str, int](), list[Way]()
    errors: dict[str, DatasetError] = {}
    for splits in named:
        way: dict[str, Manifest] = {}
        for split in splits:
            yield Progress(len(clips) + len(errors), total, f"reading {split}")
            try:
                way[split] = registry.read(dataset, root, split)
                clips[split] = len(way[split].clips)
            except DatasetError as error:
                errors[split] = error
        ways.append(way)
    if not clips:
        raise next(iter(errors.values()))
    unreadable = tuple(f"{split} ({error})" for split, error in errors.items())
    return clips, ways, list(_if_any("unreadable", "splits that can't be read", unreadable))


def _if_any(
    kind: Kind, words: str, examples: Sequence[str], *, wrong: bool = True
) -> Iterator[Finding]:
    if examples:
        yield Finding(kind, words, tuple(examples), wrong)


def _files(files: Files) -> Iterator[Finding]:
    yield from _if_any("missing", "listed files that are missing or can't be read", files.missing)
    yield from _if_any("empty", "listed files that are empty", files.empty)


def _identical(ways: Sequence[Way], files: Files) -> Iterator[Finding]:
    """Sort sets of identical files by what they cross; a file listed twice is such a set."""
    twins = {path for same in files.twins for path in same}
    across: dict[Kind, dict[str, None]] = {kind: {} for kind, _ in CROSSINGS}
    for way in ways:
        owners: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for split, manifest in way.items():
            for clip in manifest.clips:
                owners[clip.path].append((split, clip.label))
        alone = ((path,) for path in owners if path not in twins)
        for same in (*files.twins, *alone):
            listed = [owner for path in same for owner in owners.get(path, ())]
            if len(listed) > 1:
                across[_crossing(listed)][" = ".join(same)] = None
    for kind, words in CROSSINGS:
        yield from _if_any(kind, words, tuple(across[kind]), wrong=kind != "identical")


def _crossing(listed: Sequence[tuple[str, int]]) -> Kind:
    """Say what a set of identical clips crosses, each with its split and its label."""
    if len({split for split, _ in listed}) > 1:
        return "identical across splits"
    return "identical across classes" if len({label for _, label in listed}) > 1 else "identical"


def _shared(
    ways: Sequence[Way], kind: Literal["group", "id"], of: Callable[[Clip], str]
) -> Iterator[Finding]:
    """Find groups, or ids, that are in more than one split of a way."""
    shared: dict[str, None] = {}
    for way in ways:
        splits: dict[str, set[str]] = defaultdict(set)
        for split, manifest in way.items():
            for clip in manifest.clips:
                splits[of(clip)].add(split)
        shared.update(dict.fromkeys(sorted(name for name, held in splits.items() if len(held) > 1)))
    yield from _if_any(kind, f"{kind}s in two splits", tuple(shared))


def _class_order(dataset: str, manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Compare the classes with the official ones, or else the splits' with one another."""
    expected = labels.official(dataset) or manifests[0].class_names
    found = {manifest.class_names for manifest in manifests} - {expected}
    cases = [
        f"{place} is {_at(names, place)}, not {_at(expected, place)}"
        for names in sorted(found)
        for place in range(max(len(names), len(expected)))
        if _at(names, place) != _at(expected, place)
    ]
    yield from _if_any("class order", "classes whose numbers are not the official ones", cases)


def _at(names: Sequence[str], place: int) -> str:
    return repr(names[place]) if place < len(names) else "none"


def _folders(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Find clips in a folder that is called like another class than theirs."""
    cases: dict[str, None] = {}
    for manifest in manifests:
        places = {_folded(n): place for place, n in enumerate(manifest.class_names)}
        for clip in manifest.clips:
            said = [
                places[_folded(part)]
                for part in PurePosixPath(clip.path).parts[:-1]
                if _folded(part) in places and not part.isdecimal()
            ]
            if said and clip.label not in said:
                cases[f"{clip.path} labelled {manifest.class_names[clip.label]!r}"] = None
    yield from _if_any("folder", "clips in the folder of another class", tuple(cases))


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _without_clips(ways: Sequence[Way]) -> Iterator[Finding]:
    """Find classes that a split lacks; what isn't trained on but tested can't be learnt."""
    unlearnt: dict[str, None] = {}
    unseen: dict[str, None] = {}
    for way in ways:
        held = {split: {clip.label for clip in manifest.clips} for split, manifest in way.items()}
        anywhere = set[int]().union(*held.values())
        for split, manifest in way.items():
            for place, name in enumerate(manifest.class_names):
                if place not in held[split]:
                    wrong = manifest.split == "train" and place in anywhere
                    (unlearnt if wrong else unseen)[f"{name} in {split}"] = None
    yield from _if_any("no clips", "classes tested and not trained on", tuple(unlearnt))
    yield from _if_any("no clips", "classes without clips", tuple(unseen), wrong=False)
