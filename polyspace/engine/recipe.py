"""How a model is trained, whatever it is: the settings that decide a run's numbers."""

from typing import Annotated

from pydantic import Field

from polyspace import precision
from polyspace.config import Config
from polyspace.engine.optimizer import OptimizerName
from polyspace.engine.schedule import ScheduleName
from polyspace.precision import DeviceName, Precision


class Recipe(Config):
    """Optimizer, rate, length and number types of a training."""

    epochs: Annotated[int, Field(ge=0)] = 1
    """Passes over the training split."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps after which training is complete, even in the middle of an epoch."""
    early_stop: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better score on the hold-out after which training is complete."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate."""
    schedule: ScheduleName = "cosine"
    """How the rate goes on after its rise: constant, along a cosine to zero, or one_cycle, which
    rises along a cosine, too, and usually takes a warmup of 0.3."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of the steps in which the rate rises."""
    optimizer: OptimizerName = "adamw"
    """adamw; sgd with Nesterov's momentum of 0.9; or muon, which makes steps of matrices
    orthogonal and leaves the rest to adamw."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Decay of matrices; vectors do not decay."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longest gradient; a longer one is shortened to it."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose mean gradient is one step."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a running average of the weights, scored and kept in their place; 0: none."""
    max_skips: Annotated[int, Field(ge=1)] = 20
    """Steps in a row with gradients that are not finite after which training fails."""
    use_amp: bool = False
    """Compute in float16 with gradient scaling."""
    use_bf16: bool = False
    """Compute in bfloat16."""
    use_tf32: bool = False
    """Let a GPU round the factors of float32 products to 10 bits."""
    device: DeviceName = "auto"
    """Where to compute."""

    def types(self) -> Precision:
        """Decide the number types for the device.

        Raises:
            PrecisionError: Two flags contradict each other, or the device can't do it.
        """
        compute = precision.choose(use_amp=self.use_amp, use_bf16=self.use_bf16)
        device = precision.device_named(self.device)
        return precision.resolve(compute, device, tf32=self.use_tf32)
