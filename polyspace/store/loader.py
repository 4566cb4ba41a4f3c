"""Batches of a store for training: shuffled exactly, resumable at any batch, shared by ranks.

A mapped store needs no worker processes: what they read has to be carried to the process that wants
it, which costs more than reading it there.
"""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, repeat
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from numpy import ndarray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from polyspace.errors import ConfigError
from polyspace.store.encoding import as_tensor
from polyspace.store.layout import ArraySpec
from polyspace.store.order import Order
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
        size = sum(tokens.nbytes for tokens in self.tokens.values())
        return f"FeatureBatch({len(self)} clips: {held}; {size / 2**20:.1f} MiB)"


class FeatureLoader(IterableDataset[FeatureBatch]):
    """Epoch after epoch of a store's clips; each iteration is the next epoch.

    Torch's DataLoader takes it with batch_size=None. Worker processes run ahead of whoever takes
    their batches, and what they count stays with them: there every epoch begins with `set_epoch`,
    and `state_dict` knows of no batch.

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
            device: Where the tokens and labels are wanted.

        Raises:
            StoreError: The store doesn't hold a backbone.
            ConfigError: There are fewer clips than ranks.
        """
        seen = store.rows(backbones)
        self._store, self._backbones, self._device = store, tuple(backbones), device
        chosen = seen if rows is None else rows
        self._order = Order(chosen, batch, seed, rank, ranks, store.window(backbones))
        self._epoch, self._next = 0, 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[FeatureBatch]:
        """Give what is left of the epoch; the next iteration is the next one."""
        worker = get_worker_info()
        return self._share(worker.id, worker.num_workers) if worker else self._left()

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; whoever is inside of it already stays there."""
        if epoch != self._epoch:
            self._epoch, self._next = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Say where the loader is, and in what."""
        return {"epoch": self._epoch, "next": self._next, "identity": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader was, at the very next batch.

        Raises:
            ConfigError: That was in other clips, or in another order.
        """
        mine, other = self._identity(), state["identity"]
        if parted := [name for name in mine if other[name] != mine[name]]:
            found, expected = (
                ", ".join(f"{name} {whose[name]!s:.40}" for name in parted)
                for whose in (other, mine)
            )
            raise ConfigError(
                f"the loader was stopped with {found}, this one has {expected}: open the same "
                f"store with the same settings"
            )
        self._epoch, self._next = int(state["epoch"]), int(state["next"])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the maps behind: a worker process opens the store itself."""
        return {**self.__dict__, "_store": self._store.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_store": FeatureStore.open(state["_store"])})

    @property
    def _specs(self) -> list[ArraySpec]:
        return [self._store.backbones[name] for name in self._backbones]

    def _identity(self) -> dict[str, Any]:
        """Give all that the order depends on; the same clips in other files have another one."""
        order = self._order
        return {
            "batch": order.batch,
            "seed": order.seed,
            "rank": order.rank,
            "ranks": order.ranks,
            "window": asdict(order.window) if order.window else None,
            "clips": len(order.rows),
            "rows": hashlib.sha256(order.rows.tobytes()).hexdigest(),
            "store": self._store.fingerprint,
        }

    def _left(self) -> Iterator[FeatureBatch]:
        """Give what is left of the epoch, and keep count."""
        batches = list(self._order.batches(self._epoch, start=self._next))
        # While a GPU still copies from the one, the other is filled.
        rooms = [self._room() for _ in range(2 if self._device.type == "cuda" else 1)]
        for batch in self._read(batches, cycle(rooms)):
            self._next += 1
            yield batch
        self.set_epoch(self._epoch + 1)

    def _share(self, worker: int, workers: int) -> Iterator[FeatureBatch]:
        """Give a worker process's share of it; the next time begins the next epoch in any case."""
        batches = list(self._order.batches(self._epoch, start=self._next))[worker::workers]
        self.set_epoch(self._epoch + 1)
        # New memory for every batch: torch carries it to the other process as it is.
        return self._read(batches, (self._room() for _ in batches))

    def _room(self) -> "_Room":
        most = min(self._order.batch + 1, len(self._order.rows))
        return _Room(self._specs, most, self._device)

    def _read(
        self, batches: Sequence[Int64[ndarray, " _clip"]], rooms: Iterable["_Room"]
    ) -> Iterator[FeatureBatch]:
        """Read batches, and fetch ahead what has to be fetched while the caller works."""
        plan = self._order.window.plan(batches) if self._order.window else repeat(())
        # Rooms are used again and again, and an empty plan has no end: the batches decide.
        for rows, chunks, room in zip(batches, plan, rooms, strict=False):
            # Those to keep come first: the ones that nobody asked for make room.
            for some in chunks:
                self._store.expect(self._backbones, some)
            with room.filled(len(rows)) as buffers:
                tokens = {
                    name: self._store.tokens(name, rows, device=self._device, out=buffer)
                    for name, buffer in buffers.items()
                }
            labels = torch.from_numpy(self._store.labels[rows])
            yield FeatureBatch(rows, labels.to(self._device, non_blocking=True), tokens)


class _Room:
    """Where batches are gathered, in the types that they are stored in."""

    def __init__(self, specs: Sequence[ArraySpec], clips: int, device: torch.device) -> None:
        is_gpu = device.type == "cuda"
        self._buffers = {spec.backbone: _buffer(spec, clips, pinned=is_gpu) for spec in specs}
        self._copied = torch.cuda.Event() if is_gpu else None
        self._device = device

    @contextmanager
    def filled(self, clips: int) -> Generator[dict[str, Shaped[Tensor, "clip ..."]]]:
        """Give room for some clips, as soon as all that lay there has been copied to a GPU."""
        if self._copied:
            self._copied.synchronize()
        yield {name: buffer[:clips] for name, buffer in self._buffers.items()}
        if self._copied:
            self._copied.record(torch.cuda.current_stream(self._device))


def _buffer(spec: ArraySpec, clips: int, *, pinned: bool) -> Shaped[Tensor, "clip ..."]:
    _, *cells = spec.row_shape("tokens")
    elements = np.empty((clips, *cells), spec.stored_type("tokens"))
    values = as_tensor(torch.from_numpy(elements), spec.dtype)
    return values.pin_memory() if pinned else values
