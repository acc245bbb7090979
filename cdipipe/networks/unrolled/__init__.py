"""Unrolled phasing: GPS and a small network, which tells object and support, take turns."""

from __future__ import annotations

from pathlib import Path

from cdipipe.errors import InputError
from cdipipe.networks.registry import Network
from cdipipe.networks.unrolled.settings import UnrolledNetwork, UnrolledParameters, UnrolledSettings

WEIGHTS = {
    (2, "real"): Path(__file__).with_name("weights.pt"),
    (2, "complex"): Path(__file__).with_name("weights_complex.pt"),
    (3, "complex"): Path(__file__).with_name("weights_volumes.pt"),
}
"""By the dimensions of the patterns and the kind of objects."""


def build(settings: UnrolledNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.unrolled.model import Unrolled

    return Unrolled(**settings.model_dump())


def prepare(arrays, settings: UnrolledSettings, generator):
    """Inputs and labels, see ``cdipipe.networks.unrolled.loss``."""
    from cdipipe.networks.unrolled.loss import prepare

    return prepare(arrays, settings, generator)


def stages(settings: UnrolledSettings):
    """What is lowered, stage by stage."""
    from cdipipe.networks.unrolled.loss import stages

    return stages(settings)


def apply(module, settings: UnrolledNetwork, intensity, measured):
    """Objects of (B, *grid) centred patterns from one random start, on the patterns' grid, with their photons."""
    from cdipipe.networks.unrolled.predictor import from_starts, in_whole_grid

    how = UnrolledParameters(starts=1).filled(settings)
    boxes, _ = from_starts(module, intensity, measured, how)
    return in_whole_grid(boxes, (settings.size,) * settings.dimensions)


def predict(parameters: UnrolledParameters, pattern_shape: tuple[int, ...], device):
    """The predictor of the checkpoint, or of the weights of the package.

    Raises
    ------
    InputError   the checkpoint is none, no weights come along, or patterns of another shape than it was trained for
    """
    from cdipipe.networks.unrolled.predictor import load_unrolled

    file = parameters.checkpoint or str(weights_of(parameters.objects, len(pattern_shape)))
    predictor = load_unrolled(file, parameters, device)
    if not predictor.takes(pattern_shape):
        got, wanted = (" x ".join(map(str, shape)) for shape in (pattern_shape, predictor.pattern_shape))
        wanted += "" if predictor.settings.real else " or more"
        whose = f"of {file}" if parameters.checkpoint else "of the package"
        raise InputError(
            f"unrolled: patterns of {got}; the network {whose} takes {wanted}; crop them (cdipipe import --crop), or "
            "train one for this size and give --checkpoint RUN/best.pt"
        )
    return predictor


def weights_of(objects: str, dimensions: int) -> Path:
    """The weights of the package for such objects.

    Raises
    ------
    InputError   none come along
    """
    file = WEIGHTS.get((dimensions, objects if objects != "auto" else "real" if dimensions == 2 else "complex"))
    if file is None:
        kind = f"{'' if objects == 'auto' else objects + ' '}objects in {dimensions} dimensions"
        raise InputError(
            f"unrolled: no weights for {kind} come with the package; train it and give --checkpoint RUN/best.pt"
        )
    return file


def check_corpus(plan, settings: UnrolledSettings) -> None:
    """Patterns of the network's size and dimensions; real objects where it wants such."""
    parameters, network = plan.parameters, settings.network
    size, dimensions = parameters.get("size"), parameters.get("dimensions", 3 if plan.kind == "crystal" else 2)
    if dimensions != network.dimensions or size not in (network.size, network.box_px):
        raise InputError(
            f"unrolled: the corpus holds {plan.kind} of size {size} in {dimensions} dimensions; expected "
            f"{network.dimensions} dimensions and size {network.size}, or objects alone in the box's "
            f"{network.box_px} pixels (network.dimensions, network.size, network.box_px)"
        )
    if network.real and plan.kind != "pseudo_objects":
        raise InputError(f"unrolled: objects of scene {plan.kind} are complex; take network.real=false")
    if network.real and (phase := parameters.get("phase_range_rad")):
        raise InputError(
            f"unrolled: the objects of the corpus have phases over {phase:.3g} rad; take network.real=false"
        )


NETWORK = Network(
    name="unrolled",
    summary="GPS and a small network that tells object and support, in turns, from several random starts",
    reference="Unrolled physics after Adler and Oktem, IEEE Trans. Med. Imaging 37, 1322 (2018), "
    "doi:10.1109/TMI.2018.2799231 (learned primal-dual); its steps: Pham et al., Opt. Express 27, 2792 (2019)",
    version=2,
    settings=UnrolledSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
    dimensions=None,
    parameters=UnrolledParameters,
    predict=predict,
    weights=WEIGHTS[2, "real"],
    other_weights=tuple(file for file in WEIGHTS.values() if file != WEIGHTS[2, "real"]),
)
