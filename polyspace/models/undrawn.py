"""Networks whose first weights nobody will see: they are about to be read from a file."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

DRAWS = (nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_)
"""What draws the first weights of torch's layers."""


class Undrawn(TorchFunctionMode):
    """Leave the weights of layers that are made in here as memory happens to be.

    Drawing them takes most of the time in which a network is made. Every weight has to be filled in
    afterwards (`restore` refuses to leave one out). Buffers are what they would be.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - of whatever torch is asked for
        """Give back the tensor that was to be filled; do everything else."""
        given = kwargs or {}
        if func in DRAWS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)
