"""Which way up a picture is shown: cameras store it as the sensor lies, and how to turn it."""

import struct
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import Float32, UInt8
from numpy import ndarray

from polyspace.errors import VideoError


@dataclass(frozen=True)
class Orientation:
    """How a picture is turned before it is shown: first transposed, then mirrored."""

    transposed: bool = False
    """Whether rows and columns are exchanged."""
    mirrored: bool = False
    """Whether left and right then are."""
    upended: bool = False
    """Whether top and bottom then are."""

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """Read a frame's display matrix.

        Raises:
            VideoError: It turns by something else than quarters.

        Source: ISO/IEC 14496-12, 8.2.2: (x, y) is shown at (a x + c y, b x + d y).
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return UPRIGHT
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
        if a and d and not b and not c:
            return cls(mirrored=a < 0, upended=d < 0)
        if b and c and not a and not d:
            return cls(transposed=True, mirrored=c < 0, upended=b < 0)
        raise VideoError("is shown at a slant: expected turns by quarters", "format")

    def picture(
        self, pixels: UInt8[ndarray, "height width 3"]
    ) -> UInt8[ndarray, "shown_height shown_width 3"]:
        """Turn a picture."""
        return self._turned(pixels.transpose(1, 0, 2) if self.transposed else pixels, (0, 1))

    def motion(
        self, field: Float32[ndarray, "*look 4 row column"]
    ) -> Float32[ndarray, "*look 4 shown_row shown_column"]:
        """Turn a motion field, and the directions in it.

        Its cells remain those of the stored picture: where that ends in parts of cells, the shown
        one may begin with them.
        """
        if self == UPRIGHT:
            return field
        if self.transposed:
            field = field.swapaxes(-1, -2)[..., [1, 0, 2, 3], :, :]
        signs = np.array([-1 if self.mirrored else 1, -1 if self.upended else 1, 1, 1], np.float32)
        return self._turned(field * signs[:, None, None], (-2, -1))

    def _turned(self, values: ndarray, axes: tuple[int, int]) -> ndarray:
        rows, columns = axes
        values = np.flip(values, rows) if self.upended else values
        return np.flip(values, columns) if self.mirrored else values


UPRIGHT = Orientation()
