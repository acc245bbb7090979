"""The place of a Bragg peak: what it tells of the phase is no task for the network."""

from __future__ import annotations

import torch

from cdipipe.networks.cdi_nn_3d.settings import CdiNn3dNetwork
from cdipipe.networks.losses import labels


def centre_peak(objects, intensity, settings: CdiNn3dNetwork):
    """(objects without the phase ramp that the peak's place tells, pattern in the middle, ramp that is left in it).

    The centre of mass of a pattern is the mean slope of the phase, weighted with |u|^2: Parseval.
    """

    ramp = torch.ones_like(objects)
    if settings.peak != "none":
        objects, intensity = labels.centre_patterns(objects, intensity, 3)
    if settings.peak == "subpixel":
        ramp = labels.phase_ramp(labels.centre_of_mass(intensity, 3), objects.shape[-3:])
    return objects * ramp.conj(), intensity, ramp
