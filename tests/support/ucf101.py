"""A small folder in the layout of UCF101, with real videos."""

from pathlib import Path

from tests.support.videos import moving, write_video

WAYS = ((2, 0), (-2, 0), (0, 2), (0, -2), (2, 2), (-2, -2))
"""How the texture of each class moves."""


def make_ucf101(root: Path, classes: int = 2, groups: int = 4, clips: int = 2) -> Path:
    """Write MPEG-4 files and all three pairs of lists; give the root.

    The first quarter of the groups is tested on under the first pair of lists, the second quarter
    under the second, and so on. What tells the classes apart is the way the picture moves.

    Args:
        root: Where to.
        classes: How many, six at most: ClassA, ClassB, …
        groups: Source videos of each class.
        clips: Clips of each source video.
    """
    names = [f"Class{chr(ord('A') + number)}" for number in range(classes)]
    for label, name in enumerate(names):
        for group in range(1, groups + 1):
            for clip in range(1, clips + 1):
                right, down = WAYS[label]
                seed = 100 * label + 10 * group + clip
                frames = moving(12, right=right, down=down, seed=seed)
                write_video(root / _entry(name, group, clip), frames, codec="mpeg4")
    _write_lists(root / "ucfTrainTestlist", names, groups, clips)
    return root


def _entry(name: str, group: int, clip: int) -> str:
    return f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"


def _write_lists(folder: Path, names: list[str], groups: int, clips: int) -> None:
    """Write the lists with the line ends and the numbers from 1 that the real ones have."""
    folder.mkdir(parents=True)
    _write(folder / "classInd.txt", [f"{n} {name}" for n, name in enumerate(names, start=1)])
    quarter = max(1, groups // 4)
    for number in (1, 2, 3):
        tested = range(1 + (number - 1) * quarter, 1 + number * quarter)
        train, test = [], []
        for label, name in enumerate(names, start=1):
            for group in range(1, groups + 1):
                entries = [_entry(name, group, clip) for clip in range(1, clips + 1)]
                if group in tested:
                    test += entries
                else:
                    train += [f"{entry} {label}" for entry in entries]
        _write(folder / f"trainlist{number:02d}.txt", train)
        _write(folder / f"testlist{number:02d}.txt", test)


def _write(file: Path, lines: list[str]) -> None:
    file.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
