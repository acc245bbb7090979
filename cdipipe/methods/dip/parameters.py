"""What can be chosen in a fit of an untrained network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdipipe.phasing.registry import Parameters
from cdipipe.tunable import Tune


class UntrainedNetworkParameters(Parameters):
    iterations: int = Field(400, ge=1, description="steps of the optimiser at most")
    stop: Literal["misfit", "wmv", "none"] = Field(
        "misfit",
        description="misfit: once the misfit is what counting noise alone explains; wmv: at the least variance of a "
        "window of outputs; none: after all iterations",
    )
    misfit_share: Annotated[float, Tune(0.9, 1.1)] = Field(
        0.99, gt=0, le=2, description="misfit: share of the expected misfit that ends the fit"
    )
    window: int = Field(50, ge=2, description="wmv: outputs in the window")
    patience: int = Field(200, ge=1, description="wmv: iterations without a new least variance before the fit ends")
    average: float = Field(
        0.97, ge=0, lt=1, description="the result is the running mean of the outputs with this memory; 0: the last"
    )
    loss: Literal["amplitude", "poisson"] = Field(
        "amplitude", description="squares of the differences of moduli, or the Poisson likelihood of the counts"
    )
    network_input: Literal["noise", "pattern"] = Field(
        "noise", description="what the network turns into the object: noise, or the logarithm of the pattern"
    )
    input_channels: int = Field(32, ge=1, le=256, description="noise: channels of the input")
    jitter: Annotated[float, Tune(0.0, 1.0)] = Field(
        0.5,
        ge=0,
        description="noise: standard deviation of new noise on the input in every iteration, as a multiple of the "
        "relative noise of an object pixel (0.7 over the scale); lets the network learn the noise later",
    )
    width: int = Field(32, ge=1, le=512, description="channels of every level of the network")
    levels: int = Field(4, ge=1, le=7, description="times that the network halves the grid")
    skip: int = Field(16, ge=1, le=256, description="channels of every skip connection")
    margin_px: int = Field(4, ge=0, description="pixels that the network sees beyond the support's box on each side")
    rate: Annotated[float, Tune(0.003, 0.03, log=True)] = Field(
        0.01, gt=0, lt=1, description="step of the optimiser (Adam)"
    )
    final_rate: float = Field(
        1.0, gt=0, le=1, description="share of the rate that is left at the last iteration, falling as a cosine"
    )
    refine_steps: int = Field(
        15,
        ge=0,
        description="conjugate-gradient steps of the closing refinement, which adds what the counts say beyond their "
        "noise; 0: the network's own object",
    )
    tv: float = Field(
        0.0,
        ge=0,
        description="weight of the object's isotropic total variation beside the squares of the moduli's differences, "
        "square root of photons; the noise of an object pixel is 0.7",
    )
    scale_k: float | None = Field(
        None,
        gt=0,
        description="modulus that counts as 1, square root of photons per object pixel; not given: estimated",
    )
    warm_iterations: int = Field(
        100, ge=0, description="steps that fit the network to the object of the step before or of --init; 0: none"
    )

    @model_validator(mode="after")
    def _consistent(self):
        if self.stop == "wmv" and self.window > self.iterations:
            raise ValueError(f"window: {self.window} outputs never come together in {self.iterations} iterations")
        return self
