"""Formats that features could be kept in: how each is written, and how batches come out of it.

Each is used as its documents advise for random access to fixed-size arrays. A test compares what
comes out with what was written, bit by bit.
"""

# The packages are an extra of their own, which type checking does without.
# pyright: reportMissingImports=false

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import StoreWriter

SHARD = 1024
"""Clips of a file, where a format has files of several."""

Rows = Any
"""int64 [clip]."""
Batches = Iterator[tuple[Rows | None, Any]]
"""Rows, where they are known, and their tokens, float16 [clip token dim]."""
Read = Callable[[Rows], Any]


@dataclass(frozen=True)
class Peer:
    """One format."""

    name: str
    write: Callable[[Path, Any], None]
    """Of tokens float16 [clip token dim] into a folder."""
    open: Callable[[Path], "Opened"]
    packages: tuple[str, ...] = ()
    """Modules that it takes."""

    @property
    def installed(self) -> bool:
        return all(find_spec(package) for package in self.packages)


@dataclass(frozen=True)
class Opened:
    """A reader: any rows (`read`), or an order of its own (`own`)."""

    read: Read | None = None
    own: Callable[[int, bool], Batches] | None = None
    """Given the batch size, and whether to shuffle."""

    def batches(self, order: Rows, batch: int, *, shuffled: bool) -> Batches:
        if self.own is not None:
            yield from self.own(batch, shuffled)
            return
        assert self.read is not None
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            yield rows, self.read(rows)


def _write_store(folder: Path, tokens: Any, clips_per_chunk: int = 256) -> None:
    names = tuple(f"v_{row:06d}" for row in range(len(tokens)))
    rows = ClipRows(names, names, np.zeros(len(tokens), dtype=np.int64))
    spec = ArraySpec("model", time=1, space=tokens.shape[1], dim=tokens.shape[2])
    header = StoreHeader("made", "train", ("one",), clips_per_chunk, {})
    with StoreWriter.open(folder / "made_train.zarr", header, rows, [spec]) as writer:
        for item in writer.claims():
            part = torch.from_numpy(tokens[item.rows[0] : item.rows[-1] + 1]).float()
            block = Block(
                part[:, None, None], part.mean(1)[:, None], np.zeros((len(part), 1, 1, 2))
            )
            writer.write(item, {"model": block}, {})


def _open_store(folder: Path) -> Opened:
    store = FeatureStore.open(folder / "made_train.zarr")
    buffers = dict[int, torch.Tensor]()

    def read(rows: Rows) -> Any:
        out = buffers.get(len(rows))
        found = store.stored("model", rows, out=out)
        buffers[len(rows)] = found
        return found[:, 0]

    return Opened(read)


def _open_store_with_all_threads(folder: Path) -> Opened:
    torch.set_num_threads(os.cpu_count() or 1)
    return _open_store(folder)


def _write_npy(folder: Path, tokens: Any) -> None:
    np.save(folder / "tokens.npy", tokens)


def _open_memmap(folder: Path) -> Opened:
    tokens = np.load(folder / "tokens.npy", mmap_mode="r")
    return Opened(lambda rows: tokens[rows])


def _open_copy(folder: Path) -> Opened:
    """Copy consecutive clips into one buffer: what memory itself can do."""
    tokens = torch.from_numpy(np.load(folder / "tokens.npy", mmap_mode="c"))

    def own(batch: int, _: bool) -> Batches:
        out = torch.empty((batch, *tokens.shape[1:]), dtype=tokens.dtype)
        for start in range(0, len(tokens), batch):
            part = tokens[start : start + batch]
            yield np.arange(start, start + len(part)), out[: len(part)].copy_(part)

    return Opened(own=own)


def _array(folder: Path) -> Path:
    return folder / "made_train.zarr" / "tokens" / "model"


def _open_zarr(
    folder: Path, pipeline: str = "zarr.core.codec_pipeline.BatchedCodecPipeline"
) -> Opened:
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        array = zarr.open_array(_array(folder), mode="r")

    def read(rows: Rows) -> Any:
        with zarr.config.set({"codec_pipeline.path": pipeline}):
            return np.asarray(array.oindex[rows])[:, 0, 0]  # pyright: ignore

    return Opened(read)


def _open_tensorstore(folder: Path) -> Opened:
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{_array(folder)}/"}}
    array = tensorstore.open(spec).result()
    return Opened(lambda rows: array[rows].read().result()[:, 0, 0])


def _write_h5(folder: Path, tokens: Any) -> None:
    import h5py

    with h5py.File(folder / "tokens.h5", "w") as file:
        file.create_dataset("tokens", data=tokens)


def _open_h5(folder: Path) -> Opened:
    import h5py

    tokens = h5py.File(folder / "tokens.h5")["tokens"]

    def read(rows: Rows) -> Any:
        # HDF5 wants them in ascending order.
        order = np.argsort(rows)
        found = np.empty((len(rows), *tokens.shape[1:]), tokens.dtype)
        found[order] = tokens[rows[order]]
        return found

    return Opened(read)


def _write_mds(folder: Path, tokens: Any) -> None:
    from streaming import MDSWriter

    shape = ",".join(map(str, tokens.shape[1:]))
    columns = {"row": "int", "tokens": f"ndarray:float16:{shape}"}
    with MDSWriter(out=str(folder / "mds"), columns=columns) as writer:
        for row, clip in enumerate(tokens):
            writer.write({"row": row, "tokens": clip})


def _open_mds(folder: Path) -> Opened:
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=str(folder / "mds"), batch_size=1)
    return Opened(lambda rows: np.stack([dataset[int(row)]["tokens"] for row in rows]))


def _write_litdata(folder: Path, tokens: Any) -> None:
    from litdata.streaming.writer import BinaryWriter

    (folder / "lit").mkdir()
    writer = BinaryWriter(str(folder / "lit"), chunk_bytes="64MB")
    for row, clip in enumerate(tokens):
        writer[row] = {"row": row, "tokens": clip}
    writer.done()
    writer.merge()


def _open_litdata(folder: Path) -> Opened:
    from litdata import StreamingDataLoader, StreamingDataset

    def own(batch: int, shuffled: bool) -> Batches:
        dataset = StreamingDataset(str(folder / "lit"), shuffle=shuffled)
        for part in StreamingDataLoader(dataset, batch_size=batch, num_workers=0):
            yield part["row"].numpy(), part["tokens"]

    return Opened(own=own)


def _write_lance(folder: Path, tokens: Any) -> None:
    import lance
    import pyarrow as pa

    width = int(np.prod(tokens.shape[1:]))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), width)
    lance.write_dataset(pa.table({"tokens": flat}), folder / "tokens.lance")


def _open_lance(folder: Path) -> Opened:
    import lance

    dataset = lance.dataset(folder / "tokens.lance")

    def read(rows: Rows) -> Any:
        found = dataset.take(rows.tolist(), columns=["tokens"])["tokens"].combine_chunks()
        return found.values.to_numpy().reshape(len(rows), 16, -1)

    return Opened(read)


def _write_hf(folder: Path, tokens: Any) -> None:
    import datasets
    import pyarrow as pa

    flat = pa.FixedSizeListArray.from_arrays(
        pa.array(tokens.reshape(-1)), int(np.prod(tokens.shape[1:]))
    )
    datasets.Dataset(pa.table({"tokens": flat})).save_to_disk(folder / "hf")


def _open_hf(folder: Path) -> Opened:
    import datasets

    dataset = datasets.load_from_disk(str(folder / "hf")).with_format("arrow")

    def read(rows: Rows) -> Any:
        found = dataset[rows]["tokens"].combine_chunks()
        return found.values.to_numpy().reshape(len(rows), 16, -1)

    return Opened(read)


def _write_webdataset(folder: Path, tokens: Any) -> None:
    import webdataset

    with webdataset.ShardWriter(str(folder / "wds-%05d.tar"), maxcount=SHARD, verbose=0) as sink:
        for row, clip in enumerate(tokens):
            sink.write({"__key__": f"{row:06d}", "npy": clip})


def _open_webdataset(folder: Path) -> Opened:
    import webdataset

    shards = [str(path) for path in sorted(folder.glob("wds-*.tar"))]

    def own(batch: int, shuffled: bool) -> Batches:
        stream = webdataset.WebDataset(shards, shardshuffle=False)
        stream = stream.shuffle(SHARD) if shuffled else stream
        for keys, parts in stream.decode().to_tuple("__key__", "npy").batched(batch):
            yield np.array(list(map(int, keys))), np.stack(parts)

    return Opened(own=own)


def _write_pickles(folder: Path, tokens: Any) -> None:
    for number, start in enumerate(range(0, len(tokens), SHARD)):
        with (folder / f"shard_{number:05d}.pkl").open("wb") as file:
            pickle.dump([{"tokens": clip} for clip in tokens[start : start + SHARD]], file)


def _open_pickles(folder: Path, kept: int = 2) -> Opened:
    """Read the old format: whole shards, of which the last two are kept."""
    shards = OrderedDict[int, Any]()

    def shard(number: int) -> Any:
        if number not in shards:
            with (folder / f"shard_{number:05d}.pkl").open("rb") as file:
                # This is what the old format costs; the file was written by this very process's
                # parent. PolySpace itself never loads a pickle.
                shards[number] = pickle.load(file)
        shards.move_to_end(number)
        while len(shards) > kept:
            shards.popitem(last=False)
        return shards[number]

    return Opened(
        lambda rows: np.stack([shard(row // SHARD)[row % SHARD]["tokens"] for row in rows.tolist()])
    )


PEERS = {
    peer.name: peer
    for peer in (
        Peer("polyspace", _write_store, _open_store),
        Peer(
            "polyspace, 1024 clips a file",
            partial(_write_store, clips_per_chunk=SHARD),
            _open_store,
        ),
        Peer("polyspace, all threads", _write_store, _open_store_with_all_threads),
        Peer("np.memmap", _write_npy, _open_memmap),
        Peer("sequential copy", _write_npy, _open_copy),
        Peer("zarr-python on the same files", _write_store, _open_zarr),
        Peer(
            "zarrs on the same files",
            _write_store,
            partial(_open_zarr, pipeline="zarrs.ZarrsCodecPipeline"),
            ("zarrs",),
        ),
        Peer("tensorstore on the same files", _write_store, _open_tensorstore, ("tensorstore",)),
        Peer("h5py, contiguous", _write_h5, _open_h5, ("h5py",)),
        Peer("MosaicML MDS", _write_mds, _open_mds, ("streaming",)),
        Peer("LitData, its loader", _write_litdata, _open_litdata, ("litdata",)),
        Peer("Lance", _write_lance, _open_lance, ("lance",)),
        Peer("HF datasets, arrow", _write_hf, _open_hf, ("datasets",)),
        Peer("WebDataset, buffer shuffle", _write_webdataset, _open_webdataset, ("webdataset",)),
        Peer("pickled shards, two kept", _write_pickles, _open_pickles),
    )
}
