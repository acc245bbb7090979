"""What CDI NN learns from and what it lowers: labels that a pattern can tell, and the two losses."""

from __future__ import annotations

import math

import torch

from cdipipe.networks.cdi_nn.model import scale_inputs
from cdipipe.networks.cdi_nn.settings import CdiNnSettings
from cdipipe.networks.layers.complex_heads import RealImaginary
from cdipipe.networks.losses import distances
from cdipipe.networks.losses.labels import centre_objects, choose_twins, supports_of
from cdipipe.networks.losses.noise import draw_noise
from cdipipe.networks.registry import Stage
from cdipipe.optics import fourier


def prepare(arrays, settings: CdiNnSettings, generator):
    """``inputs`` (B, 1, H, W), ``objects`` (B, H, W) complex64 of largest modulus 1, ``modulus`` of their patterns."""
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
    objects = RealImaginary.to_objects(module(batch["inputs"]))
    distance = distances.object_distance(objects, batch["objects"], twins=settings.twins == "either")
    misfit = distances.fourier_r_factor(objects, batch["modulus"])
    return distance + settings.physics_weight * misfit, {"distance": distance.detach(), "r_factor": misfit.detach()}


def shape_phase_loss(module, batch, settings: CdiNnSettings):
    """The paper's cross-entropies of shape and phase, (phi + pi) / 2 pi with 1/2 outside the object."""
    outputs = module(batch["inputs"]).float()
    objects = batch["objects"]
    mean = (objects * objects.abs()).sum((-2, -1), keepdim=True)  # the global phase: labels have none of their own
    phase = torch.angle(objects * mean.conj()) * supports_of(objects, 2)
    shape = distances.cross_entropy(outputs[:, 0], objects.abs().clamp(max=1))
    angle = distances.cross_entropy(outputs[:, 1], phase / (2 * math.pi) + 0.5)
    return shape + angle, {"shape": shape.detach(), "phase": angle.detach()}


def stages(settings: CdiNnSettings) -> tuple[Stage, ...]:
    loss = complex_loss if settings.network.heads == "complex" else shape_phase_loss
    return (Stage("all", loss) if settings.learns == "all" else Stage("corrector", loss, ("corrector",)),)
