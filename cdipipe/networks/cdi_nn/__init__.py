"""CDI NN: 32 x 32 patterns to objects in a few milliseconds; its settings, its labels and its losses."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.networks.registry import Network, Stage
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


def build(settings: CdiNnNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.cdi_nn.model import Corrected, RealImaginary, ShapePhase

    if settings.corrector:
        return Corrected(settings.widths, settings.has_norms, settings.data_share, settings.corrector)
    if settings.heads == "complex":
        return RealImaginary(settings.widths, settings.has_norms, settings.data_share)
    return ShapePhase(settings.widths, settings.has_norms)


def prepare(arrays, settings: CdiNnSettings, generator):
    """``inputs`` (B, 1, H, W), ``objects`` (B, H, W) complex64 of largest modulus 1, ``modulus`` of their patterns."""
    from cdipipe.networks.cdi_nn.model import scale_inputs
    from cdipipe.networks.losses.labels import centre_objects, choose_twins, supports_of
    from cdipipe.networks.losses.noise import draw_noise
    from cdipipe.optics import fourier

    intensity = draw_noise(arrays["intensity"], settings.photons, settings.noise_share, generator)
    modulus = intensity.clamp(min=0).sqrt() * arrays["measured"]
    objects = arrays["object"]
    objects = objects / objects.abs().amax((-2, -1), keepdim=True).clamp(min=1e-12)
    if settings.centre != "none":
        objects = centre_objects(objects, 2, subpixel=settings.centre == "subpixel")
    if settings.twins == "rule":
        objects = choose_twins(objects, supports_of(objects, 2), 2)
    return {
        "inputs": scale_inputs(modulus, settings.network.input_gain),
        "objects": objects,
        "modulus": fourier.forward(objects).abs(),
    }


def complex_loss(module, batch, settings: CdiNnSettings):
    """Distance of the objects, plus the R-factor of their patterns."""
    from cdipipe.networks.cdi_nn.model import RealImaginary
    from cdipipe.networks.losses import distances as losses

    objects = RealImaginary.to_objects(module(batch["inputs"]))
    distance = losses.object_distance(objects, batch["objects"], twins=settings.twins == "either")
    misfit = losses.fourier_r_factor(objects, batch["modulus"])
    return distance + settings.physics_weight * misfit, {"distance": distance.detach(), "r_factor": misfit.detach()}


def shape_phase_loss(module, batch, settings: CdiNnSettings):
    """The paper's cross-entropies of shape and phase, (phi + pi) / 2 pi with 1/2 outside the object."""
    import torch

    from cdipipe.networks.losses import distances as losses
    from cdipipe.networks.losses.labels import supports_of

    outputs = module(batch["inputs"]).float()
    objects = batch["objects"]
    mean = (objects * objects.abs()).sum((-2, -1), keepdim=True)  # the global phase: labels have none of their own
    phase = torch.angle(objects * mean.conj()) * supports_of(objects, 2)
    shape = losses.cross_entropy(outputs[:, 0], objects.abs().clamp(max=1))
    angle = losses.cross_entropy(outputs[:, 1], phase / (2 * math.pi) + 0.5)
    return shape + angle, {"shape": shape.detach(), "phase": angle.detach()}


def stages(settings: CdiNnSettings) -> tuple[Stage, ...]:
    loss = complex_loss if settings.network.heads == "complex" else shape_phase_loss
    return (Stage("all", loss) if settings.learns == "all" else Stage("corrector", loss, ("corrector",)),)


def apply(module, settings, intensity, measured):
    """Objects of (B, ...) centred patterns of the network's size; pixels not measured count as dark."""
    from cdipipe.networks.cdi_nn.model import scale_inputs

    modulus = intensity.clamp(min=0).sqrt() * measured
    return module.to_objects(module(scale_inputs(modulus, settings.input_gain)))


def check_corpus(plan, settings: CdiNnSettings) -> None:
    """Patterns must be two-dimensional and of the network's size."""
    size, dimensions = plan.parameters.get("size"), plan.parameters.get("dimensions", 2)
    if dimensions != 2 or size != settings.network.size:
        raise InputError(
            f"cdi_nn: the corpus holds {plan.kind} of size {size} in {dimensions} dimensions; expected 2 dimensions "
            f"and size {settings.network.size}"
        )


NETWORK = Network(
    name="cdi_nn",
    summary="encoder and decoder for 32 x 32 patterns; one network (real, imaginary) or two (shape, phase)",
    reference="Cherukara, Nashed, Harder, Sci. Rep. 8, 16520 (2018), doi:10.1038/s41598-018-34525-1",
    version=1,
    settings=CdiNnSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
)
