"""One stored clip, for a look at it in a notebook."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True, eq=False)
class StoredClip:
    """Everything that a store holds of one clip; prints its shapes rather than its values."""

    id: str
    group: str
    label: int
    class_name: str
    tokens: Mapping[str, Shaped[Tensor, "view time space dim"]]
    """By backbone, in the stored type; only of backbones that have seen the clip."""
    summary: Mapping[str, Float[Tensor, "view dim"]]
    seconds: Mapping[str, Float[Tensor, "view time 2"]]
    scale: Mapping[str, Float[Tensor, "view dim"]]
    """What the stored tokens are multiplied by, where they are of the types scaled and int8."""
    quarantined: Mapping[str, str]
    """Backbones that were denied the clip, and why."""

    def __repr__(self) -> str:
        lines = [f"clip {self.id!r} of group {self.group!r}: {self.class_name} ({self.label})"]
        for name, tokens in self.tokens.items():
            dtype = str(tokens.dtype).removeprefix("torch.")
            lines.append(f"  {name}: tokens {list(tokens.shape)} {dtype}, {tokens.nbytes} bytes")
        lines += [f"  {name}: quarantined, {why}" for name, why in self.quarantined.items()]
        return "\n".join(lines)
