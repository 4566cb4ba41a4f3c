"""H.264 numbers its reference frames: where a number is left out, a frame was lost.

A decoder paints over the loss and says nothing, so the numbers are read here: from the parameter
set and from the first slice of each packet.

Source: ITU-T H.264, 7.3.1 (NAL units), 7.3.2.1.1 (sequence parameter set), 7.3.3 (slice header),
7.4.3 (frame_num); ISO/IEC 14496-15, 5.3.3.1 (avcC).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SLICE, IDR_SLICE, PARAMETERS = 1, 5, 7
"""NAL unit types."""
SLICES = frozenset({SLICE, IDR_SLICE})
WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose parameter set holds more."""
INTRA = 2
"""Slice type, modulo 5."""
HEADER_BYTES = 32
"""A slice's header, as far as its frame's number, is shorter."""


@dataclass(frozen=True)
class Numbering:
    """How a stream numbers its frames."""

    bits: int
    colour_planes: bool
    """Whether slices say which plane they belong to, ahead of the number."""
    gaps_allowed: bool
    """Whether numbers may be left out on purpose."""


def first_loss(extradata: bytes, packets: Iterable[bytes]) -> int | None:
    """Find the first packet ahead of which a reference frame is missing.

    Args:
        extradata: The codec's parameters, as the container holds them.
        packets: In the order of decoding.
    """
    prefix = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" else 0
    numbering = _numbering(extradata, prefix)
    if numbering is None or numbering.gaps_allowed:
        return None
    modulus, reference = 1 << numbering.bits, None
    for place, packet in enumerate(packets):
        unit = next((u for u in _units(packet, prefix) if _kind(u) in SLICES), None)
        if unit is None:
            continue
        intra, number = _slice(unit, numbering)
        if _kind(unit) == IDR_SLICE:
            reference = 0
        following = (reference, (reference + 1) % modulus) if reference is not None else ()
        # What refers to nothing misses nothing: recordings are cut and joined there.
        if following and not intra and number not in following:
            return place
        if unit[0] & 0x60:
            reference = number
    return None


def _kind(unit: bytes) -> int:
    return unit[0] & 0x1F


def _units(data: bytes, prefix: int) -> Iterator[bytes]:
    """Take NAL units apart: by their lengths where those are stored, else by start codes.

    Args:
        data: Of a packet, or of parameters without lengths.
        prefix: Bytes of a length; 0 for start codes.
    """
    if not prefix:
        yield from (unit for unit in data.split(b"\x00\x00\x01")[1:] if unit)
        return
    start = 0
    while start + prefix < len(data):
        end = start + prefix + int.from_bytes(data[start : start + prefix], "big")
        yield data[start + prefix : end]
        start = end


def _numbering(extradata: bytes, prefix: int) -> Numbering | None:
    """Read the sequence parameter set."""
    # After avcC's six bytes stands the first set with a length of two bytes.
    units = _units(extradata[6:], 2) if prefix else _units(extradata, 0)
    unit = next((unit for unit in units if _kind(unit) == PARAMETERS), None)
    if unit is None:
        return None
    bits = _Bits(unit[1:])
    profile, planes = bits.take(24) >> 16, False
    bits.golomb()
    if profile in WITH_CHROMA_FORMAT:
        planes = _skip_chroma_format(bits)
    width = bits.golomb() + 4
    _skip_picture_order(bits)
    bits.golomb()
    return Numbering(width, planes, bool(bits.take(1)))


def _skip_chroma_format(bits: "_Bits") -> bool:
    """Read past chroma format, bit depths and scaling lists; say whether planes are separate."""
    chroma = bits.golomb()
    planes = chroma == 3 and bool(bits.take(1))
    for _ in ("luma depth", "chroma depth"):
        bits.golomb()
    bits.take(1)
    if bits.take(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return planes


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


def _skip_picture_order(bits: "_Bits") -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        for _ in ("non-reference", "bottom field"):
            bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()


def _slice(unit: bytes, numbering: Numbering) -> tuple[bool, int]:
    """Read a slice's header: whether it refers to nothing, and its frame's number."""
    bits = _Bits(unit[1:HEADER_BYTES])
    bits.golomb()
    intra = bits.golomb() % 5 == INTRA
    bits.golomb()
    if numbering.colour_planes:
        bits.take(2)
    return intra, bits.take(numbering.bits)


class _Bits:
    """Bits of a NAL unit, the first one first."""

    def __init__(self, unit: bytes) -> None:
        # A third byte of 3 keeps two zeros from looking like a start code.
        payload = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._text = "".join(f"{byte:08b}" for byte in payload)
        self._at = 0

    def take(self, count: int) -> int:
        """Read an unsigned number of so many bits."""
        self._at += count
        return int(self._text[self._at - count : self._at], 2)

    def golomb(self) -> int:
        """Read an unsigned Exp-Golomb number."""
        zeros = self._text.index("1", self._at) - self._at
        self._at += zeros
        return self.take(zeros + 1) - 1

    def signed_golomb(self) -> int:
        """Read a signed one."""
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)
