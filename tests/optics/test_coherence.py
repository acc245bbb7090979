import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from cdipipe.optics import coherence
from cdipipe.optics.coherence import partially_coherent
from cdipipe.optics.far_field import photons as diffract
from cdipipe.settings import validate
from cdipipe.simulation.registry import get_scene

VARIANTS = ("gaussian_schell", "dpr_published")


def oversampled_intensity(size=512, object_size=64, seed=0):
    """Pattern of a rough non-negative object, as DPR's are."""
    rng = np.random.default_rng(seed)
    block = gaussian_filter(rng.normal(size=(object_size, object_size)), 2) > 0
    block = block * (0.2 + gaussian_filter(rng.random((object_size, object_size)), 1))
    start = (size - object_size) // 2
    return diffract(np.pad(block, start).astype(complex), 2)


def change(before, after):
    return np.abs(after - before).sum() / before.sum()


@pytest.mark.parametrize("shape", [(64, 64), (48, 65), (33, 40)])
@pytest.mark.parametrize("width", [2.0, 2.6])
def test_it_equals_a_periodic_gaussian_blur(shape, width):
    intensity = np.random.default_rng(1).exponential(size=shape)
    blurred = partially_coherent(torch.from_numpy(intensity), width).numpy()
    sigmas = [coherence.blur_sigma_px(width, size) for size in shape]
    np.testing.assert_allclose(blurred, gaussian_filter(intensity, sigmas, mode="wrap", truncate=9), rtol=1e-6)


@pytest.mark.parametrize("width", [3.0, 30.0, 282.84, 1e6])
def test_it_is_not_negative_and_keeps_the_sum(width):
    intensity = oversampled_intensity(256, 40)
    linear = coherence.apply_coherence(
        torch.from_numpy(intensity), coherence.degree_of_coherence(intensity.shape, width)
    ).numpy()
    assert linear.min() > -1e-12 * intensity.max()
    assert linear.sum() == pytest.approx(intensity.sum(), rel=1e-12)
    blurred = partially_coherent(torch.from_numpy(intensity), width).numpy()
    assert blurred.min() >= 0
    assert blurred.sum() == pytest.approx(intensity.sum(), rel=1e-12)
    np.testing.assert_allclose(blurred, linear, atol=1e-11 * intensity.max())


def test_an_undersampled_pattern_is_not_negative_either():
    intensity = np.zeros((32, 32))
    intensity[10, 7] = 5
    blurred = partially_coherent(torch.from_numpy(intensity), 20.0).numpy()
    assert blurred.min() == 0
    assert blurred.sum() == pytest.approx(5)


def test_endless_coherence_changes_nothing_and_none_leaves_a_flat_pattern():
    intensity = np.random.default_rng(2).random((24, 24))
    np.testing.assert_allclose(partially_coherent(torch.from_numpy(intensity), 1e9).numpy(), intensity, rtol=1e-9)
    np.testing.assert_allclose(partially_coherent(torch.from_numpy(intensity), 1e-3).numpy(), intensity.mean())


def test_visibility_of_two_slits_is_the_degree_of_coherence_at_their_distance():
    size, distance, width = 256, 40, 50.0
    slits = np.zeros((size, size), complex)
    slits[size // 2, size // 2 - distance // 2] = slits[size // 2, size // 2 + distance // 2] = 1
    row = partially_coherent(torch.from_numpy(diffract(slits, 2)), width).numpy()[size // 2]
    visibility = (row.max() - row.min()) / (row.max() + row.min())
    assert visibility == pytest.approx(np.exp(-(distance**2) / (2 * width**2)), rel=2e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_batches_volumes_types_and_widths(variant):
    rng = np.random.default_rng(3)
    batch = torch.from_numpy(rng.random((3, 2, 16, 18)))
    widths = torch.tensor([[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
    together = partially_coherent(batch, widths, variant=variant)
    one = partially_coherent(batch[1, 1], 5.0, variant=variant)
    np.testing.assert_allclose(together[1, 1], one, rtol=1e-6)
    single = partially_coherent(batch.float(), widths, variant=variant)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, together, rtol=2e-5, atol=1e-6)
    volume = partially_coherent(batch[0], 4.0, ndim=3, variant=variant)
    assert volume.sum().item() == pytest.approx(batch[0].sum().item())


def test_it_is_differentiable_and_self_adjoint():
    mu = coherence.degree_of_coherence((12, 13), 3.0)
    a, b = torch.randn(2, 12, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, right = ((x * coherence.apply_coherence(y, mu)).sum() for x, y in ((a, b), (b, a)))
    assert left.item() == pytest.approx(right.item(), rel=1e-10)
    inputs = (a.abs() + 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: partially_coherent(x, 3.0), inputs)


def test_sigma_mu_of_dpr_is_the_same_curve_as_xi():
    radius = np.arange(0, 100, 7)
    xi = coherence.xi_from_sigma_mu(200)
    assert xi == pytest.approx(282.843, abs=1e-3)
    np.testing.assert_allclose(np.exp(-(radius**2) / (2 * xi**2)), np.exp(-(radius**2) / (4 * 200**2)))
    assert coherence.blur_sigma_px(xi, 512) == pytest.approx(0.288, abs=1e-3)


def test_the_published_variant_misplaces_its_kernel_as_documented():
    """An un-shifted autocorrelation times a centred kernel, written out; and what it does in DPR's setting."""
    xi, share, wrong, right = coherence.xi_from_sigma_mu(200), [], [], []
    for seed in range(3):
        intensity = oversampled_intensity(seed=seed)
        lag2 = np.add.outer(np.arange(-256, 256) ** 2, np.arange(-256, 256) ** 2)
        raw = np.fft.fft2(np.fft.ifft2(np.fft.ifftshift(intensity)) * np.exp(-lag2 / (4 * 200**2))).real
        share.append((raw < 0).mean())
        by_hand = np.fft.fftshift(np.abs(raw) * intensity.sum() / np.abs(raw).sum())
        published = partially_coherent(torch.from_numpy(intensity), xi, variant="dpr_published").numpy()
        np.testing.assert_allclose(published, by_hand, rtol=1e-6, atol=1e-9 * intensity.max())
        wrong.append(change(intensity, published))
        right.append(change(intensity, partially_coherent(torch.from_numpy(intensity), xi).numpy()))
    assert 0.06 < np.mean(share) < 0.2
    assert 0.03 < np.mean(wrong) < 0.12
    assert np.mean(right) < 0.01
    assert np.mean(wrong) > 10 * np.mean(right)


@pytest.mark.parametrize("shape", [(64, 64), (64, 60), (65, 64), (63, 65), (24, 26, 28)])
@pytest.mark.parametrize("extent", [1, 7, 12, 30, 40])
def test_small_objects_go_the_short_way_to_the_same_pattern(shape, extent):
    rng = np.random.default_rng(4)
    wave = np.zeros(shape, complex)
    box = tuple(slice(2, 2 + min(extent, size - 3)) for size in shape)
    wave[box] = rng.normal(size=wave[box].shape) + 1j * rng.normal(size=wave[box].shape)
    short = coherence.diffract_partially_coherent(wave, 5.0)
    whole = coherence.blur_by_coherence(diffract(wave, wave.ndim), 5.0)
    np.testing.assert_allclose(short, whole, rtol=1e-9, atol=1e-12 * whole.max())
    assert short.min() >= 0
    assert short.sum() == pytest.approx(np.sum(np.abs(wave) ** 2), rel=1e-12)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_impossible_widths_are_refused(width):
    with pytest.raises(ValueError, match="above 0"):
        partially_coherent(torch.ones(8, 8), width)


def test_a_scene_with_coherence_blurs_the_pattern_and_spreads_the_width():
    from cdipipe.simulation.exposure import simulate

    polygons = get_scene("polygons")

    def pattern(**detector):
        settings = {"size": 64, "photons": 0, "detector": detector}
        return simulate(polygons, validate(polygons.parameters, settings, "polygons"))[0].intensity

    coherent, blurred = pattern(), pattern(coherence_px=8.0)
    expected = coherence.blur_by_coherence(coherent.astype(float), 8.0)
    np.testing.assert_allclose(blurred, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert np.abs(pattern(coherence_px=8.0, coherence_spread=0.1) - blurred).max() > 1e-3 * blurred.max()
    assert np.abs(pattern(coherence_px=8.0, coherence="dpr_published") - blurred).max() > 1e-2 * blurred.max()
