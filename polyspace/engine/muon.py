"""Muon for matrices and AdamW for everything else, as one optimizer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch


class MuonBesideAdamW(torch.optim.Optimizer):
    """torch's Muon, whose steps of matrices are orthogonal, and its AdamW for other shapes.

    Muon's rate is scaled so that its steps are as large as AdamW's: one rate serves both.

    Source: Jordan et al., Muon (kellerjordan.github.io/posts/muon); Liu et al. (arXiv 2502.16982),
    section 2.2, for the scale.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, lr: float) -> None:
        """Share the groups out by the shape of what they hold: a group holds either.

        Args:
            groups: As torch's optimizers take them.
            lr: The learning rate.
        """
        flat = [split for group in groups for split in _by_shape(group)]
        super().__init__(flat, {"lr": lr})
        self._inner: dict[str, torch.optim.Optimizer] = {}
        if matrices := [group for group in self.param_groups if _is_for_muon(group)]:
            self._inner["muon"] = torch.optim.Muon(matrices, lr=lr, adjust_lr_fn="match_rms_adamw")
        if others := [group for group in self.param_groups if not _is_for_muon(group)]:
            self._inner["adamw"] = torch.optim.AdamW(others, lr=lr, fused=True)
        self._join()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Descend once."""
        for inner in self._inner.values():
            inner.step()
        return closure() if closure else None

    def state_dict(self) -> dict[str, Any]:
        """Give the states of both."""
        return {name: inner.state_dict() for name, inner in self._inner.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the states of both."""
        for name, inner in self._inner.items():
            inner.load_state_dict(state_dict[name])
        self._join()

    def _join(self) -> None:
        """Have the groups of both as this one's: whoever sets a rate here sets it there."""
        self.param_groups = [g for inner in self._inner.values() for g in inner.param_groups]


def _by_shape(group: dict[str, Any]) -> list[dict[str, Any]]:
    every = group["params"]
    parts = ([p for p in every if p.ndim == 2], [p for p in every if p.ndim != 2])
    return [{**group, "params": part} for part in parts if part]


def _is_for_muon(group: dict[str, Any]) -> bool:
    return group["params"][0].ndim == 2
