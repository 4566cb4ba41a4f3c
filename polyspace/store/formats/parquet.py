"""parquet: a row for each clip, whose features are nested lists.

``datasets.load_dataset("parquet", data_files="x.parquet")`` gives them as arrays with their shapes:
the columns are marked as its own array types, which every other reader sees as lists.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Shaped
from numpy import ndarray
from pyarrow.parquet import ParquetWriter

from polyspace.precision import StorageType
from polyspace.progress import Progress
from polyspace.store.formats.selection import Column, Selection

TYPES: tuple[StorageType, ...] = ("float16", "float32")
"""Types that arrow has, too."""

TEXTS = ("id", "group", "class_name", "split")


def write(file: BinaryIO, selection: Selection) -> Iterator[Progress]:
    """Write the file; each batch is a row group."""
    schema, done = _schema(selection), 0
    # Features hardly repeat: a dictionary of them would take half as long again.
    with ParquetWriter(file, schema, use_dictionary=False) as writer:
        for rows in selection.batches():
            writer.write_table(pa.table(_table(selection, rows), schema=schema))
            done += len(rows)
            yield Progress(done, len(selection.rows), "rows")


def _schema(selection: Selection) -> pa.Schema:
    """Say what the columns are, to arrow and to Hugging Face's datasets."""
    facts = selection.facts
    texts = [pa.field(name, pa.string()) for name in TEXTS]
    fields = [*texts, pa.field("label", pa.int64()), *map(_field, selection.columns)]
    features = {name: {"dtype": "string", "_type": "Value"} for name in TEXTS}
    features |= {"label": {"names": facts["class_names"], "_type": "ClassLabel"}}
    features |= {
        column.name: {"shape": column.row_shape, "dtype": _dtype(column), "_type": _array(column)}
        for column in selection.columns
    }
    known = {"huggingface": {"info": {"features": features}}, "polyspace": facts}
    return pa.schema(fields, {name: json.dumps(value) for name, value in known.items()})


def _field(column: Column) -> pa.Field:
    nested = pa.from_numpy_dtype(_dtype(column))
    for _ in column.row_shape:
        nested = pa.list_(nested)
    mark = {
        "ARROW:extension:name": f"datasets.features.features.{_array(column)}ExtensionType",
        "ARROW:extension:metadata": json.dumps((column.row_shape, _dtype(column))),
    }
    return pa.field(column.name, nested, metadata=mark)


def _array(column: Column) -> str:
    """Name the array type of Hugging Face's datasets."""
    return f"Array{len(column.row_shape)}D"


def _dtype(column: Column) -> str:
    return str(column.dtype).removeprefix("torch.")


def _table(selection: Selection, rows: Int64[ndarray, " row"]) -> dict[str, object]:
    store, labels = selection.store, selection.store.labels[rows]
    return {
        "id": [store.ids[row] for row in rows],
        "group": [store.groups[row] for row in rows],
        "class_name": [store.class_names[label] for label in labels],
        "split": [store.split] * len(rows),
        "label": labels,
        **{
            column.name: _nested(selection.values(column, rows).numpy())
            for column in selection.columns
        },
    }


def _nested(values: Shaped[ndarray, "clip ..."]) -> pa.ListArray:
    """Turn an array into lists of lists without a copy of its values."""
    nested = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        bounds = np.arange(0, len(nested) + 1, size, dtype=np.int32)
        nested = pa.ListArray.from_arrays(bounds, nested)
    return nested
