"""What 3D-CDI-NN is built from, how it is trained, and what a reconstruction takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.networks.prediction import PredictionParameters
from cdipipe.networks.training_settings import NetworkSettings, TrainingSettings

PUBLIC_WIDTHS, PAPER_WIDTHS = (32, 64, 128), (64, 128, 256)


class CdiNn3dNetwork(NetworkSettings):
    size: int = Field(32, ge=8, le=128, description="voxels per axis of patterns and objects")
    widths: tuple[int, ...] = Field(
        PUBLIC_WIDTHS,
        min_length=1,
        max_length=5,
        description="channels of each level: those of the public code; the paper's figure has (64, 128, 256), and "
        "(8, 16, 32) is the small size",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="after the input and after each convolution")
    input_gain: float = Field(
        2e4,
        gt=0,
        description="largest value of the input, whatever the photons; the public code has 1, with which few samples "
        "teach nothing",
    )
    peak: Literal["subpixel", "pixel", "none"] = Field(
        "subpixel",
        description="pixel: the pattern's centre of mass goes to the middle, by whole pixels, before the network sees "
        "it, and the object gets the phase ramp back; subpixel: the rest of the ramp is not the network's task either",
    )
    phase_scale: float = Field(
        0.05,
        gt=0,
        le=1,
        description="turns per unit of the phase decoder's last layer; the public code has 1",
    )

    @model_validator(mode="after")
    def _halves(self):
        if self.size % 2 ** len(self.widths):
            raise ValueError(f"size {self.size} cannot be halved {len(self.widths)} times, once per level of widths")
        if min(self.widths) < 1:
            raise ValueError(f"widths {self.widths}: each level needs at least 1 channel")
        return self


class CdiNn3dSettings(TrainingSettings):
    network: CdiNn3dNetwork = CdiNn3dNetwork()
    epochs: int = Field(50, ge=1, le=100_000, description="passes over the samples, per stage")
    stage_epochs: tuple[int, int, int, int] | None = Field(
        None, description="epochs of the four stages, 0: without it; not given: epochs for each"
    )
    centre: Literal["subpixel", "pixel", "none"] = Field(
        "pixel", description="labels with their centre of mass in the middle"
    )
    twin: Literal["rule", "shape", "none"] = Field(
        "shape",
        description="rule: of the two twins the one with sum S (phi - mean) r^2 >= 0; shape: the one whose modulus is "
        "skewed along a fixed direction; none: as drawn",
    )
    symmetries: Literal["cube", "reflection", "none"] = Field(
        "cube",
        description="training samples turned and mirrored: cube: by one of its 48 symmetries, which take (111) to "
        "other reflections of its kind; reflection: by one of the 6 that leave it where it is",
    )
    phase_where: Literal["crystal", "everywhere"] = Field(
        "crystal",
        description="voxels whose phase counts; everywhere: those without a crystal, too, of phase 0, as in the public "
        "code",
    )
    phase_weight: float = Field(1.0, ge=0, description="weight of the mean absolute error of phase / 2 pi")
    physics_weight: float = Field(1.0, ge=0, description="weight of the mean absolute error of the pattern's modulus")

    @model_validator(mode="after")
    def _some_stage(self):
        if self.stage_epochs is not None and (min(self.stage_epochs) < 0 or max(self.stage_epochs) < 1):
            raise ValueError(f"stage_epochs {self.stage_epochs}: expected four numbers, at least one above 0")
        return self


class CdiNn3dParameters(PredictionParameters):
    batch: int = Field(8, ge=1, description="volumes that go through the network together")
    oversampling: float = Field(
        1.5, ge=1, le=4, description="volumes larger than the network's are cropped and resampled to about this ratio"
    )
