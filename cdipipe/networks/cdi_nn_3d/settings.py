"""What 3D-CDI-NN is built from, how it is trained, and what a reconstruction takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.networks.prediction import PredictionParameters
from cdipipe.networks.training_settings import NetworkSettings, TrainingSettings

PUBLIC_WIDTHS, PAPER_WIDTHS = (32, 64, 128), (64, 128, 256)


class CdiNn3dNetwork(NetworkSettings):
    size: int = Field(32, ge=8, le=128, description="voxels per axis of patterns")
    box: int | None = Field(
        None,
        ge=8,
        description="voxels per axis of the box that holds the object (complex only); half of size: patterns that are "
        "sampled twice as fine as a full box needs, of which the network sees eight, one of every other voxel; corpora "
        "are as large as the box. Not given: size",
    )
    heads: Literal["complex", "shape_phase"] = Field(
        "complex",
        description="complex: real and imaginary part of one decoder, in which neither twin nor global phase has to be "
        "guessed; shape_phase: the paper's two decoders",
    )
    widths: tuple[int, ...] = Field(
        PUBLIC_WIDTHS,
        min_length=1,
        max_length=5,
        description="channels of each level: those of the public code; the paper's figure has (64, 128, 256), and "
        "(8, 16, 32) is the small size",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="after the input and after each convolution (shape_phase only)")
    data_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the object's Fourier projection, which has the measured modulus, in the result (complex "
        "only)",
    )
    corrector: tuple[int, ...] = Field(
        (16, 32),
        max_length=5,
        description="channels of each level of a second network that corrects the object with the help of its Fourier "
        "projection (complex only); (): none",
    )
    passes: int = Field(2, ge=1, le=50, description="how often the corrector does so, with the same weights")
    memory: int = Field(0, ge=0, le=64, description="channels of its own that the corrector hands to its next pass")
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
        description="turns per unit of the phase decoder's last layer (shape_phase only); the public code has 1",
    )

    @model_validator(mode="after")
    def _halves(self):
        side = self.object_size
        if self.size % side:
            raise ValueError(f"size {self.size} is no multiple of box {side}")
        if side != self.size and self.heads != "complex":
            raise ValueError("box belongs to heads 'complex'; shape_phase has objects as large as the patterns")
        if side % 2 ** len(self.widths):
            raise ValueError(f"{side} voxels cannot be halved {len(self.widths)} times, once per level of widths")
        if min(self.widths + self.corrector) < 1:
            raise ValueError(f"widths {self.widths}, corrector {self.corrector}: each level needs at least 1 channel")
        if side % 2 ** max(len(self.corrector) - 1, 0):
            raise ValueError(f"{side} voxels cannot be halved {len(self.corrector) - 1} times, as corrector asks")
        return self

    @property
    def object_size(self) -> int:
        return self.size if self.box is None else self.box

    @property
    def oversampling(self) -> float:
        """Of the largest objects that it learns from: they fill two thirds of their box, at least."""
        return 1.5 if self.box is None else 1.3 * self.size / self.box


class CdiNn3dSettings(TrainingSettings):
    network: CdiNn3dNetwork = CdiNn3dNetwork()
    epochs: int = Field(50, ge=1, le=100_000, description="passes over the samples, per stage")
    stage_epochs: tuple[int, int, int, int] | None = Field(
        None,
        description="epochs of the four stages of heads shape_phase, 0: without it; not given: epochs for each",
    )
    centre: Literal["subpixel", "pixel", "none"] = Field(
        "pixel", description="labels with their centre of mass in the middle"
    )
    twin: Literal["either", "rule", "shape", "none"] | None = Field(
        None,
        description="either: the loss is the lesser of both twins' (complex heads only, and their default); rule: of "
        "the two twins the one with sum S (phi - mean) r^2 >= 0; shape: the one whose modulus is skewed along a fixed "
        "direction (default of shape_phase); none: as drawn",
    )
    symmetries: Literal["cube", "reflection", "none"] = Field(
        "cube",
        description="training samples turned and mirrored: cube: by one of its 48 symmetries, which take (111) to "
        "other reflections of its kind; reflection: by one of the 6 that leave it where it is",
    )
    phase_where: Literal["crystal", "everywhere"] = Field(
        "crystal",
        description="shape_phase: voxels whose phase counts; everywhere: those without a crystal, too, of phase 0, as "
        "in the public code",
    )
    phase_weight: float = Field(
        1.0, ge=0, description="weight of the mean absolute error of phase / 2 pi (shape_phase only)"
    )
    physics_weight: float | None = Field(
        None,
        ge=0,
        description="weight of the pattern's error: complex: of its R-factor, not given: 0.2; shape_phase: of the mean "
        "absolute error of its modulus, not given: 1",
    )
    flat_phases: bool = Field(
        False,
        description="train on a corpus whose phases hardly matter, too: where the true shape with phase zero "
        "correlates above 0.9 with the truth, a network learns that there are none",
    )

    @model_validator(mode="after")
    def _some_stage(self):
        if self.stage_epochs is not None and (min(self.stage_epochs) < 0 or max(self.stage_epochs) < 1):
            raise ValueError(f"stage_epochs {self.stage_epochs}: expected four numbers, at least one above 0")
        if self.network.heads == "complex" and self.stage_epochs is not None:
            raise ValueError("stage_epochs belongs to network.heads 'shape_phase'; complex heads have one stage")
        if self.network.heads == "shape_phase" and self.twin == "either":
            raise ValueError("twin 'either' needs network.heads 'complex'; take 'shape' for shape_phase")
        return self

    @property
    def twins(self) -> str:
        return self.twin or ("either" if self.network.heads == "complex" else "shape")

    @property
    def pattern_weight(self) -> float:
        if self.physics_weight is not None:
            return self.physics_weight
        return 0.2 if self.network.heads == "complex" else 1.0


class CdiNn3dParameters(PredictionParameters):
    batch: int = Field(8, ge=1, description="volumes that go through the network together")
    views: int = Field(
        1,
        ge=1,
        le=48,
        description="symmetries of the cube in which the network sees a pattern; the result is their mean, which errs "
        "less and takes as many times as long",
    )
    oversampling: float | None = Field(
        None,
        ge=1,
        le=8,
        description="volumes larger than the network's are cropped and resampled to about this ratio; not given: 1.5, "
        "and 1.3 times size / box for networks with a box",
    )
