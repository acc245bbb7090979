"""CDI NN: an object from a pattern in one pass through a convolutional network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cdipipe.phasing.registry import Parameters, Predictor


class NetworkParameters(Parameters):
    """What every method has that is a trained network."""

    checkpoint: str | None = Field(
        None, description="file that `cdipipe train` wrote (also --checkpoint); not given: weights of the package"
    )
    batch: int = Field(256, ge=1, description="patterns that go through the network together")
    precision: Literal["32", "bf16"] = Field(
        "32", description="bf16: half as many bits, faster where the processor knows them, to about 1 % of the maximum"
    )
    support_threshold: float = Field(
        0.1, gt=0, lt=1, description="the support is where the modulus exceeds this share of its maximum"
    )


class CdiNnParameters(NetworkParameters):
    views: Literal[1, 2, 4, 8] = Field(
        1,
        description="turned and mirrored copies of each pattern whose objects are averaged: better, and takes as many "
        "times longer",
    )
    oversampling: float = Field(
        1.2, ge=1, le=4, description="patterns larger than the network's are cropped and resampled to about this ratio"
    )


def predict(parameters: CdiNnParameters, pattern_shape: tuple[int, ...], device):
    """The predictor of the checkpoint, for patterns of two dimensions.

    Raises
    ------
    InputError   volumes, patterns that are too small, or a checkpoint that is none
    """
    from cdipipe.errors import InputError
    from cdipipe.networks.predictor import load_predictor

    if len(pattern_shape) != 2:
        raise InputError(f"cdi_nn takes patterns of two dimensions; got {pattern_shape}; cdi_nn_3d is for volumes")
    return load_predictor("cdi_nn", parameters, device)


METHOD = Predictor(
    name="cdi_nn",
    summary="Convolutional network for 32 x 32 patterns; no iterations, and a start for those that have them",
    reference="Cherukara, Nashed, Harder, Sci. Rep. 8, 16520 (2018), doi:10.1038/s41598-018-34525-1",
    parameters=CdiNnParameters,
    predict=predict,
    needs=("plane",),
)
