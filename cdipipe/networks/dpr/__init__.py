"""DPR: masked, noisy patterns to real objects."""

from __future__ import annotations

from cdipipe.errors import InputError
from cdipipe.networks.dpr.settings import DprNetwork, DprParameters, DprSettings
from cdipipe.networks.registry import Network


def build(settings: DprNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.dpr.model import DPR

    return DPR(**settings.model_dump())


def prepare(arrays, settings: DprSettings, generator):
    """Inputs and labels, see ``cdipipe.networks.dpr.loss``."""
    from cdipipe.networks.dpr.loss import prepare

    return prepare(arrays, settings, generator)


def stages(settings: DprSettings):
    """What is lowered, stage by stage."""
    from cdipipe.networks.dpr.loss import stages

    return stages(settings)


def apply(module, settings: DprNetwork, intensity, measured):
    """Objects of (B, size, size) centred patterns on the patterns' grid, with their photons."""
    from cdipipe.networks.dpr.model import in_whole_grid

    return in_whole_grid(module(intensity, measured), settings.size)


def predict(parameters: DprParameters, pattern_shape: tuple[int, ...], device):
    """The predictor of the checkpoint.

    Raises
    ------
    InputError   no checkpoint, one that is none, or patterns of another size than it was trained for
    """
    from cdipipe.networks.dpr.predictor import load_dpr

    if parameters.checkpoint is None:
        raise InputError("dpr: no weights come with the package; train it and give --checkpoint RUN/best.pt")
    predictor = load_dpr(parameters.checkpoint, device, parameters.support_threshold)
    if pattern_shape != (predictor.size, predictor.size):
        raise InputError(
            f"dpr: patterns of {pattern_shape[0]} x {pattern_shape[1]}; the network of {parameters.checkpoint} takes "
            f"{predictor.size} x {predictor.size}; crop them (cdipipe import --crop), or train one for this size"
        )
    return predictor


def check_corpus(plan, settings: DprSettings) -> None:
    """Patterns of the network's size, of real objects that fit into its box."""
    parameters, network = plan.parameters, settings.network
    size, dimensions = parameters.get("size"), parameters.get("dimensions", 2)
    if dimensions != 2 or size != network.size:
        raise InputError(
            f"dpr: the corpus holds {plan.kind} of size {size} in {dimensions} dimensions; expected 2 dimensions and "
            f"size {network.size} (network.size)"
        )
    if phase := parameters.get("phase_range_rad"):
        raise InputError(f"dpr: the objects of the corpus have phases over {phase:.3g} rad; expected phase_range_rad=0")
    extent = parameters.get("object_size") or (min(64, size // 4) if plan.kind == "pseudo_objects" else 0)
    if extent > network.box_px:
        raise InputError(
            f"dpr: objects of up to {extent} pixels do not fit into the box of {network.box_px} = size / "
            "2^downsamplings"
        )


NETWORK = Network(
    name="dpr",
    summary="Network with weighted partial convolutions for masked patterns of real objects; start of dpr -> gps",
    reference="Lee et al., Deep-learning real-time phase retrieval of imperfect diffraction patterns from X-ray "
    "free-electron lasers, npj Comput. Mater. (2025); partial convolution: Liu et al., ECCV 2018, "
    "doi:10.1007/978-3-030-01252-6_6",
    version=1,
    settings=DprSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
    parameters=DprParameters,
    predict=predict,
)
