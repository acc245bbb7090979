"""Total variation: lengths of edges by hand, gradients against finite differences, the proximal step."""

import pytest
import torch
from slopes import guess, slope_along

from cdipipe.optics.total_variation import (
    _adjoint,
    _gradient,
    anisotropic_variation,
    denoise_movie,
    periodic_variation,
    total_variation,
)


@pytest.mark.parametrize("shape", [(12, 15), (6, 8, 7)], ids=str)
def test_the_gradient_is_that_of_finite_differences(shape):
    ndim = len(shape)
    wave, direction = guess(shape).to(torch.complex128), guess(shape, seed=6).to(torch.complex128)
    smoothing = torch.full((2, *[1] * ndim), 1e-2, dtype=torch.float64)
    value, gradient = periodic_variation(wave, ndim, smoothing)
    expected = slope_along(lambda u: periodic_variation(u, ndim, smoothing)[0], wave, direction, 1e-5)
    torch.testing.assert_close((gradient.conj() * direction).real.flatten(1).sum(1), expected, rtol=1e-5, atol=1e-5)
    square = torch.zeros((1, *shape), dtype=torch.complex128)
    square[(0, *[slice(2, 5)] * ndim)] = 1j
    edges, _ = periodic_variation(square, ndim, smoothing[:1] * 1e-6)
    assert 0.75 * 2 * ndim * 3 ** (ndim - 1) < float(edges) <= 2 * ndim * 3 ** (ndim - 1) + 1e-3
    assert value.shape == (2,)


def test_the_gradient_has_its_adjoint():
    generator = torch.Generator().manual_seed(0)
    movie = torch.view_as_complex(torch.randn((4, 5, 6, 2), generator=generator))
    dual = torch.view_as_complex(torch.randn((3, 4, 5, 6, 2), generator=generator))
    dual[0, -1] = 0
    left, right = (_gradient(movie).conj() * dual).sum(), (movie.conj() * _adjoint(dual)).sum()
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_total_variation_flattens_noise_and_keeps_a_constant():
    generator = torch.Generator().manual_seed(0)
    noise = torch.view_as_complex(torch.randn((6, 16, 16, 2), generator=generator)) * 0.1
    smooth = denoise_movie(1 + noise, 0.1, 0.1, 50)
    assert float((smooth - 1).abs().square().mean()) < 0.2 * float(noise.abs().square().mean())
    assert torch.allclose(denoise_movie(torch.ones_like(noise), 0.1, 0.1, 5), torch.ones_like(noise))


def disc_of_one(side=4, size=12, corner=(4, 4)):
    square = torch.zeros((1, size, size), dtype=torch.complex64)
    square[0, corner[0] : corner[0] + side, corner[1] : corner[1] + side] = 5
    return square


@pytest.mark.parametrize("edge", ["zero", "repeat"])
def test_a_square_has_the_length_of_its_edge(edge):
    inside, smoothing = disc_of_one(), 1e-3
    expected = 5 * (4 * 4 - 2 + 2**0.5)  # one corner is stepped over along both axes at once
    assert float(total_variation(inside, smoothing, edge)) == pytest.approx(expected, rel=1e-3)
    assert float(total_variation(torch.ones((1, 6, 6), dtype=torch.complex64), smoothing, "repeat")) == 0


def test_beyond_the_array_lies_nothing_or_its_own_edge():
    corner, smoothing = disc_of_one(corner=(8, 8)), 1e-3
    zero, repeat = (float(total_variation(corner, smoothing, edge)) for edge in ("zero", "repeat"))
    assert zero == pytest.approx(5 * (4 * 4 - 2 + 2**0.5), rel=1e-2) and repeat == pytest.approx(5 * 8, rel=1e-2)


def test_small_steps_count_by_their_square():
    ramp = 0.01 * torch.arange(3.0).to(torch.complex64)[None]
    assert float(total_variation(ramp, 1.0, "repeat")) == pytest.approx(2 * 0.01**2 / 2, rel=1e-2)


def test_anisotropic_variation_counts_axes_and_parts_apart():
    step = torch.zeros((2, 3, 4), dtype=torch.complex64)
    step[1, :, 2:] = 3 + 4j
    assert float(anisotropic_variation(step, (0,))) == 7 * 6
    assert float(anisotropic_variation(step, (0, 1, 2))) == 7 * 6 + 7 * 3
