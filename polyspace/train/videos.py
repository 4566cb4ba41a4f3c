"""The files that stored clips come from, and how the store says it looked at them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from polyspace.data import asking
from polyspace.data.clips import Clip, DecodedClip, Request
from polyspace.data.datasets import registry
from polyspace.data.prefetch import decode_all
from polyspace.data.views import Viewing
from polyspace.errors import DatasetError, VideoError
from polyspace.models.backbones.protocol import InputSpec
from polyspace.train.sources import StoredClips


@dataclass(frozen=True, eq=False)
class Videos:
    """A folder of videos beside the features that were made of them."""

    root: Path
    clips: Mapping[str, Clip]
    """By id."""
    viewing: Viewing
    """How the features' clips were looked at."""
    allow_damaged: bool

    def request(self, name: str, wanted: Iterable[InputSpec]) -> Request:
        """Ask for all that some backbones want of a clip, as the extraction did.

        Args:
            name: The clip's id.
            wanted: What the backbones are fed.

        Raises:
            VideoError: The data set lists no such clip.
        """
        return asking.ask(
            name,
            self._clip(name).path,
            wanted,
            viewing=self.viewing,
            allow_damaged=self.allow_damaged,
        )

    def decode(self, name: str, wanted: Iterable[InputSpec]) -> DecodedClip:
        """Decode a clip in a process that it can't leave and may not fill.

        Raises:
            VideoError: It isn't listed, or can't be decoded.
        """
        request = self.request(name, wanted)
        [decoded] = decode_all(self.root, [request], processes=0, ahead=0)
        if isinstance(decoded, VideoError):
            raise decoded
        return decoded

    def _clip(self, name: str) -> Clip:
        if name not in self.clips:
            words = f"{name}: the data set under {self.root} lists no such clip"
            raise VideoError(words, "missing")
        return self.clips[name]


def find(clips: StoredClips, root: Path | None) -> Videos:
    """Find the videos of a store's clips; none of them is opened.

    Args:
        clips: The stored clips.
        root: Folder of the data set.

    Raises:
        DatasetError: No folder was given, or it is not laid out as the data set should be.
        UnknownNameError: The store is of a data set that this version doesn't know.
        ConfigError: The store doesn't say how the clips were looked at.
    """
    if root is None:
        raise DatasetError("no folder of the videos was given: name it with --root")
    protocol = clips.store.protocol
    manifest = registry.read(clips.dataset, root, clips.split)
    return Videos(
        root=root,
        clips={clip.id: clip for clip in manifest.clips},
        viewing=Viewing.of_record(protocol),
        allow_damaged=protocol.get("damaged_frames") == "allowed",
    )
