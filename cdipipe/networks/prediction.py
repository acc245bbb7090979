"""What a reconstruction by a trained network takes; no torch here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cdipipe.settings import Parameters


class PredictionParameters(Parameters):
    """What every trained network takes that sees patterns resampled to its own size."""

    checkpoint: str | None = Field(
        None, description="file that `cdipipe train` wrote (also --checkpoint); not given: weights of the package"
    )
    batch: int = Field(256, ge=1, description="patterns that go through the network together")
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)] = Field(
        "32", description="bf16: half as many bits, faster where the processor knows them, to about 1 % of the maximum"
    )
    support_threshold: float = Field(
        0.1, gt=0, lt=1, description="the support is where the modulus exceeds this share of its maximum"
    )
    oversampling: float = Field(
        1.2, ge=1, le=4, description="patterns larger than the network's are cropped and resampled to about this ratio"
    )
