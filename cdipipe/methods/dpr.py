"""DPR: a real object from a masked pattern in one pass through a network that knows what a mask does."""

from __future__ import annotations

from pydantic import Field

from cdipipe.phasing.registry import Parameters, Predictor


class DprParameters(Parameters):
    checkpoint: str | None = Field(None, description="file that `cdipipe train dpr` wrote (also --checkpoint)")
    batch: int = Field(16, ge=1, description="patterns that go through the network together, on a GPU")
    support_threshold: float = Field(
        0.01, gt=0, lt=1, description="the support is where the object exceeds this share of its 99 % quantile"
    )


def predict(parameters: DprParameters, pattern_shape: tuple[int, ...], device):
    """The predictor of the checkpoint.

    Raises
    ------
    InputError   no checkpoint, one that is none, or patterns of another size than it was trained for
    """
    from cdipipe.errors import InputError
    from cdipipe.networks.dpr.predictor import load_dpr

    if len(pattern_shape) != 2:
        raise InputError(f"dpr takes patterns of two dimensions; got {pattern_shape}")
    if parameters.checkpoint is None:
        raise InputError("dpr: no weights come with the package; train it and give --checkpoint RUN/best.pt")
    predictor = load_dpr(parameters.checkpoint, device, parameters.support_threshold)
    if pattern_shape != (predictor.size, predictor.size):
        raise InputError(
            f"dpr: patterns of {pattern_shape[0]} x {pattern_shape[1]}; the network of {parameters.checkpoint} takes "
            f"{predictor.size} x {predictor.size}; crop them (cdipipe import --crop), or train one for this size"
        )
    return predictor


METHOD = Predictor(
    name="dpr",
    summary="Network with weighted partial convolutions for masked patterns of real objects; start of dpr -> gps",
    reference="Lee et al., Deep-learning real-time phase retrieval of imperfect diffraction patterns from X-ray "
    "free-electron lasers, npj Comput. Mater. (2025); partial convolution: Liu et al., ECCV 2018, "
    "doi:10.1007/978-3-030-01252-6_6",
    parameters=DprParameters,
    predict=predict,
    needs=("plane", "weights"),
)
