"""Files that nobody should trust, each with what has to come of it.

An outcome is the frames that are right (see `videos.numbered`), or the reasons that are.
"""

import os
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av.stream import Disposition

from tests.support.videos import SAME_BYTES, edit, moving, numbered, pack, write_audio, write_video

FRAMES = 30
WANTED = 4
EVEN = (0, 10, 19, 29)
"""The frames that are wanted of `FRAMES`."""
PORT = 47_811
"""Where a server listens that nobody must ask."""

Outcome = tuple[int, ...] | str
"""Numbers of frames; or reasons, any of which will do, with "or" between them."""


@dataclass(frozen=True)
class Hostile:
    """A file in a data set's folder."""

    name: str
    what: str
    """In words, for the table in docs/extraction.md."""
    make: Callable[[Path], object]
    """Writes it, given where; the folder's parent is outside of the data set."""
    outcome: Outcome
    path: str = ""
    """What the manifest says; the name if nothing."""
    turns: int = 0
    """Quarters by which the pictures that come out are turned against those that went in."""

    @property
    def listed(self) -> str:
        """Give what the manifest says."""
        return self.path or self.name

    @property
    def said(self) -> str:
        """Give the outcome in words."""
        if isinstance(self.outcome, str):
            return " or ".join(f"`{reason}`" for reason in self.outcome.split(" or "))
        return f"exact: frames {', '.join(map(str, self.outcome))}"


def good(file: Path, *, codec: str = "libx264", options: dict[str, str] | None = None) -> Path:
    """Write a file with nothing wrong."""
    return write_video(file, numbered(FRAMES), codec=codec, options=options)


def _changed(file: Path, change: Callable[[bytes], bytes], codec: str = "libx264") -> None:
    moved = moving(FRAMES, right=5, down=3)
    write_video(file, moved, codec=codec, options=SAME_BYTES.get(codec))
    file.write_bytes(change(file.read_bytes()))


def _flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    for place in range(len(content) // 2, len(content) // 2 + 40):
        changed[place] ^= 0x55
    return bytes(changed)


def _halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _without_moov(content: bytes) -> bytes:
    return content.replace(b"moov", b"none")


def _playlist(line: str) -> Callable[[Path], object]:
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{line}\n#EXT-X-ENDLIST\n"
    return _beside_good(text)


def _chain(line: str) -> Callable[[Path], object]:
    return _beside_good(f"ffconcat version 1.0\nfile {line}\n")


def _beside_good(text: str) -> Callable[[Path], object]:
    """Write a text that leads to good videos, inside and outside of the folder."""

    def make(file: Path) -> None:
        good(file.parent / "good.mp4")
        good(file.parent.parent / "outside.mp4")
        file.write_text(text.replace("OUTSIDE", str(file.parent.parent / "outside.mp4")))

    return make


def _session(file: Path) -> None:
    lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0")
    media = (f"m=video {PORT} RTP/AVP 96", "a=rtpmap:96 H264/90000", "")
    file.write_text("\n".join(lines + media))


def _link(file: Path) -> None:
    file.symlink_to(good(file.parent.parent / "outside.mp4"))


def _link_by_link(file: Path) -> None:
    (file.parent / "inner.mp4").symlink_to(good(file.parent.parent / "outside.mp4"))
    file.symlink_to("inner.mp4")


def _circle(file: Path) -> None:
    file.symlink_to("other.mp4")
    (file.parent / "other.mp4").symlink_to(file.name)


def _folder_link(file: Path) -> None:
    outside = file.parent.parent.parent / "elsewhere"
    good(outside / file.name)
    file.parent.rmdir()
    file.parent.symlink_to(outside)


@cache
def _one_picture(width: int, height: int) -> bytes:
    """Give a PNG picture that is as large as it says, and black."""

    def part(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer, line = zlib.compressobj(1), bytes(1 + 3 * width)
    packed = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", packed) + part(b"IEND", b"")


def _pictures(file: Path, header: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    """Write PNG pictures of any sizes under a header that says another one."""
    with av.open(str(file), "w", format="mov") as container:
        stream = container.add_stream("png", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *header, "rgb24"
        for number, size in enumerate(sizes):
            packet = av.Packet(_one_picture(*size))
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            container.mux(packet)


def _very_long(file: Path) -> None:
    """Write 100,000 frames that hardly take any room, by telling one packet again and again."""
    still = numbered(1).repeat(2, axis=0)
    source = write_video(file.with_name("source.mp4"), still)
    with av.open(str(source)) as found, av.open(str(file), "w") as container:
        stream = container.add_stream_from_template(found.streams.video[0])
        first, second = (bytes(p) for p in found.demux(found.streams.video[0]) if p.size)
        for number in range(100_000):
            packet = av.Packet(second if number else first)
            packet.pts = packet.dts = number
            packet.time_base, packet.is_keyframe = Fraction(1, 25), not number
            packet.stream = stream
            container.mux(packet)
    source.unlink()


def _slow(file: Path) -> None:
    """Write two frames that are an hour apart."""
    write_video(file, numbered(2), stamps=[0, 3_600_000])


def _two_streams(file: Path) -> None:
    with av.open(str(file), "w") as container:
        streams = list[av.VideoStream]()
        for _ in range(2):
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            streams.append(stream)
        for stream, film in zip(streams, (numbered(FRAMES), numbered(FRAMES)[::-1]), strict=True):
            for pixels in film:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))


def _changing_size(file: Path) -> None:
    _pictures(file, (64, 48), [(64, 48), (64, 48), (128, 96), (64, 48)])


def _turned(file: Path) -> None:
    """Let an MP4 file's matrix say that the camera lay on its side."""
    content = bytearray(good(file).read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", content, place, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    file.write_bytes(content)


def _negative_times(file: Path) -> None:
    source = good(file.with_name("source.mp4"), options={"bf": "0"})
    with av.open(str(source)) as found, av.open(str(file), "w") as container:
        stream = container.add_stream_from_template(found.streams.video[0])
        for packet in found.demux(found.streams.video[0]):
            if packet.size:
                assert packet.pts is not None
                packet.pts = packet.dts = packet.pts - 5 * 12_800
                packet.stream = stream
                container.mux(packet)
    source.unlink()


def _uneven(file: Path) -> None:
    write_video(file, numbered(FRAMES), stamps=[40 * n + 7 * (n % 3) for n in range(FRAMES)])


def _edited(file: Path) -> None:
    write_video(file, numbered(FRAMES), options={"bf": "0", "g": "5"})
    edit(file, 10, 10)


def _packed(file: Path) -> None:
    source = write_video(
        file.with_name("source.avi"), numbered(FRAMES), codec="mpeg4", options={"bf": "1"}
    )
    pack(source, file)
    source.unlink()


def _cover_only(file: Path) -> None:
    """Write a sound file with a picture on its cover."""
    write_audio(file.with_name("sound.m4a"))
    with (
        av.open(str(file.with_name("sound.m4a"))) as found,
        av.open(str(file), "w", format="mp4") as container,
    ):
        stream = container.add_stream_from_template(found.streams.audio[0])
        cover = container.add_stream("png", rate=1)
        assert isinstance(cover, av.VideoStream)
        cover.width, cover.height, cover.pix_fmt = 8, 8, "rgb24"
        cover.disposition = Disposition.attached_pic
        for packet in found.demux(found.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
        picture = av.Packet(_one_picture(8, 8))
        picture.stream, picture.pts, picture.dts = cover, 0, 0
        container.mux(picture)


def _head_only(file: Path) -> None:
    """Write a container with a header and not one packet."""
    content = good(file.with_suffix(".avi"), codec="mpeg4").read_bytes()
    file.write_bytes(content[: content.index(b"movi") + 4])
    if file.suffix != ".avi":
        file.with_suffix(".avi").unlink()


CORPUS: tuple[Hostile, ...] = (
    Hostile("empty.mp4", "0 bytes", lambda f: f.touch(), "missing"),
    Hostile("text.mp4", "text", lambda f: f.write_text("no video " * 99), "format"),
    Hostile("noise.mp4", "noise", lambda f: f.write_bytes(os.urandom(20_000)), "format or damaged"),
    Hostile("zeros.avi", "zeros", lambda f: f.write_bytes(bytes(20_000)), "format"),
    Hostile("script.mp4", "a program", lambda f: f.write_text("#!/bin/sh\necho no\n"), "format"),
    Hostile("picture.mp4", "PNG picture", lambda f: f.write_bytes(_one_picture(8, 8)), "format"),
    Hostile("sound.mp4", "sound only", write_audio, "no-video"),
    Hostile("cover.mp4", "sound with a cover picture", _cover_only, "no-video"),
    Hostile("head.avi", "header without packets", _head_only, "no-video or truncated or format"),
    Hostile("tail.mp4", "head cut off", lambda f: _changed(f, lambda c: c[999:]), "format"),
    Hostile("half.mp4", "MP4 cut in half", lambda f: _changed(f, _halved), "format"),
    Hostile("moov.mp4", "index missing", lambda f: _changed(f, _without_moov),
            "format or no-video"),
    Hostile("half.avi", "AVI cut in half", lambda f: _changed(f, _halved, "mpeg4"),
            "truncated or damaged"),
    Hostile("half.mkv", "Matroska cut in half", lambda f: _changed(f, _halved),
            "truncated or damaged"),
    Hostile("flip.mp4", "bits flipped, H.264", lambda f: _changed(f, _flipped), "damaged"),
    Hostile("flip.avi", "bits flipped, MPEG-4", lambda f: _changed(f, _flipped, "mpeg4"),
            "damaged"),
    Hostile("even.mp4", "nothing wrong", good, EVEN),
    Hostile("vfr.mkv", "variable frame rate", _uneven, EVEN),
    Hostile("edit.mp4", "edit list: frames 10 to 19", _edited, (10, 13, 16, 19)),
    Hostile("negative.mkv", "negative times", _negative_times, EVEN),
    Hostile("turned.mp4", "rotation flag", _turned, EVEN, turns=1),
    Hostile("one.mp4", "1 frame", lambda f: write_video(f, numbered(1)), (0,)),
    Hostile(
        "b.avi", "B-frames in AVI", lambda f: good(f, options={"bf": "2"}), EVEN
    ),
    Hostile("packed.avi", "B-frames packed two to a packet", _packed, EVEN),
    Hostile("stream.ts", "MPEG-TS", good, EVEN),
    Hostile("raw.h264", "raw H.264", lambda f: good(f, codec="libx264"), "format"),
    Hostile("two.mkv", "two streams of pictures: the first", _two_streams, EVEN),
    Hostile("sizes.mov", "changes its size", _changing_size, "damaged"),
    Hostile("huge.mov", "header of 16000 x 16000, a picture of 8 x 8",
            lambda f: _pictures(f, (16000, 16000), [(8, 8)]), (0,)),
    Hostile("bomb.mov", "pictures of 16000 x 16000 in 2 MB",
            lambda f: _pictures(f, (16000, 16000), [(16000, 16000)] * 2), "limit or damaged"),
    Hostile("liar.mov", "header of 64 x 64, pictures of 12000 x 12000",
            lambda f: _pictures(f, (64, 64), [(12000, 12000)] * 2), "limit or damaged"),
    Hostile("long.mp4", "100,000 frames in 2 MB", _very_long, "limit"),
    Hostile("slow.mkv", "two frames an hour apart", _slow, "limit"),
    Hostile("list.mp4", "playlist of a video beside it", _playlist("good.mp4"), "format"),
    Hostile("up.mp4", "playlist with ../", _playlist("../outside.mp4"), "format"),
    Hostile("absolute.mp4", "playlist of an absolute path", _playlist("OUTSIDE"), "format"),
    Hostile("web.mp4", "playlist of an address",
            _playlist(f"http://127.0.0.1:{PORT}/a.ts"), "format"),
    Hostile("concat.mp4", "ffconcat of a video beside it", _chain("good.mp4"), "format"),
    Hostile("concat_up.mp4", "ffconcat with ../", _chain("../outside.mp4"), "format"),
    Hostile("concat_abs.mp4", "ffconcat of an absolute path", _chain("OUTSIDE"), "format"),
    Hostile("session.mp4", "session description (SDP)", _session, "format"),
    Hostile("address.mp4", "an address as text",
            lambda f: f.write_text(f"http://127.0.0.1:{PORT}/a.mp4"), "format"),
    Hostile("link.mp4", "link out of the folder", _link, "path"),
    Hostile("links.mp4", "link to a link out of the folder", _link_by_link, "path"),
    Hostile("circle.mp4", "links in a circle", _circle, "missing"),
    Hostile("inner/far.mp4", "folder that is a link out", _folder_link, "path"),
    Hostile("folder.mp4", "a folder", lambda f: f.mkdir(), "path"),
    Hostile("pipe.mp4", "a pipe that nobody writes to", lambda f: os.mkfifo(f), "path"),
    Hostile("device.mp4", "link to a device", lambda f: f.symlink_to("/dev/zero"), "path"),
    Hostile("up", "../ in the manifest", lambda f: good(f.parent.parent / "outside.mp4"), "path",
            "../outside.mp4"),
    Hostile("abs", "absolute path in the manifest", lambda f: None, "path", "/dev/zero"),
    Hostile("http", "address in the manifest", lambda f: None, "path",
            f"http://127.0.0.1:{PORT}/a.mp4"),
    Hostile("chain", "concat: in the manifest", lambda f: good(f.parent / "good.mp4"), "missing",
            "concat:good.mp4|good.mp4"),
    Hostile("sub", "subfile: in the manifest", lambda f: good(f.parent / "good.mp4"), "missing",
            "subfile,,start,0,end,99,,:good.mp4"),
    Hostile("nul", "control characters in the manifest", lambda f: None, "path", "a\0b.mp4"),
    Hostile("gone.mp4", "not there", lambda f: None, "missing"),
)  # fmt: skip


def build(root: Path) -> None:
    """Write all of them under a root, whose parent is outside of the data set."""
    for case in CORPUS:
        file = root / case.name
        file.parent.mkdir(parents=True, exist_ok=True)
        case.make(file)


def table() -> str:
    """Give what is expected of each as the table in docs/extraction.md."""
    lines = [f"| `{case.listed!r}` | {case.what} | {case.said} |" for case in CORPUS]
    return "\n".join(["| file | what it is | outcome |", "|---|---|---|", *lines])


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
