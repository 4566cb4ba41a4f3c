"""Pickled clips: plain values and numpy arrays, in the words of numpy's own pickles.

Each name that those use has a stand-in here, so that no code of numpy's sees a value before its
type, its shape and its size were checked.
"""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from polyspace.errors import StoreError
from polyspace.store.legacy.machine import EXPECTED, Machine, StandIn

Plain = str | int | float | bool | bytes | None
"""What a record may hold beside arrays."""

TYPES = re.compile(r"[iu][1248]|f[248]|b1|U\d{1,6}")
"""numpy's codes of the types that an array may have; objects are none of them."""


def load_records(path: Path) -> list[dict[str, Plain | ndarray]]:
    """Read a pickled list of dicts that hold plain values and numpy arrays.

    Raises:
        StoreError: It asks for anything else, or it holds something else; nothing was executed.
        Exception: It is damaged, or no pickle; altered bytes raise whatever they like.
    """
    loaded = Machine(STAND_INS).run(path)
    if not isinstance(loaded, list):
        raise _unexpected(f"a {type(loaded).__name__}")
    return [_record(entry) for entry in loaded]


def _record(entry: object) -> dict[str, Plain | ndarray]:
    if not isinstance(entry, dict):
        raise _unexpected(f"a list of {type(entry).__name__}")
    return {key: _value(key, value) for key, value in entry.items()}


def _value(key: str, value: object) -> Plain | ndarray:
    if isinstance(value, _Array | _Buffer | _Scalar):
        return value.resolve()
    if not isinstance(value, Plain):
        raise _unexpected(f"a {type(value).__name__} under {key!r} of a clip")
    return value


def _unexpected(found: str) -> StoreError:
    return StoreError(
        f"holds {found}, expected a list of dicts, one a clip, of numpy arrays, text and numbers: "
        f"give the folder or index that featurize wrote"
    )


class _Type(StandIn):
    """A numpy dtype: its code, and the byte order in its state."""

    def resolve(self) -> np.dtype[Any]:
        code = self.arguments[0]
        if not isinstance(code, str):
            raise ValueError("a numpy type without a code")
        if not TYPES.fullmatch(code):
            raise StoreError(f"holds an array of numpy type {code!r}, {EXPECTED}")
        return np.dtype(code).newbyteorder(self.state[1])


class _Bytes(StandIn):
    """Bytes as protocols before 3 write them: the text that encodes to them, and the encoding."""

    def resolve(self) -> bytes:
        text, encoding = self.arguments
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("bytes that are not written as latin1")
        return text.encode("latin1")


class _Scalar(StandIn):
    """A numpy scalar: its type and its bytes."""

    def resolve(self) -> Plain:
        kind, raw = self.arguments
        return _array(raw, kind, (), "C").item()


class _Array(StandIn):
    """An array as numpy writes it: made empty, and filled by its state."""

    def resolve(self) -> Shaped[ndarray, "..."]:
        _, shape, kind, is_fortran, raw = self.state
        return _array(raw, kind, shape, "F" if is_fortran else "C")


class _Buffer(StandIn):
    """An array as numpy writes it since protocol 5: around its bytes."""

    def resolve(self) -> Shaped[ndarray, "..."]:
        raw, kind, shape, order = self.arguments
        return _array(raw, kind, shape, order)


def _modules(name: str, stand_in: type[StandIn]) -> dict[str, type[StandIn]]:
    """Give a stand-in for a name in both places where versions of numpy have it."""
    return {f"numpy.core.{name}": stand_in, f"numpy._core.{name}": stand_in}


STAND_INS: Mapping[str, type[StandIn]] = {
    "numpy.dtype": _Type,
    "numpy.ndarray": StandIn,
    "_codecs.encode": _Bytes,
    **_modules("multiarray._reconstruct", _Array),
    **_modules("multiarray.scalar", _Scalar),
    **_modules("numeric._frombuffer", _Buffer),
}


def _array(raw: object, kind: object, shape: object, order: object) -> Shaped[ndarray, "..."]:
    """Make an array of bytes that are exactly as many as it needs."""
    if not isinstance(kind, _Type) or not isinstance(shape, tuple) or order not in ("C", "F"):
        raise ValueError("an array without a type, a shape or an order")
    dtype = kind.resolve()
    content = raw.resolve() if isinstance(raw, _Bytes) else raw
    if not isinstance(content, bytes | bytearray):
        raise ValueError(f"an array's values are a {type(content).__name__}")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("an array whose shape is no shape")
    if prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes for shape {shape} of {dtype}")
    return np.frombuffer(content, dtype).reshape(shape, order=order)
