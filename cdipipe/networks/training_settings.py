"""How a network is trained, as parameters; no torch here, so that a study is validated before anything heavy starts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from cdipipe.bounds import Bounded

Schedule = Literal["constant", "cosine", "step", "warm_restarts"]


class NetworkSettings(Bounded):
    """Base of what a module is built from; frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainingSettings(Bounded):
    """What every training takes; a network has a subclass with its own defaults and its group ``network``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    network: NetworkSettings = NetworkSettings()
    seed: int = Field(0, ge=0, description="of the first weights, the order of the samples, noise and dropout")
    epochs: int = Field(10, ge=1, le=100_000, description="passes over the samples, per stage")
    batch_size: int = Field(256, ge=1, description="samples per step and process")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="largest learning rate")
    least_learning_rate: float = Field(0.0, ge=0, description="learning rate at the end of a cosine")
    optimiser: Literal["adam", "adamw"] = Field("adam", description="how gradients change the weights")
    weight_decay: float = Field(0.0, ge=0, le=1, description="decoupled with adamw, L2 with adam")
    schedule: Schedule = Field(
        "constant",
        description="cosine: to the least rate over a stage; step: times step_factor at step_epochs; warm_restarts: "
        "cosines of cycle_epochs, each cycle_factor times longer than the one before",
    )
    step_epochs: tuple[float, ...] = Field((), description="epochs after which the rate drops")
    step_factor: float = Field(0.1, gt=0, le=1, description="what the rate is multiplied with there")
    cycle_epochs: float = Field(40.0, gt=0, description="length of the first cosine of warm_restarts, in epochs")
    cycle_factor: float = Field(2.0, ge=1, le=100, description="ratio of the lengths of cosines in a row")
    warmup_epochs: float = Field(0.0, ge=0, description="the rate rises linearly over these; with each warm restart")
    asam_rho: float = Field(0.0, ge=0, description="radius of adaptive sharpness-aware minimisation; 0: off")
    asam_eta: float = Field(0.01, ge=0, description="added to the modulus of each weight in its scale")
    clip_norm: float = Field(0.0, ge=0, description="largest norm of the gradient; 0: any")
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="moving average of the weights, which is what is validated and kept: share of it that stays at "
        "each step, such as 0.998; 0: off",
    )
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = Field(
        "auto", description="bf16: mixed precision; auto: on GPUs, where the processor itself stays at 32 bits"
    )
    samples: Literal["corpus", "fresh"] = Field(
        "corpus", description="fresh: new samples in each epoch, drawn with the scene and parameters of the corpus"
    )
    shares: tuple[float, ...] = Field(
        (),
        max_length=100,
        description="several corpora: share of each in the samples; not given: all samples of all",
    )
    samples_per_epoch: int | None = Field(None, ge=1, description="fresh: how many; not given: as many as the corpus")
    vary: dict[str, list[Any]] = Field(
        {}, description="fresh: values of the scene's parameters that take turns, from group to group of samples"
    )
    photons: tuple[float, float] | None = Field(
        None,
        description="Poisson noise drawn anew on a noise-free corpus: range of the photons of a pattern, log-uniform",
    )
    noise_share: float = Field(1.0, ge=0, le=1, description="photons: share of the patterns that get noise")
    validation_share: float = Field(0.1, ge=0, le=0.5, description="share of the corpus, its end, kept for validation")
    checkpoint_steps: int = Field(0, ge=0, description="steps between checkpoints within an epoch; 0: at its end only")
    start_from: str | None = Field(
        None,
        description="checkpoint whose weights are taken where names and shapes are the same, in a study also the name "
        "of another of its networks; not given: none",
    )
    keeps_statistics: bool = Field(
        False,
        description="batch norms take the statistics that start_from gave them, in training as in use; needed where "
        "what they see changes from pass to pass",
    )
    workers: int = Field(0, ge=0, le=256, description="processes that draw fresh samples; 0: none beside")

    @model_validator(mode="after")
    def _possible(self):
        if self.photons is not None and not 0 < self.photons[0] <= self.photons[1] <= 1e12:
            raise ValueError(f"photons {self.photons}: expected a range [lowest, highest] above 0")
        if list(self.step_epochs) != sorted(set(self.step_epochs)):
            raise ValueError(f"step_epochs {self.step_epochs}: expected rising numbers")
        if self.least_learning_rate > self.learning_rate:
            raise ValueError(f"least_learning_rate {self.least_learning_rate} is above learning_rate")
        if self.samples == "corpus" and (self.vary or self.samples_per_epoch is not None):
            raise ValueError("vary and samples_per_epoch belong to samples: fresh")
        if self.keeps_statistics and self.start_from is None:
            raise ValueError("keeps_statistics needs start_from, whose statistics are kept")
        if self.shares and (min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-6):
            raise ValueError(f"shares {self.shares}: expected numbers above 0 that sum up to 1")
        if any(not values for values in self.vary.values()):
            raise ValueError("vary: each parameter needs at least one value")
        return self
