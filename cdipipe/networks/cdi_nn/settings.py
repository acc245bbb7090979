"""What CDI NN is built from, how it is trained, and what a reconstruction takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.networks.prediction import PredictionParameters
from cdipipe.networks.training_settings import NetworkSettings, Schedule, TrainingSettings


class CdiNnNetwork(NetworkSettings):
    heads: Literal["complex", "shape_phase"] = Field(
        "complex", description="complex: one network, real and imaginary part; shape_phase: the paper's two networks"
    )
    size: int = Field(32, ge=8, le=512, description="pixels per axis of patterns and objects")
    widths: tuple[int, ...] = Field(
        (32, 64, 128), min_length=1, max_length=6, description="channels of each level; (16, 32, 64) is the small size"
    )
    batch_norm: bool | None = Field(
        None,
        description="a batch norm after each convolution but the last (not in the paper): learns faster; not given: "
        "with heads complex",
    )
    data_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the object's Fourier projection, which has the measured modulus, in the result (complex "
        "heads only, not in the paper); it costs next to nothing and lowers the error",
    )
    corrector: tuple[int, ...] = Field(
        (),
        max_length=6,
        description="channels of each level of a second network that corrects the object with the help of its Fourier "
        "projection (complex heads only, not in the paper), such as (16, 32, 64); (): none",
    )
    passes: int = Field(1, ge=1, le=50, description="how often the corrector does so, with the same weights")
    input_gain: float = Field(1500.0, gt=0, description="largest value of the input, whatever the photons")

    @model_validator(mode="after")
    def _halves(self):
        if self.size % 2 ** len(self.widths):
            raise ValueError(f"size {self.size} cannot be halved {len(self.widths)} times, once per level of widths")
        if min(self.widths + self.corrector) < 1:
            raise ValueError(f"widths {self.widths}, corrector {self.corrector}: each level needs at least 1 channel")
        if self.corrector and self.heads != "complex":
            raise ValueError("a corrector needs heads 'complex'")
        if self.size % 2 ** max(len(self.corrector) - 1, 0):
            raise ValueError(f"size {self.size} cannot be halved {len(self.corrector) - 1} times, as corrector asks")
        return self

    @property
    def has_norms(self) -> bool:
        return self.heads == "complex" if self.batch_norm is None else self.batch_norm


class CdiNnSettings(TrainingSettings):
    """Defaults are ours; the paper has heads shape_phase, batches of 256, and a constant rate without clipping."""

    network: CdiNnNetwork = CdiNnNetwork()
    batch_size: int = Field(32, ge=1, description="samples per step and process")
    schedule: Schedule = "cosine"
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: any")
    centre: Literal["subpixel", "pixel", "none"] = Field(
        "subpixel", description="labels with their centre of mass in the middle"
    )
    twin: Literal["either", "rule", "none"] | None = Field(
        None,
        description="either: the loss is the lesser of both twins' (complex heads only, and their default); rule: "
        "labels with sum S (phi - mean) r^2 >= 0 (default of shape_phase); none: as drawn",
    )
    physics_weight: float = Field(0.2, ge=0, description="weight of the R-factor of the predicted object's pattern")
    learns: Literal["all", "corrector"] = Field(
        "all", description="corrector: the first network keeps the weights that start_from gave it"
    )

    @model_validator(mode="after")
    def _twin_fits(self):
        if self.learns == "corrector" and not self.network.corrector:
            raise ValueError("learns 'corrector' needs network.corrector, such as [16, 32, 64]")
        if self.network.heads == "shape_phase" and self.twin == "either":
            raise ValueError("twin 'either' needs network.heads 'complex'; take 'rule' for shape_phase")
        return self

    @property
    def twins(self) -> str:
        return self.twin or ("either" if self.network.heads == "complex" else "rule")


class CdiNnParameters(PredictionParameters):
    views: Literal[1, 2, 4, 8] = Field(
        1,
        description="turned and mirrored copies of each pattern whose objects are averaged: better, and takes as many "
        "times longer",
    )
    refine: int = Field(
        0,
        ge=0,
        le=100_000,
        description="steps of each of four rounds that fit an object of constant modulus to the pattern; of several "
        "views, as many as it takes until two agree, the best one stays. 75: much better for objects like those of the "
        "training, and slower; 0: none",
    )
