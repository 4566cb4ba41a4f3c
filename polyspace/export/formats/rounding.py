"""What a library's own rounding made of a weight, told from the steps that it stored."""

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray

from polyspace.export.stored import StoredTensor, TensorKind


def rounded(
    name: str,
    kind: TensorKind,
    exact: Float[ndarray, "*shape"],
    steps: Integer[ndarray, "*shape"],
    scale: Float[ndarray, "..."],
) -> StoredTensor:
    """Describe a weight that was stored as steps times scales.

    Args:
        name: Of the weight.
        kind: What it is.
        exact: Its values before.
        steps: What stands in the file.
        scale: What the steps are multiplied by, of a shape that lies over theirs.
    """
    wide = exact.astype(np.float64)
    error = steps * scale.astype(np.float64) - wide
    most = np.iinfo(steps.dtype).max
    power = float(np.square(wide).mean()) if wide.size else 0.0
    return StoredTensor(
        name=name,
        kind=kind,
        dtype=str(steps.dtype),
        count=steps.size,
        largest=largest(wide),
        worst_relative_error=float((np.abs(error) / (most * scale)).max()) if wide.size else 0.0,
        rms_error=float(np.sqrt(np.square(error).mean() / power)) if power else 0.0,
    )


def largest(values: ndarray) -> float:
    """Give the largest magnitude; 0 of nothing."""
    return float(np.abs(values).max()) if values.size else 0.0
