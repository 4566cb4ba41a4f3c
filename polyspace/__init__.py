"""PolySpace: run video encoders once, translate one into the others, fuse, and prove it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyspace.inference.opening import load, load_model_auto

__all__ = ["load", "load_model_auto"]


def __getattr__(name: str) -> object:
    """Import what is offered here when it is first asked for: torch takes seconds (PEP 562)."""
    if name in __all__:
        from polyspace.inference import opening

        return getattr(opening, name)
    raise AttributeError(f"module 'polyspace' has no attribute {name!r}")
