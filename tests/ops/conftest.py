"""Devices and random arrays of the kernel tests."""

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(20240607)


@pytest.fixture
def random_complex(device, generator):
    """random_complex(*shape, dtype=complex64): normal values on the device under test."""

    def make(*shape, dtype=torch.complex64):
        return torch.randn(shape, dtype=dtype, generator=generator).to(device)

    return make


@pytest.fixture
def random_real(device, generator):
    """random_real(*shape, dtype=float32): values in [0, 1)."""

    def make(*shape, dtype=torch.float32):
        return torch.rand(shape, dtype=dtype, generator=generator).to(device)

    return make
