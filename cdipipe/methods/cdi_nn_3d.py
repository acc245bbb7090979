"""3D-CDI-NN: shape and phase of a crystal from a Bragg peak in one pass through a convolutional network."""

from __future__ import annotations

from pydantic import Field

from cdipipe.methods.cdi_nn import NetworkParameters
from cdipipe.phasing.registry import Predictor


class CdiNn3dParameters(NetworkParameters):
    batch: int = Field(8, ge=1, description="volumes that go through the network together")
    oversampling: float = Field(
        1.5, ge=1, le=4, description="volumes larger than the network's are cropped and resampled to about this ratio"
    )


def predict(parameters: CdiNn3dParameters, pattern_shape: tuple[int, ...], device):
    """The predictor of the checkpoint, for volumes.

    Raises
    ------
    InputError   patterns of two dimensions, volumes that are too small, or a checkpoint that is none
    """
    from cdipipe.errors import InputError
    from cdipipe.networks.predictor import load_predictor

    if len(pattern_shape) != 3:
        raise InputError(f"cdi_nn_3d takes volumes; got patterns of shape {pattern_shape}; cdi_nn is for those")
    return load_predictor("cdi_nn_3d", parameters, device)


METHOD = Predictor(
    name="cdi_nn_3d",
    summary="Convolutional network for Bragg peaks, resampled to 32^3; no iterations, and a start for those that have",
    reference="Chan et al., Rapid 3D nanoscale coherent imaging via physics-aware deep learning, "
    "Appl. Phys. Rev. 8, 021407 (2021), doi:10.1063/5.0031486",
    parameters=CdiNn3dParameters,
    predict=predict,
    needs=("volume",),
)
