"""What DPR is built from, how it is trained, and what a reconstruction takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.networks.training_settings import NetworkSettings, TrainingSettings
from cdipipe.settings import Parameters


class DprNetwork(NetworkSettings):
    size: int = Field(512, ge=16, le=4096, description="pixels per axis of patterns")
    width: int = Field(64, ge=16, le=256, multiple_of=16, description="channels of the first layer; 16 is a small size")
    downsamplings: int = Field(
        3, ge=1, le=5, description="halvings; the object's box has size / 2^downsamplings pixels per axis"
    )
    encoder: Literal["wpc", "pc", "ffc"] = Field(
        "wpc", description="wpc: weighted partial convolutions; pc: unweighted ones; ffc: fast Fourier convolutions"
    )
    compensated: bool = Field(
        True, description="second decoder, which sees the Fourier projection of the first's result"
    )
    blocks: int | None = Field(
        None, ge=1, le=32, description="residual blocks of the first decoder; not given: 3, or 6 where it is alone"
    )
    compensated_blocks: int = Field(6, ge=1, le=32, description="residual blocks of the second decoder")
    input_power: float = Field(
        1.0, gt=0, le=1, description="the input is photons to this power; 1 as in the paper, 0.5 is the modulus"
    )

    @model_validator(mode="after")
    def _halves(self):
        if self.size % (2 << self.downsamplings):
            raise ValueError(f"size {self.size} is no multiple of {2 << self.downsamplings} = 2^(downsamplings + 1)")
        return self

    @property
    def box_px(self) -> int:
        """Side of the box that holds the object."""
        return self.size >> self.downsamplings


class DprSettings(TrainingSettings):
    network: DprNetwork = DprNetwork()
    epochs: int = Field(600, ge=1, le=100_000, description="passes over the samples")
    batch_size: int = Field(16, ge=1, description="samples per step and process")
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = Field(1e-4, ge=0, le=1, description="decoupled with adamw, L2 with adam")
    schedule: Literal["constant", "cosine", "step", "warm_restarts"] = Field(
        "step", description="as the paper: times 0.1 after 500 epochs; warm_restarts with asam_rho=0.2 is its other way"
    )
    step_epochs: tuple[float, ...] = Field((500.0,), description="epochs after which the rate drops")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: any")
    mae_weight: float = Field(1.0, ge=0, description="of the mean absolute error")
    gradient_weight: float = Field(10.0, ge=0, description="of the error of the gradient")
    fourier_weight: float = Field(0.01, ge=0, description="of the R-factor of the true moduli")
    perceptual_weight: float = Field(0.1, ge=0, description="of the perceptual error; needs perceptual_weights")
    perceptual_weights: str | None = Field(
        None, description="file of VGG-19 weights (see cdipipe fetch vgg19); not given: no perceptual error"
    )
    reference_photons: float | None = Field(
        None, gt=0, description="samples count by sqrt(photons / this), as in the paper; not given: all alike"
    )


class DprParameters(Parameters):
    checkpoint: str | None = Field(None, description="file that `cdipipe train dpr` wrote (also --checkpoint)")
    batch: int = Field(16, ge=1, description="patterns that go through the network together, on a GPU")
    support_threshold: float = Field(
        0.01, gt=0, lt=1, description="the support is where the object exceeds this share of its 99 % quantile"
    )
