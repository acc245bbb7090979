"""CDI NN: 32 x 32 patterns to objects in a few milliseconds."""

from __future__ import annotations

from pathlib import Path

from cdipipe.errors import InputError
from cdipipe.networks.cdi_nn.settings import CdiNnNetwork, CdiNnParameters, CdiNnSettings
from cdipipe.networks.registry import Network


def build(settings: CdiNnNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.cdi_nn.model import ShapePhase
    from cdipipe.networks.layers.complex_heads import Corrected, RealImaginary

    if settings.corrector:
        widths, share, passes = settings.corrector, settings.data_share, settings.passes
        return Corrected(settings.widths, settings.has_norms, share, widths, passes=passes)
    if settings.heads == "complex":
        return RealImaginary(settings.widths, settings.has_norms, settings.data_share)
    return ShapePhase(settings.widths, settings.has_norms)


def prepare(arrays, settings: CdiNnSettings, generator):
    """Inputs and labels, see ``cdipipe.networks.cdi_nn.loss``."""
    from cdipipe.networks.cdi_nn.loss import prepare

    return prepare(arrays, settings, generator)


def stages(settings: CdiNnSettings):
    """What is lowered, stage by stage."""
    from cdipipe.networks.cdi_nn.loss import stages

    return stages(settings)


def apply(module, settings: CdiNnNetwork, intensity, measured):
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
    summary="Convolutional network for 32 x 32 patterns; no iterations, and a start for those that have them",
    reference="Cherukara, Nashed, Harder, Sci. Rep. 8, 16520 (2018), doi:10.1038/s41598-018-34525-1",
    version=1,
    settings=CdiNnSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
    parameters=CdiNnParameters,
    weights=Path(__file__).with_name("weights.pt"),
)
