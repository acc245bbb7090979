"""Every denoiser removes noise, in every shape, and scales with its input."""

import numpy as np
import pytest
import torch

from cdipipe.denoise.block_matching import _haar, denoise_by_block_matching
from cdipipe.denoise.denoisers import KINDS, denoise
from cdipipe.errors import InputError
from cdipipe.networks.denoiser import NETWORK
from cdipipe.networks.denoiser.inference import load_denoiser
from cdipipe.networks.registry import get_network
from cdipipe.simulation.sources.photographs import photograph, resized

CLEANERS = [kind for kind in KINDS if kind != "none"]


@pytest.fixture(scope="module")
def image():
    return torch.from_numpy(resized(photograph("camera.png"), (70, 62)) / 255.0)


def noisy(image, sigma, seed=0):
    return image + sigma * torch.from_numpy(np.random.default_rng(seed).standard_normal(image.shape))


def psnr(image, other):
    return -10 * float(torch.log10((image - other).square().mean()))


@pytest.mark.parametrize("kind", CLEANERS)
def test_noise_goes(kind, image):
    assert psnr(image, denoise(noisy(image, 0.1), 0.1, kind)) > 24.5
    assert psnr(image, denoise(noisy(image, 0.01), 0.01, kind)) > 40.3


@pytest.mark.parametrize("kind", CLEANERS)
def test_the_unit_does_not_matter(kind, image):
    one, other = (denoise(noisy(image, 0.1) * scale, 0.1 * scale, kind) / scale for scale in (1.0, 300.0))
    assert torch.allclose(one, other, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (9, 8), (33, 17), (3, 12, 14)], ids=str)
def test_odd_shapes_and_complex_images(kind, shape):
    values = torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    clean = denoise(values, 1.0, kind)
    assert clean.shape == shape and clean.is_complex() and bool(torch.isfinite(torch.view_as_real(clean)).all())
    assert torch.equal(denoise(values.real, 1.0, kind), clean.real)


def test_nothing_is_done_without_noise(image):
    for kind in KINDS:
        assert torch.equal(denoise(image, 0.0, kind), image)
    with pytest.raises(ValueError, match="block_matching"):
        denoise(image, 0.1, "wavelets")


def test_a_flat_image_stays_flat_and_its_noise_averages_out():
    flat = torch.full((40, 40), 5.0)
    assert torch.allclose(denoise_by_block_matching(flat, 1.0), flat, atol=1e-3)
    assert float((denoise_by_block_matching(noisy(flat.double(), 1.0).float(), 1.0) - flat).std()) < 0.25


def test_the_haar_transform_is_orthonormal():
    for size in (1, 2, 16):
        assert torch.allclose(_haar(size) @ _haar(size).T, torch.eye(size), atol=1e-6)


def test_the_network_is_small_and_homogeneous(image):
    assert NETWORK.weights.stat().st_size < 2**20
    network = load_denoiser()
    x = noisy(image, 0.1)[:64, :60].float()[None, None]
    level = torch.full((1, 1, 1, 1), 0.1)
    assert torch.allclose(network(3 * x, 3 * level), 3 * network(x, level), rtol=1e-3, atol=1e-3)


def test_the_shipped_weights_denoise_as_ever():
    """Any change of the weights, the file or the network shows in this number."""
    rng = np.random.default_rng(7)
    picture = torch.from_numpy(rng.random((20, 24)))
    assert float(denoise(picture, 0.1, "learned").sum()) == pytest.approx(244.81394, abs=1e-3)


def test_a_checkpoint_of_another_network_is_refused(image):
    file = str(get_network("cdi_nn").weights)
    with pytest.raises(InputError, match="a checkpoint of 'cdi_nn'; expected one of 'denoiser'"):
        denoise(image, 0.1, "learned", file)
