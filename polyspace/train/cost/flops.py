"""Work of one clip, counted by torch as it runs."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Size
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from polyspace.data.encode import Inputs
from polyspace.train.cost.line import Line

WORDS = (
    "torch.utils.flop_counter counts matrix products, convolutions and attention, a multiplication "
    "and its addition as two; it leaves out decoding, resizing, and whatever works element by "
    "element: normalisation, activations, softmax, pooling, interpolation"
)


def of_line(line: Line, inputs: Mapping[str, Inputs]) -> int:
    """Count the work of some prepared clips, from the backbones to the chances."""
    return count(lambda: line.run_fed(inputs))


def count(work: Callable[[], object]) -> int:
    """Count what some work does."""
    # torch itself leaves attention on a CPU uncounted.
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={on_cpu: _attention})
    with _unfused(), counter:
        work()
    return counter.get_total_flops()


@contextmanager
def _unfused() -> Generator[None]:
    """Keep torch's own attention layers from becoming one operation, which would count nothing."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def _attention(query: Size, key: Size, value: Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)
