"""Batches of a store for training: shuffled exactly, resumable at any batch, shared by ranks.

A mapped store needs no worker processes: two of them read at 0.4 times the speed of none, because
what they read has to be carried to the process that wants it (docs/benchmarks).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, tee
from typing import Any

import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from polyspace.errors import ConfigError
from polyspace.store.order import Order, Window
from polyspace.store.reader import CPU, FeatureStore


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """Some clips' tokens; prints its shapes rather than its values."""

    rows: Int64[ndarray, " clip"]
    labels: Int64[Tensor, " clip"]
    tokens: Mapping[str, Float32[Tensor, "clip time space dim"]]
    """By backbone. Of stores in float32 they are the loader's buffer: good until its next batch."""

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        held = ", ".join(
            f"{name} {list(tokens.shape)} {str(tokens.dtype).removeprefix('torch.')}"
            for name, tokens in self.tokens.items()
        )
        return f"FeatureBatch({len(self)} clips: {held})"


class FeatureLoader(IterableDataset[FeatureBatch]):
    """Epoch after epoch of a store's clips; each iteration is the next epoch.

    Example:
        loader = FeatureLoader(store, ["vjepa2", "videomae"], batch=256, seed=0)
        for batch in loader:
            train(batch.tokens["vjepa2"], batch.labels)
    """

    def __init__(
        self,
        store: FeatureStore,
        backbones: Sequence[str],
        *,
        batch: int,
        seed: int | None = 0,
        rows: Int64[ndarray, " row"] | None = None,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device = CPU,
    ) -> None:
        """Plan the order; nothing is read yet.

        Args:
            store: The store.
            backbones: Whose tokens a batch holds.
            batch: Clips of a batch.
            seed: Of the order; None: as the clips lie there.
            rows: Which clips; None: all that these backbones have seen.
            rank: Which share of every epoch this process gets,
            ranks: of how many.
            device: Where the tokens are wanted.

        Raises:
            StoreError: The store doesn't hold a backbone.
            ConfigError: There are fewer clips than ranks.
        """
        window = None if store.mapped else Window(store.clips_per_chunk)
        chosen = store.rows(backbones) if rows is None else rows
        self._store, self._backbones, self._device = store, tuple(backbones), device
        self._order = Order(chosen, batch, seed, rank, ranks, window)
        self._epoch, self._next = 0, 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[FeatureBatch]:
        """Give what is left of the epoch; the next iteration is the next one."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        buffers = self._buffers()
        order = self._order.batches(self._epoch, start=self._next)
        mine, coming = tee(islice(order, first, None, step))
        next(coming, None)
        for rows in mine:
            batch = self._read(rows, buffers)
            # What has to be fetched is on its way while the caller works.
            self._store.expect(self._backbones, next(coming, rows))
            self._next += step
            yield batch
        self._epoch, self._next = self._epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Say where the loader is, and in what."""
        return {"epoch": self._epoch, "next": self._next, "identity": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader was, at the very next batch.

        Raises:
            ConfigError: That was in other clips, or in another order.
        """
        if dict(state["identity"]) != self._identity():
            raise ConfigError(
                f"the loader was stopped in {state['identity']}, this one reads "
                f"{self._identity()}: open the same store with the same settings"
            )
        self._epoch, self._next = int(state["epoch"]), int(state["next"])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the maps behind: a worker process opens the store itself."""
        return {**self.__dict__, "_store": self._store.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_store": FeatureStore.open(state["_store"])})

    def _identity(self) -> dict[str, Any]:
        order = self._order
        settings = (order.batch, order.seed, order.rank, order.ranks, len(order.rows))
        names = ("batch", "seed", "rank", "ranks", "clips")
        return {**dict(zip(names, settings, strict=True)), "store": self._store.fingerprint}

    def _buffers(self) -> dict[str, Tensor]:
        """Make room for the largest batch in the stored type: used again for every one."""
        rows = self._order.rows[:1]
        most = self._order.batch + 1
        shapes = {name: self._store.stored(name, rows) for name in self._backbones if len(rows)}
        pinned = self._device.type == "cuda"
        return {
            name: torch.empty((most, *one.shape[1:]), dtype=one.dtype, pin_memory=pinned)
            for name, one in shapes.items()
        }

    def _read(self, rows: Int64[ndarray, " clip"], buffers: Mapping[str, Tensor]) -> FeatureBatch:
        tokens = {
            name: self._store.tokens(name, rows, device=self._device, out=buffer[: len(rows)])
            for name, buffer in buffers.items()
        }
        if self._device.type == "cuda":
            # The buffers are filled again for the next batch: its copies must have left them.
            torch.cuda.current_stream(self._device).synchronize()
        return FeatureBatch(rows, torch.from_numpy(self._store.labels[rows]), tokens)
