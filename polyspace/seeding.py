"""One seed, and an independent generator for every purpose that draws from it."""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Give the 63-bit seed that belongs to one purpose.

    Adding a purpose changes no other one's draws, which a shared generator could not promise.

    Args:
        seed: The run's one seed.
        purpose: What is drawn, as a path: ``derive(0, "shuffle", epoch)``.
    """
    name = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Give a fresh CPU generator for one purpose (see `derive`)."""
    return torch.Generator().manual_seed(derive(seed, *purpose))
