import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.measurement import Measurement
from cdipipe.optics import fourier


@pytest.fixture(params=[(48, 48), (45, 50), (16, 18, 20)], ids=str)
def known(request):
    """(Measurement without noise, object, support)."""
    object_, support = make_object(request.param)
    ndim = object_.ndim
    intensity = fourier.forward(torch.from_numpy(object_), ndim).abs().square().numpy()
    stack = "single" if ndim == 2 else "volume"
    return Measurement(intensity, np.ones(intensity.shape, bool), stack), object_, support
