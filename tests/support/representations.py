"""Comparisons of spaces straight from their papers, with kernels of clips times clips in memory."""

import numpy as np


def related(clips, dims, other_dims, *, shared=4, noise=1.0, seed=0):
    """Make two spaces that see the same few causes, each with noise and a mean of its own."""
    random = np.random.default_rng(seed)
    causes = random.normal(size=(clips, shared))

    def seen(size):
        mixed = causes @ random.normal(size=(shared, size))
        return mixed + noise * random.normal(size=(clips, size)) + random.normal(size=size)

    return seen(dims), seen(other_dims)


def rotation(dims, seed=0):
    """Give a random orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dims, dims)))[0]


def hsic(k, l):  # noqa: E741 - the paper's letters
    """Gretton et al. (2005), without its constant factor."""
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ l @ h)


def unbiased_hsic(k, l):  # noqa: E741 - the paper's letters
    """Song et al. (2012), equation 5."""
    m, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    return (
        np.trace(k @ l)
        + (one @ k @ one) * (one @ l @ one) / ((m - 1) * (m - 2))
        - 2 / (m - 2) * (one @ k @ l @ one)
    ) / (m * (m - 3))


def cka(x, y, estimate=hsic):
    """Kornblith et al. (arXiv 1905.00414), equation 4."""
    k, l = x @ x.T, y @ y.T  # noqa: E741
    return estimate(k, l) / np.sqrt(estimate(k, k) * estimate(l, l))


def cosines(x):
    """Give the cosine of every clip with every other."""
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    return units @ units.T


def neighbours(kernel, k):
    """Say which clip is among the k nearest of which."""
    kernel = kernel.copy()
    np.fill_diagonal(kernel, -np.inf)
    mask = np.zeros(kernel.shape)
    np.put_along_axis(mask, np.argsort(-kernel, axis=1)[:, :k], 1, axis=1)
    return mask


def mutual_knn(x, y, k):
    """Huh et al. (arXiv 2405.07987), equation 11."""
    shared = neighbours(cosines(x), k) * neighbours(cosines(y), k)
    return shared.sum(axis=1).mean() / k


def cknna(x, y, k):
    """Huh et al. (arXiv 2405.07987), equations 12 to 15, with the estimate of their code."""

    def align(a, b):
        mask = neighbours(a, k) * neighbours(b, k)
        return unbiased_hsic(mask * a, mask * b)

    a, b = cosines(x), cosines(y)
    return align(a, b) / np.sqrt(align(a, a) * align(b, b))
