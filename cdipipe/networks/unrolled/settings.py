"""What the unrolled network is built from, how it is trained, and what a reconstruction takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cdipipe.networks.training_settings import NetworkSettings, Schedule, TrainingSettings
from cdipipe.settings import Parameters


class UnrolledNetwork(NetworkSettings):
    dimensions: Literal[2, 3] = Field(2, description="of the patterns")
    real: bool = Field(True, description="objects are real and not negative; no: complex")
    size: int = Field(128, ge=16, le=1024, multiple_of=2, description="pixels per axis of patterns")
    box_px: int = Field(
        32, ge=8, le=512, multiple_of=2, description="side of the box that holds the object; all else is empty"
    )
    base: Literal["gps", "hio"] = Field(
        "gps",
        description="iterations between looks: gps begins anew from the network's object; hio goes on in its support, "
        "for complex objects",
    )
    first_support: Literal["box", "autocorrelation"] = Field(
        "box", description="before the first look: the whole box, or half the autocorrelation, which holds the object"
    )
    corrects: bool = Field(
        True,
        description="the network corrects the object that GPS made; no: it tells the support alone, and GPS goes on "
        "from its own object, which takes less training",
    )
    steps: int = Field(7, ge=1, le=200, description="looks of the network, all with the same weights")
    start_iterations: int = Field(20, ge=0, le=10_000, description="of GPS from the random start to the first look")
    iterations: int = Field(12, ge=0, le=10_000, description="of GPS from one look to the next")
    widths: tuple[int, ...] = Field(
        (16, 32, 64, 96), min_length=1, max_length=6, description="channels of each level of the network"
    )

    @model_validator(mode="after")
    def _fits(self):
        if self.box_px > self.size:
            raise ValueError(f"box_px {self.box_px} is larger than the pattern (size {self.size})")
        if min(self.widths) < 1:
            raise ValueError(f"widths {self.widths}: each level needs at least 1 channel")
        if self.base == "hio" and self.real:
            raise ValueError("base hio is for complex objects (real: false)")
        if self.box_px % 2 ** (len(self.widths) - 1):
            raise ValueError(f"box_px {self.box_px} cannot be halved {len(self.widths) - 1} times, as widths ask")
        return self


class UnrolledSettings(TrainingSettings):
    network: UnrolledNetwork = UnrolledNetwork()
    batch_size: int = Field(16, ge=1, description="samples per step and process")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="largest learning rate")
    schedule: Schedule = "cosine"
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: any")
    symmetries: bool = Field(True, description="patterns are turned and mirrored at random, with their objects")
    norm: Literal["l1", "l2", "rms"] = Field(
        "rms", description="of the difference of objects: mean modulus, mean square, or its root, sample by sample"
    )
    late_power: float = Field(
        1.0, ge=0, description="step t of T counts as (t / T) to this power; 0: all alike; large: the last one only"
    )
    told_share: float = Field(
        0.0, ge=0, le=1, description="share of the samples that begin in the true support, more or less spoilt"
    )
    support_weight: float = Field(0.3, ge=0, description="weight of the cross-entropy of the support")


@dataclass(frozen=True)
class Use:
    """How the network is used on one kind of patterns, where nothing else is said; see ``UnrolledParameters``."""

    starts: int
    screen_steps: int
    step_count: int
    second_starts: int
    children: int
    refine: int
    finish: int


USE = {
    "real objects in planes": Use(4, 6, 12, 0, 0, 0, 30),
    "complex objects in planes": Use(7, 3, 6, 2, 3, 20, 0),
    "volumes": Use(4, 6, 12, 8, 0, 0, 30),
}


def _given(name: str, text: str, **limits) -> Field:
    """A field of ``Use``, whose description tells what it is where it is not given."""
    values = ", ".join(f"{getattr(use, name)} for {kind}" for kind, use in USE.items())
    return Field(None, description=f"{text}; not given: {values}", **limits)


class UnrolledParameters(Parameters):
    checkpoint: str | None = Field(
        None,
        description="file that `cdipipe train unrolled` wrote (also --checkpoint); not given: weights of the package, "
        "for real objects of at most 32 pixels in patterns of 128 x 128, for complex objects of at most 40 pixels in "
        "patterns of 80 x 80 and more, and for volumes",
    )
    objects: Literal["auto", "real", "complex"] = Field(
        "auto",
        description="what the weights of the package shall find: real objects without negative values, or complex "
        "ones; auto: real ones in planes, complex ones in volumes",
    )
    batch: int = Field(64, ge=1, description="patterns that go through the network together")
    starts: int | None = _given("starts", "random starts, of which the best stay after screen_steps", ge=1, le=1000)
    start_seed: int = Field(0, ge=0, description="of the random starts, which all patterns share")
    screen_steps: int | None = _given(
        "screen_steps", "steps of every start; the others are those of the best only", ge=1, le=1000
    )
    step_count: int | None = _given(
        "step_count", "steps of the best starts; more than in the training may help", ge=1, le=1000
    )
    second_starts: int | None = _given(
        "second_starts",
        "starts of GPS inside each support that was found, with the whole schedule, the first from the object that was "
        "found with it; the best one stays",
        ge=0,
        le=1000,
    )
    children: int | None = _given(
        "children",
        "of complex objects in planes: so many of the best are averaged with the very best one and phased again",
        ge=0,
        le=1000,
    )
    refine: int | None = _given(
        "refine",
        "of complex objects in planes: Adam steps at the end, on the Poisson likelihood and the total variation",
        ge=0,
        le=10_000,
    )
    finish: int | None = _given(
        "finish",
        "iterations of GPS (ER with base hio) in the support that the network found, before refine; 0: what it drew",
        ge=0,
        le=10_000,
    )
    schedule: tuple[int, int, int] | None = Field(
        None,
        description="looks over which GPS goes from its first to its last softness, its iterations before the first "
        "look, and those before each other; not given: as in the training",
    )

    @field_validator("schedule")
    @classmethod
    def _runs(cls, value):
        if value is not None and not (1 <= value[0] <= 200 and min(value) >= 0 and max(value) <= 10_000):
            raise ValueError("schedule takes 1 to 200 looks and 0 to 10000 iterations")
        return value

    def filled(self, network: UnrolledNetwork) -> UnrolledParameters:
        """The same with all that was not given."""
        kind = "volumes" if network.dimensions == 3 else f"{'real' if network.real else 'complex'} objects in planes"
        missing = {name: value for name, value in vars(USE[kind]).items() if getattr(self, name) is None}
        return self.model_copy(update=missing)
