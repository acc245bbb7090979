"""A small denoiser of pictures with white noise, which methods use at the end or in between."""

from __future__ import annotations

from pathlib import Path

from cdipipe.errors import InputError
from cdipipe.networks.denoiser.settings import DenoiserNetwork, DenoiserSettings
from cdipipe.networks.registry import Network


def build(settings: DenoiserNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.denoiser.model import Denoiser

    return Denoiser(settings.width, settings.blocks)


def prepare(arrays, settings: DenoiserSettings, generator):
    """Inputs and labels, see ``cdipipe.networks.denoiser.loss``."""
    from cdipipe.networks.denoiser.loss import prepare

    return prepare(arrays, settings, generator)


def stages(settings: DenoiserSettings):
    """What is lowered, stage by stage."""
    from cdipipe.networks.denoiser.loss import stages

    return stages(settings)


def check_corpus(plan, settings: DenoiserSettings) -> None:
    """Two-dimensional objects with sides that can be halved twice."""
    size, dimensions = plan.parameters.get("size"), plan.parameters.get("dimensions", 2)
    if dimensions != 2 or size % 4:
        raise InputError(
            f"denoiser: the corpus holds {plan.kind} of size {size} in {dimensions} dimensions; expected 2 dimensions "
            "and a multiple of 4, as `cdipipe corpus pictures` makes them"
        )


NETWORK = Network(
    name="denoiser",
    summary="Small residual U-Net that is told the noise: pictures with white noise to pictures without",
    reference="Zhang et al., IEEE Trans. Image Process. 27, 4608 (2018), doi:10.1109/TIP.2018.2839891 (noise level as "
    "an input); Mohan et al., Robust and interpretable blind image denoising via bias-free CNNs, arXiv:1906.05478",
    version=1,
    settings=DenoiserSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    arrays=("object",),
    check_corpus=check_corpus,
    weights=Path(__file__).with_name("weights.pt"),
)
