"""What 3D-CDI-NN learns from, and what it lowers: with complex heads one distance, with the paper's four stages."""

from __future__ import annotations

import math

import torch

from cdipipe.networks.cdi_nn_3d.model import EncoderTwoDecoders, scale_inputs
from cdipipe.networks.cdi_nn_3d.peak import centre_peak
from cdipipe.networks.cdi_nn_3d.settings import CdiNn3dSettings
from cdipipe.networks.layers.complex_heads import RealImaginary, in_grid
from cdipipe.networks.losses import distances, labels
from cdipipe.networks.losses.noise import draw_noise
from cdipipe.networks.registry import Stage
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices


def prepare(arrays, settings: CdiNn3dSettings, generator):
    """``inputs`` (B, 1, D, H, W), ``modulus`` and ``ramp``, and labels: ``objects``, or ``shape`` and ``phase``.

    Where the network has a box, its objects are those of the corpus, and their patterns are computed on the finer grid.
    The shape has its largest value 1, the phase is phi / 2 pi + 1/2, 1/2 outside.
    """
    objects, intensity = arrays["object"], arrays["intensity"] * arrays["measured"]
    axes, box = (-3, -2, -1), tuple(objects.shape[1:])
    if settings.network.box is not None:
        objects = in_grid(objects, (settings.network.size,) * 3)
        intensity = fourier.forward(objects, 3).abs().square()
    if settings.symmetries != "none" and torch.is_grad_enabled():  # validation sees the crystals as they are
        turns = range(48) if settings.symmetries == "cube" else range(0, 48, 8)  # all, or the orders of the axes
        turn = turns[int(torch.randint(len(turns), (), generator=generator, device=generator.device))]
        objects, intensity = (labels.turn_cube(array, turn) for array in (objects, intensity))
    objects, intensity, ramp = centre_peak(objects, intensity, settings.network)
    intensity = draw_noise(intensity, settings.photons, settings.noise_share, generator)
    modulus = intensity.clamp(min=0).sqrt()
    if settings.centre != "none":
        objects = labels.centre_objects(objects, 3, subpixel=settings.centre == "subpixel")
    supports = labels.supports_of(objects, 3)
    if settings.twins in ("rule", "shape"):
        choose = labels.choose_twins if settings.twins == "rule" else labels.choose_twins_by_shape
        objects = choose(objects, supports, 3)
        supports = labels.supports_of(objects, 3)
    inputs = scale_inputs(modulus, settings.network.input_gain)
    if settings.network.heads == "complex":
        objects = objects / objects.abs().amax(axes, keepdim=True).clamp(min=1e-12)
        exact = fourier.forward(objects * ramp, 3).abs()
        objects = objects[(..., *central_slices(objects.shape[1:], box))]
        return {"inputs": inputs, "objects": objects, "modulus": exact, "ramp": ramp}
    shape = objects.abs() / objects.abs().amax(axes, keepdim=True).clamp(min=1e-12)
    reference = (objects * objects.abs()).sum(axes, keepdim=True)
    phase = torch.angle(objects * reference.conj()) * supports
    return {
        "inputs": inputs,
        "shape": shape * supports,
        "phase": phase / (2 * math.pi) + 0.5,
        "modulus": modulus,
        "ramp": ramp,
    }


def complex_loss(module, batch, settings: CdiNn3dSettings):
    """Distance of the objects, plus the R-factor of their patterns."""
    objects = RealImaginary.to_objects(module(batch["inputs"], batch["ramp"]))
    distance = distances.object_distance(objects, batch["objects"], twins=settings.twins == "either", ndim=3)
    whole = in_grid(objects, batch["ramp"].shape[1:])
    misfit = distances.fourier_r_factor(whole * batch["ramp"], batch["modulus"], ndim=3)
    return distance + settings.pattern_weight * misfit, {"distance": distance.detach(), "r_factor": misfit.detach()}


def _terms(outputs, batch, settings: CdiNn3dSettings):
    """Mean absolute errors of shape, phase and pattern, each over all voxels; phases count where they are to."""
    outputs = outputs.float()
    phase, shape = outputs.unbind(1)
    counted = (batch["shape"] > 0).to(phase.dtype) if settings.phase_where == "crystal" else 1.0
    return {
        "shape": distances.mean_absolute_error(shape, batch["shape"]),
        "phase": distances.mean_absolute_error(phase * counted, batch["phase"] * counted),
        "pattern": distances.modulus_error(EncoderTwoDecoders.to_objects(outputs) * batch["ramp"], batch["modulus"], 3),
    }


def shape_loss(module, batch, settings: CdiNn3dSettings):
    terms = _terms(module(batch["inputs"]), batch, settings)
    return terms["shape"], {name: value.detach() for name, value in terms.items()}


def phase_loss(module, batch, settings: CdiNn3dSettings):
    terms = _terms(module(batch["inputs"]), batch, settings)
    loss = settings.phase_weight * terms["phase"] + settings.pattern_weight * terms["pattern"]
    return loss, {name: value.detach() for name, value in terms.items()}


def whole_loss(module, batch, settings: CdiNn3dSettings):
    terms = _terms(module(batch["inputs"]), batch, settings)
    loss = terms["shape"] + settings.phase_weight * terms["phase"] + settings.pattern_weight * terms["pattern"]
    return loss, {name: value.detach() for name, value in terms.items()}


def stages(settings: CdiNn3dSettings) -> tuple[Stage, ...]:
    """All at once; with the paper's heads its four: shape; phase on frozen features; phase and features; everything."""
    if settings.network.heads == "complex":
        return (Stage("all", complex_loss),)
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
