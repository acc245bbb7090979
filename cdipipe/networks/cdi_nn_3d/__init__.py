"""3D-CDI-NN: 32 x 32 x 32 Bragg peaks to shape and phase of a crystal; its settings, labels, losses and stages."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.networks.registry import Network, Stage
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


def build(settings: CdiNn3dNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.cdi_nn_3d.model import EncoderTwoDecoders

    return EncoderTwoDecoders(settings.widths, settings.dropout, settings.phase_scale)


def prepare(arrays, settings: CdiNn3dSettings, generator):
    """``inputs`` (B, 1, D, H, W), ``shape`` (largest 1) and ``phase`` (phi / 2 pi + 1/2, 1/2 outside), ``modulus``."""
    import torch

    from cdipipe.networks.cdi_nn_3d.model import scale_inputs
    from cdipipe.networks.losses import labels
    from cdipipe.networks.losses.noise import draw_noise

    objects, intensity = arrays["object"], arrays["intensity"] * arrays["measured"]
    axes = (-3, -2, -1)
    if settings.symmetries != "none" and torch.is_grad_enabled():  # validation sees the crystals as they are
        turns = range(48) if settings.symmetries == "cube" else range(0, 48, 8)  # all, or the orders of the axes
        turn = turns[int(torch.randint(len(turns), (), generator=generator, device=generator.device))]
        objects, intensity = (labels.turn_cube(array, turn) for array in (objects, intensity))
    objects, intensity, ramp = _centre_peak(objects, intensity, settings.network)
    intensity = draw_noise(intensity, settings.photons, settings.noise_share, generator)
    modulus = intensity.clamp(min=0).sqrt()
    if settings.centre != "none":
        objects = labels.centre_objects(objects, 3, subpixel=settings.centre == "subpixel")
    supports = labels.supports_of(objects, 3)
    if settings.twin != "none":
        choose = labels.choose_twins if settings.twin == "rule" else labels.choose_twins_by_shape
        objects = choose(objects, supports, 3)
        supports = labels.supports_of(objects, 3)
    shape = objects.abs() / objects.abs().amax(axes, keepdim=True).clamp(min=1e-12)
    reference = (objects * objects.abs()).sum(axes, keepdim=True)
    phase = torch.angle(objects * reference.conj()) * supports
    return {
        "inputs": scale_inputs(modulus, settings.network.input_gain),
        "shape": shape * supports,
        "phase": phase / (2 * math.pi) + 0.5,
        "modulus": modulus,
        "ramp": ramp,
    }


def _centre_peak(objects, intensity, settings: CdiNn3dNetwork):
    """(objects without the phase ramp that the peak's place tells, pattern in the middle, ramp that is left in it).

    The centre of mass of a pattern is the mean slope of the phase, weighted with |u|^2: Parseval.
    """
    import torch

    from cdipipe.networks.losses import labels

    ramp = torch.ones_like(objects)
    if settings.peak != "none":
        objects, intensity = labels.centre_patterns(objects, intensity, 3)
    if settings.peak == "subpixel":
        ramp = labels.phase_ramp(labels.centre_of_mass(intensity, 3), objects.shape[-3:])
    return objects * ramp.conj(), intensity, ramp


def _terms(outputs, batch, settings: CdiNn3dSettings):
    """Mean absolute errors of shape, phase and pattern, each over all voxels; phases count where they are to."""
    from cdipipe.networks.cdi_nn_3d.model import EncoderTwoDecoders
    from cdipipe.networks.losses import distances as losses

    outputs = outputs.float()
    phase, shape = outputs.unbind(1)
    counted = (batch["shape"] > 0).to(phase.dtype) if settings.phase_where == "crystal" else 1.0
    return {
        "shape": losses.mean_absolute_error(shape, batch["shape"]),
        "phase": losses.mean_absolute_error(phase * counted, batch["phase"] * counted),
        "pattern": losses.modulus_error(EncoderTwoDecoders.to_objects(outputs) * batch["ramp"], batch["modulus"], 3),
    }


def shape_loss(module, batch, settings: CdiNn3dSettings):
    terms = _terms(module(batch["inputs"]), batch, settings)
    return terms["shape"], {name: value.detach() for name, value in terms.items()}


def phase_loss(module, batch, settings: CdiNn3dSettings):
    terms = _terms(module(batch["inputs"]), batch, settings)
    loss = settings.phase_weight * terms["phase"] + settings.physics_weight * terms["pattern"]
    return loss, {name: value.detach() for name, value in terms.items()}


def whole_loss(module, batch, settings: CdiNn3dSettings):
    terms = _terms(module(batch["inputs"]), batch, settings)
    loss = terms["shape"] + settings.phase_weight * terms["phase"] + settings.physics_weight * terms["pattern"]
    return loss, {name: value.detach() for name, value in terms.items()}


def stages(settings: CdiNn3dSettings) -> tuple[Stage, ...]:
    """The paper's four stages: shape; phase on frozen features; phase and features; everything."""
    epochs = settings.stage_epochs or (settings.epochs,) * 4
    plan = (
        ("shape", shape_loss, ("encoder", "shape")),
        ("phase", phase_loss, ("phase",)),
        ("phase_and_encoder", phase_loss, ("encoder", "phase")),
        ("all", whole_loss, ()),
    )
    return tuple(
        Stage(name, loss, parts, count) for (name, loss, parts), count in zip(plan, epochs, strict=True) if count
    )


def apply(module, settings, intensity, measured):
    """Objects of (B, ...) centred patterns of the network's size; pixels not measured count as dark."""
    import torch

    from cdipipe.networks.cdi_nn_3d.model import scale_inputs

    intensity = intensity.clamp(min=0) * measured
    flat, intensity, _ = _centre_peak(torch.ones_like(intensity, dtype=torch.complex64), intensity, settings)
    outputs = module(scale_inputs(intensity.sqrt(), settings.input_gain))
    return module.to_objects(outputs) * flat.conj()  # what came off the object goes back onto it


def check_corpus(plan, settings: CdiNn3dSettings) -> None:
    """Patterns must be cubes of the network's size."""
    size = plan.parameters.get("size")
    solid = plan.kind == "crystal" or plan.parameters.get("dimensions") == 3
    if not solid or size != settings.network.size:
        what = "volumes" if solid else "planes"
        raise InputError(
            f"cdi_nn_3d: the corpus holds {plan.kind} ({what} of size {size}); expected volumes of size "
            f"{settings.network.size}, from crystal or from polygons with dimensions 3"
        )


NETWORK = Network(
    name="cdi_nn_3d",
    summary="encoder and two decoders for 32^3 Bragg peaks: shape and phase of a crystal",
    reference="Chan et al., Rapid 3D nanoscale coherent imaging via physics-aware deep learning, "
    "Appl. Phys. Rev. 8, 021407 (2021), doi:10.1063/5.0031486",
    version=2,
    settings=CdiNn3dSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
)
