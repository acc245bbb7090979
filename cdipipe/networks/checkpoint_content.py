"""What a checkpoint may hold, looked at once when it is read: plain data of the right kinds, and dense tensors."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cdipipe.errors import InputError
from cdipipe.settings import validate

MOST_TENSORS = 100_000
Count = Annotated[int, Field(ge=0, le=2**53)]


def _plain(value: Any) -> Any:
    """Scores beside the known ones: numbers, or none."""
    if value is not None and not isinstance(value, (bool, int, float)):
        raise ValueError("should be a number")
    return value


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Scores(_Part):
    """Numbers by name; ``peak_over_mean`` is the usual range in the training."""

    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_plain)]]
    peak_over_mean: tuple[float, float] | None = None


class Samples(_Part):
    """What was learned from."""

    kind: str | None = None
    digest: str | None = None
    count: Count | None = None


class Position(BaseModel):
    """Where a training is, as ``cdipipe.training.fit`` stores it."""

    model_config = ConfigDict(extra="forbid")

    stage: Count = 0
    epoch: Count = 0
    step: Count = 0
    steps_done: Count = 0
    samples_done: Count = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    loss_sum: float = 0.0


class Training(_Part):
    """What a training needs to go on."""

    position: Position
    optimiser: dict[str, Any] | None = None
    rows: list[dict[str, Any]] = []
    code: str
    moving: dict[str, Any] | None = None


class Content(BaseModel):
    """The top of a checkpoint."""

    model_config = ConfigDict(extra="forbid")

    format: str
    network: str
    version: Count
    settings: dict[str, Any]
    weights: dict[str, Any]
    corpus: Samples
    scores: Scores
    provenance: dict[str, Any]
    training: dict[str, Any]


def check_content(content: Any, where: str) -> None:
    """Look through what was unpacked.

    Raises
    ------
    InputError   something is missing, or of another kind
    """
    found = validate(Content, content, where)
    check_tensors(found.weights, f"{where}.weights")
    if found.training:
        going_on = validate(Training, found.training, f"{where}.training")
        check_tensors(going_on.moving or {}, f"{where}.training.moving")


def check_tensors(weights: dict[str, Any], where: str) -> None:
    """Names and tensors: dense, on the CPU, real, and with as many numbers as they have elements.

    Raises
    ------
    InputError   names the first that is not
    """
    if not isinstance(weights, dict) or len(weights) > MOST_TENSORS:
        raise InputError(f"{where}: expected a mapping of names to tensors; got {type(weights).__name__}")
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise InputError(f"{where}: expected tensors by name; got {type(tensor).__name__} at {str(name)[:60]!r}")
        if fault := _fault(tensor):
            raise InputError(f"{where}.{name[:60]}: {fault}")


def _fault(tensor: torch.Tensor) -> str | None:
    if tensor.is_nested or tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return "expected a plain dense tensor"
    if tensor.is_complex():
        return "expected real numbers; got complex ones"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"declares {tensor.numel()} numbers, but fewer are stored"
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        return "holds numbers that are not finite"
    return None
