"""Minimal filtering against the convolution that it stands for."""

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend, winograd

pytestmark = pytest.mark.skipif(backend.native is None, reason="cdipipe._native is not built")

# batch, grid, channels in, channels out
SHAPES = {"square": (1, (16, 16), 32, 16), "batch": (3, (8, 20), 16, 48), "one tile": (1, (4, 4), 16, 16)}


def convolve(image, kernels, bias, out, add=None, residual=None):
    products = torch.bmm(winograd.transform_input(image), winograd.transform_kernels(kernels))
    return winograd.transform_output_(products, out, bias, add, residual)


def arrays(shape, generator):
    batch, grid, channels_in, channels_out = shape
    image = torch.randn(batch, *grid, channels_in, generator=generator)
    kernels = torch.randn(channels_out, channels_in, 3, 3, generator=generator) / (3 * channels_in**0.5)
    bias = torch.randn(channels_out, generator=generator)
    others = [torch.randn(batch, *grid, channels_out, generator=generator) for _ in range(2)]
    return image, kernels, bias, *others


@pytest.mark.parametrize("extras", ["", "add", "residual", "both"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_it_is_a_convolution_with_reflected_borders(shape, extras, generator):
    image, kernels, bias, add, residual = arrays(shape, generator)
    options = {
        "add": add if extras in ("add", "both") else None,
        "residual": residual if extras in ("residual", "both") else None,
    }
    got = convolve(image, kernels, bias, torch.empty_like(add), **options)
    wanted = winograd.reference_convolution(image.double(), kernels.double(), bias.double(), **options)
    assert_close(got, wanted.float(), 2e-5)


@pytest.mark.parametrize("level", backend.native.simd_levels() if backend.native else [])
def test_every_instruction_set_gives_the_same(level, generator):
    image, kernels, bias, add, residual = arrays((2, (12, 8), 32, 32), generator)
    before = backend.native.simd_level()
    backend.native.set_simd_level(level)
    try:
        got = convolve(image, kernels, bias, torch.empty_like(add), add, residual)
    finally:
        backend.native.set_simd_level(before)
    assert_close(got, winograd.reference_convolution(image, kernels, bias, add, residual), 2e-5)


def test_some_channels_of_wider_images(generator):
    image, kernels, bias, _, residual = arrays((2, (8, 8), 64, 64), generator)
    out = torch.zeros(2, 8, 8, 64)
    part, kernels, bias = image[..., 16:48], kernels[:32, :32], bias[:32]
    convolve(part, kernels, bias, out[..., 32:], residual=residual[..., 32:])
    wanted = winograd.reference_convolution(part, kernels, bias, residual=residual[..., 32:])
    assert_close(out[..., 32:], wanted, 2e-5)
    assert not out[..., :32].any()


def test_a_constant_image_is_multiplied_with_the_sum_of_the_kernel(generator):
    _, kernels, bias, *_ = arrays(SHAPES["square"], generator)
    out = convolve(torch.ones(1, 16, 16, 32), kernels, bias, torch.empty(1, 16, 16, 16))
    assert_close(out, torch.relu(kernels.sum((1, 2, 3)) + bias).expand_as(out), 2e-5)


def test_what_does_not_fit_is_named():
    assert not winograd.fits(6, 8, 16, torch.device("cpu")) and not winograd.fits(8, 8, 8, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"image: got \(1, 6, 8, 16\)"):
        winograd.transform_input(torch.ones(1, 6, 8, 16))
    with pytest.raises(ValueError, match="float32, rows without gaps"):
        winograd.transform_input(torch.ones(1, 16, 8, 16)[:, ::2])
    products, image, bias = torch.ones(36, 4, 16), torch.ones(1, 8, 8, 16), torch.ones(16)
    with pytest.raises(ValueError, match="products"):
        winograd.transform_output_(products[:, :3], image, bias)
    with pytest.raises(ValueError, match="add"):
        winograd.transform_output_(products, image, bias, add=image[:, :4])
    with pytest.raises(ValueError, match="residual"):
        winograd.transform_output_(products, image, bias, residual=image.expand(1, 8, 8, 16).transpose(1, 2))
