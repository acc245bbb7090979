"""What the denoiser is built from and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdipipe.networks.training_settings import NetworkSettings, TrainingSettings

Blocks = Annotated[int, Field(ge=1, le=32)]


class DenoiserNetwork(NetworkSettings):
    width: int = Field(32, ge=2, le=512, description="channels at half resolution; twice as many at a quarter")
    blocks: tuple[Blocks, Blocks] = Field(
        (2, 3), description="residual blocks at half resolution, before and after, and at a quarter"
    )


class DenoiserSettings(TrainingSettings):
    network: DenoiserNetwork = DenoiserNetwork()
    batch_size: int = Field(16, ge=1, description="samples per step and process")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="largest learning rate")
    least_learning_rate: float = Field(2e-5, ge=0, description="learning rate at the end of a cosine")
    schedule: Literal["constant", "cosine", "step", "warm_restarts"] = "cosine"
    warmup_epochs: float = Field(0.4, ge=0, description="the rate rises linearly over these; with each warm restart")
    clip_norm: float = Field(50.0, ge=0, description="largest norm of the gradient; 0: any")
    average: float = Field(0.998, ge=0, lt=1, description="of the weights: share that a step keeps; 0: no average")
    sigma: tuple[float, float] = Field(
        (0.002, 0.4), description="range of the noise, log-uniform, in units of a picture's largest value"
    )

    @model_validator(mode="after")
    def _has_noise(self):
        if not 0 < self.sigma[0] <= self.sigma[1] <= 10:
            raise ValueError(f"sigma {self.sigma}: expected a range [lowest, highest] above 0")
        if self.photons is not None:
            raise ValueError("photons: a denoiser sees pictures, not patterns; sigma is the range of its noise")
        return self
