"""Four separate decisions about number types: storage, compute, master and export.

They are taken once, at the start of a run, and recorded with their reason. Everything else asks
here: `to_compute` and `to_storage` are the only places that cast, and `census` the only one that
counts what a cast would lose.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float32, Int8
from torch import Tensor, nn

from polyspace.errors import PrecisionError, StorageRangeError
from polyspace.ranks import launched

PrecisionName = Literal["fp32", "bf16", "fp16"]
"""fp32: as it is. bf16: bfloat16 autocast. fp16: float16 autocast and a gradient scaler."""

StorageType = Literal["float16", "bfloat16", "float32"]
"""Types in which weights and other plain values lie on disk."""

FeatureType = Literal[StorageType, "scaled", "int8"]
"""Types in which features lie on disk, each of which is a policy: float16 and bfloat16 refuse what
they can't hold, scaled is float16 times a power of two and holds everything finite, int8 takes one
byte a value at the price of an error that is measured (see `store.encoding`)."""

DeviceName = Literal["auto", "cpu", "cuda"]
"""auto: the GPU where there is one."""

COMPUTE_TYPES: dict[PrecisionName, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
STORAGE_TYPES: dict[StorageType, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class Precision:
    """The four types of a run, and why they were chosen."""

    compute: PrecisionName
    """Type that matrix products run in."""
    reason: str
    """Why `compute` is what it is; goes into every run's record."""
    storage: FeatureType = "float16"
    """Type that features are stored in."""
    export: StorageType = "float16"
    """Type that exported weights are stored in."""
    master: Literal["float32"] = "float32"
    """Type of weights, optimizer state, losses and metrics."""
    tf32: bool = False
    """Whether a GPU may round the factors of float32 products to 10 bits."""

    def settle(self, device: torch.device) -> None:
        """Tell torch, for the whole process, what a product of float32 on a GPU is.

        Left alone, torch rounds in convolutions and not in matrix products.
        """
        if device.type == "cuda":
            choice = "tf32" if self.tf32 else "ieee"
            torch.backends.cuda.matmul.fp32_precision = choice
            # torch makes this attribute when it is imported, where type checkers can't see it.
            torch.backends.cudnn.conv.fp32_precision = choice  # pyright: ignore[reportAttributeAccessIssue]

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Give the context that forward passes run in; losses belong outside of it."""
        dtype = COMPUTE_TYPES[self.compute]
        return torch.autocast(device.type, dtype=dtype, enabled=self.compute != "fp32")

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Give the gradient scaler; it does nothing unless the compute type is float16."""
        return torch.amp.GradScaler(device.type, enabled=self.compute == "fp16")


def device_named(name: DeviceName) -> torch.device:
    """Give the device to compute on; of several processes that train together, each its own.

    Raises:
        PrecisionError: A GPU was asked for where there is none, or fewer than processes; nothing
            silently runs elsewhere.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise PrecisionError("--device cuda, but torch sees no GPU here: use --device cpu or auto")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    ranks, seen = launched(), torch.cuda.device_count()
    if ranks.local_count > seen:
        raise PrecisionError(
            f"{ranks.local_count} processes, but torch sees {seen} GPUs here: start one a GPU "
            f"(torchrun --nproc_per_node={seen}), or use --device cpu"
        )
    return torch.device("cuda", ranks.local) if ranks.count > 1 else torch.device("cuda")


def resolve(compute: PrecisionName, device: torch.device, *, tf32: bool = False) -> Precision:
    """Decide the compute type for a device, once, and say why.

    Args:
        compute: Type that matrix products run in.
        device: Where.
        tf32: Whether a GPU may round the factors of float32 products.

    Raises:
        PrecisionError: The device can't compute in that type; nothing is silently replaced.
    """
    if compute == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        name = torch.cuda.get_device_name(device)
        raise PrecisionError(f"{name} has no bfloat16: use --use-amp (float16) or neither flag")
    if tf32 and not (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)):
        raise PrecisionError(
            f"--use-tf32 on {device.type}: only GPUs since NVIDIA's Ampere have it; leave it out"
        )
    reasons: dict[PrecisionName, str] = {
        "fp32": f"float32 on {device.type}: no reduced precision was asked for",
        "bf16": f"bfloat16 autocast on {device.type}: asked for, and the device has it",
        "fp16": f"float16 autocast and gradient scaling on {device.type}: asked for",
    }
    rounded = "; float32 products rounded to TF32, asked for" if tf32 else ""
    return Precision(compute=compute, reason=reasons[compute] + rounded, tf32=tf32)


def best_compute(stored: Literal[StorageType, "int8"], device: torch.device) -> Precision:
    """Decide what a device computes in, given what weights are stored in.

    Args:
        stored: Type of the stored weights.
        device: Where they will be used.
    """
    if device.type == "cuda":
        return resolve(
            "fp16" if stored == "float16" else _bfloat16_where_native(stored, device), device
        )
    compute = _bfloat16_where_native(stored, device)
    reasons: dict[Literal[StorageType, "int8"], str] = {
        "float16": "float32 on cpu: the weights are stored as float16, but computing in it gains "
        "nothing on processors, and is slower on most",
        "int8": "float32 on cpu: the weights are stored as int8 and widened when they are read",
        "float32": "float32 on cpu: as the weights are stored",
        "bfloat16": "float32 on cpu: the weights are stored as bfloat16, but this processor has no "
        "instructions for it",
    }
    native = (
        "bfloat16 on cpu: as the weights are stored, and this processor has instructions for it"
    )
    return Precision(compute=compute, reason=native if compute == "bf16" else reasons[stored])


def has_native_bfloat16(device: torch.device) -> bool:
    """Say whether a device multiplies bfloat16 itself, rather than widening it first."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch 2.13 says what the processor can; older ones are taken to know nothing.
    ask = getattr(torch.cpu, "get_capabilities", dict[str, bool])
    return any(ask().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def keep_in_compute_type(model: nn.Module, precision: Precision) -> None:
    """Hold the weights of a network's linear layers in the type that they are multiplied in.

    Autocast would narrow them in every call, which takes longer than small products themselves.
    What autocast leaves in float32, norms and statistics, stays so. For inference: such a network
    can't be trained.
    """
    if precision.compute != "fp32":
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.to(COMPUTE_TYPES[precision.compute])


def choose(*, use_amp: bool, use_bf16: bool) -> PrecisionName:
    """Turn the two flags of the command line into one name.

    Raises:
        PrecisionError: Both were given.
    """
    if use_amp and use_bf16:
        raise PrecisionError(
            "both --use-amp (float16) and --use-bf16 (bfloat16) were given: keep one of them"
        )
    return "fp16" if use_amp else "bf16" if use_bf16 else "fp32"


def to_compute(
    values: Float[Tensor, "*shape"] | Int8[Tensor, "*shape"],
    device: torch.device,
    scale: Float32[Tensor, "clip dim"] | None = None,
) -> Float32[Tensor, "*shape"]:
    """Bring stored values to the device as float32, whatever type they were stored in.

    Args:
        values: As they are stored; narrow types are widened after the copy to the device.
        device: Where they shall be.
        scale: What values of shape [clip time space dim] are multiplied by.
    """
    wide = values.to(device, non_blocking=True).to(torch.float32)
    return wide if scale is None else wide * scale.to(device, non_blocking=True)[:, None, None, :]


@dataclass(frozen=True)
class Census:
    """What casting a tensor to a storage type would lose."""

    count: int
    largest: float
    """Largest finite magnitude."""
    non_finite: int
    overflow: int
    """Finite values whose magnitude the type can't hold."""
    subnormal: int
    """Values that the type holds with fewer than its usual significant bits, or as zero."""
    worst_relative_error: float
    """Largest relative error of the round trip among values in the type's normal range."""


def census(values: Float[Tensor, "..."], dtype: StorageType) -> Census:
    """Count what a cast to `dtype` would lose, without publishing its result."""
    wide = values.detach().to(torch.float64)
    finite = torch.isfinite(wide)
    magnitude = wide[finite].abs()
    limits = torch.finfo(STORAGE_TYPES[dtype])
    overflow = magnitude.to(torch.float32) >= overflow_threshold(dtype)
    normal = (magnitude >= limits.tiny) & ~overflow
    exact = wide[finite][normal]
    error = (exact.to(STORAGE_TYPES[dtype]).to(torch.float64) - exact).abs() / exact.abs()
    return Census(
        count=values.numel(),
        largest=float(magnitude.max()) if magnitude.numel() else 0.0,
        non_finite=int((~finite).sum()),
        overflow=int(overflow.sum()),
        subnormal=int(((magnitude > 0) & (magnitude < limits.tiny)).sum()),
        worst_relative_error=float(error.max()) if error.numel() else 0.0,
    )


def overflow_threshold(dtype: StorageType) -> float:
    """Give the smallest magnitude that rounds to infinity in a type.

    Source: IEEE 754-2019, 4.3.1: half a unit above the largest finite value rounds up
    (float16: 65504 + 16 = 65520).
    """
    limits = torch.finfo(STORAGE_TYPES[dtype])
    return limits.max * (1 + limits.eps / 4 / (1 - limits.eps / 2))


def to_storage(values: Float[Tensor, "*shape"], dtype: StorageType) -> Float[Tensor, "*shape"]:
    """Round values to the type that they are stored in.

    float16 keeps 11 significant bits, and magnitudes up to 2**-25 become zero; bfloat16 keeps 8,
    and processors may take magnitudes below 2**-126 for zero. Reading back is exact.

    Raises:
        StorageRangeError: A value is not finite, or its magnitude rounds to infinity in the type.

    Source: IEEE 754-2019, binary16; bfloat16 is the upper half of binary32.
    """
    if values.numel() == 0:
        return values.to(STORAGE_TYPES[dtype])
    # As float32, because torch rounds float64 to it first: 65519.999999 would become infinite.
    low, high = (value.to(torch.float32) for value in torch.aminmax(values.detach()))
    limit = overflow_threshold(dtype)
    # Written so that NaN, which compares false with everything, fails the test.
    if bool(low > -limit) and bool(high < limit):
        return values.to(STORAGE_TYPES[dtype])
    lost = census(values, dtype)
    raise StorageRangeError(
        f"{lost.non_finite} values are not finite and {lost.overflow} exceed {dtype}'s largest "
        f"({torch.finfo(STORAGE_TYPES[dtype]).max:g}; found {lost.largest:g}): "
        f"store them as float32, or mend the model that made them"
    )


def _bfloat16_where_native(
    stored: Literal[StorageType, "int8"], device: torch.device
) -> Literal["bf16", "fp32"]:
    return "bf16" if stored == "bfloat16" and has_native_bfloat16(device) else "fp32"
