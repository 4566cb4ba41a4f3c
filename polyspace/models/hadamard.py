"""Hadamard matrices: entries of 1 and -1, rows at right angles; built, not looked up."""

import torch
from jaxtyping import Float64
from torch import Tensor

from polyspace.errors import ConfigError

_DOUBLE = torch.tensor([[1, 1], [1, -1]], dtype=torch.float64)


def hadamard(order: int) -> Float64[Tensor, "order order"]:
    """Build a matrix with ``H @ H.T = order * I``.

    Paley's constructions give the orders q + 1 and 2 (q + 1) for certain primes q, Sylvester's
    doubles any: together 2, 4, 8, …, and 768, 1024, 1280 and 1408, the widths of video encoders.

    Raises:
        ConfigError: None of these gives that order.

    Source: Sylvester (1867); Paley, On Orthogonal Matrices (1933), lemmas 2 and 4.
    """
    base = base_of(order)
    matrix = _paley(base)
    while len(matrix) < order:
        matrix = torch.kron(_DOUBLE, matrix)
    return matrix


def base_of(order: int) -> int:
    """Give the largest order that is doubled until it is `order`.

    Raises:
        ConfigError: There is none.
    """
    base = order
    while not (base == 1 or _first_kind(base) or _second_kind(base)):
        if base % 2:
            raise ConfigError(
                f"no Hadamard matrix of order {order} can be built here, which phi_s needs for "
                f"{order} dimensions: use --normalizer per_dimension, isotropic or pca_whitening"
            )
        base //= 2
    return base


def _first_kind(order: int) -> bool:
    return order % 4 == 0 and _is_prime(order - 1)


def _second_kind(order: int) -> bool:
    return order % 4 == 0 and (order // 2) % 4 == 2 and _is_prime(order // 2 - 1)


def _paley(order: int) -> Float64[Tensor, "order order"]:
    """Build an order of either kind, or 1."""
    if order == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    if _first_kind(order):
        return torch.eye(order, dtype=torch.float64) + _bordered(order - 1, corner=-1)
    half, mirror = order // 2, torch.tensor([[1, -1], [-1, -1]], dtype=torch.float64)
    doubled = torch.kron(_bordered(half - 1, corner=1), _DOUBLE)
    return doubled + torch.kron(torch.eye(half, dtype=torch.float64), mirror)


def _bordered(prime: int, *, corner: int) -> Float64[Tensor, "order order"]:
    """Say of all differences modulo a prime whether they are squares, beside a border of ones."""
    square = torch.full((prime,), -1.0, dtype=torch.float64)
    square[torch.arange(1, prime).square() % prime] = 1
    square[0] = 0
    steps = torch.arange(prime)
    matrix = torch.ones(prime + 1, prime + 1, dtype=torch.float64)
    matrix[0, 0] = 0
    matrix[1:, 0] = corner
    matrix[1:, 1:] = square[(steps[:, None] - steps) % prime]
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
