"""3D-CDI-NN: 32 x 32 x 32 Bragg peaks to shape and phase of a crystal."""

from __future__ import annotations

from pathlib import Path

from cdipipe.errors import InputError
from cdipipe.networks.cdi_nn_3d.settings import CdiNn3dNetwork, CdiNn3dParameters, CdiNn3dSettings
from cdipipe.networks.registry import Network


def build(settings: CdiNn3dNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.cdi_nn_3d.model import EncoderTwoDecoders
    from cdipipe.networks.layers.complex_heads import Corrected, RealImaginary

    how = {"ndim": 3, "log_input": True, "finer": settings.size // settings.object_size}
    if settings.heads == "complex" and settings.corrector:
        again = {"passes": settings.passes, "memory": settings.memory}
        return Corrected(settings.widths, True, settings.data_share, settings.corrector, **again, **how)
    if settings.heads == "complex":
        return RealImaginary(settings.widths, True, settings.data_share, **how)
    return EncoderTwoDecoders(settings.widths, settings.dropout, settings.phase_scale)


def prepare(arrays, settings: CdiNn3dSettings, generator):
    """Inputs and labels, see ``cdipipe.networks.cdi_nn_3d.loss``."""
    from cdipipe.networks.cdi_nn_3d.loss import prepare

    return prepare(arrays, settings, generator)


def stages(settings: CdiNn3dSettings):
    """What is lowered, stage by stage."""
    from cdipipe.networks.cdi_nn_3d.loss import stages

    return stages(settings)


def apply(module, settings: CdiNn3dNetwork, intensity, measured):
    """Objects of (B, ...) centred patterns of the network's size; pixels not measured count as dark."""
    import torch

    from cdipipe.networks.cdi_nn_3d.model import scale_inputs
    from cdipipe.networks.cdi_nn_3d.peak import centre_peak
    from cdipipe.networks.layers.complex_heads import in_grid

    intensity = intensity.clamp(min=0) * measured
    flat, intensity, ramp = centre_peak(torch.ones_like(intensity, dtype=torch.complex64), intensity, settings)
    inputs = scale_inputs(intensity.sqrt(), settings.input_gain)
    outputs = module(inputs, ramp) if settings.heads == "complex" else module(inputs)
    objects = in_grid(module.to_objects(outputs), intensity.shape[1:])
    return objects * flat.conj()  # what came off the object goes back onto it


def check_corpus(plan, settings: CdiNn3dSettings) -> None:
    """Objects must be cubes of the network's size, or of its box, where it has one."""
    size = plan.parameters.get("size")
    solid = plan.kind == "crystal" or plan.parameters.get("dimensions") == 3
    wanted = settings.network.object_size
    if not solid or size != wanted:
        what = "volumes" if solid else "planes"
        raise InputError(
            f"cdi_nn_3d: the corpus holds {plan.kind} ({what} of size {size}); expected volumes of size "
            f"{wanted}, from crystal or from polygons with dimensions 3"
        )


NETWORK = Network(
    name="cdi_nn_3d",
    summary="Convolutional network for Bragg peaks, resampled to 32^3; no iterations, and a start for those that have",
    reference="Chan et al., Rapid 3D nanoscale coherent imaging via physics-aware deep learning, "
    "Appl. Phys. Rev. 8, 021407 (2021), doi:10.1063/5.0031486",
    version=3,
    settings=CdiNn3dSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
    dimensions=3,
    parameters=CdiNn3dParameters,
    weights=Path(__file__).with_name("weights.pt"),
)
