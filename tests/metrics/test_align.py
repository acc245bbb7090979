import numpy as np
import pytest

from cdipipe.metrics.align import align_many, align_to, correlation, twin_of

SHAPES = [(32, 32), (31, 40), (33, 27), (16, 18, 20), (15, 16, 17)]


def blob(shape, seed=0, dtype=np.complex128):
    """A compact random complex object without symmetry, smooth enough to be shifted by fractions."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    u = np.zeros(shape, complex)
    for _ in range(4):
        centre = rng.uniform(-0.12, 0.12, len(shape)) * min(shape)
        width = rng.uniform(0.06, 0.09) * min(shape)
        r2 = sum((x - c) ** 2 for x, c in zip(axes, centre, strict=True))
        u += rng.uniform(0.5, 1) * np.exp(-r2 / (2 * width**2) + 1j * rng.uniform(-2, 2))
    return u.astype(dtype)


def fourier_shift(u, shift):
    phase = sum(
        np.fft.fftfreq(n).reshape([-1 if i == a else 1 for i in range(u.ndim)]) * s
        for a, (n, s) in enumerate(zip(u.shape, shift, strict=True))
    )
    return np.fft.ifftn(np.fft.fftn(u) * np.exp(-2j * np.pi * phase))


def difference(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_twin_is_the_conjugate_in_fourier_space(shape):
    u = blob(shape)
    centred = np.fft.fftn(np.fft.ifftshift(u))
    np.testing.assert_allclose(np.fft.fftn(np.fft.ifftshift(twin_of(u))), centred.conj(), atol=1e-10)
    np.testing.assert_array_equal(twin_of(twin_of(u)), u)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_twin", [False, True])
@pytest.mark.parametrize(("dtype", "limit"), [(np.complex128, 1e-12), (np.complex64, 2e-6)])
def test_whole_pixel_shift_twin_and_phase_are_undone_exactly(shape, is_twin, dtype, limit):
    u = blob(shape, dtype=dtype)
    shift = tuple(range(3, 3 + len(shape)))
    moved = np.roll(u, shift, tuple(range(len(shape)))) * np.exp(0.7j).astype(dtype)
    moved = twin_of(moved) if is_twin else moved
    found = align_to(u, moved)
    assert found.twin is is_twin
    assert found.object.dtype == dtype
    assert difference(found.object, u) < limit
    assert found.correlation == pytest.approx(1, abs=limit)
    if not is_twin:
        assert found.shift_px == tuple(-float(s) for s in shift)
        assert found.phase_rad == pytest.approx(-0.7, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_record_says_how_to_repeat_it(shape):
    u, v = blob(shape, 1), blob(shape, 2)
    found = align_to(u, v, ramp=True, scale=True)
    ramp = sum(
        a * (np.arange(n) - n // 2).reshape([-1 if i == k else 1 for i in range(v.ndim)])
        for k, (a, n) in enumerate(zip(found.ramp, v.shape, strict=True))
    )
    again = fourier_shift(twin_of(v) if found.twin else v, found.shift_px)
    again = again * found.scale * np.exp(1j * (found.phase_rad + ramp))
    assert difference(found.object, again) < 1e-6
    assert found.correlation == pytest.approx(correlation(u, again), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_twin", [False, True])
def test_fractions_of_a_pixel_are_found_to_the_grid(shape, is_twin):
    u = blob(shape)
    shift = (2.37, -1.52, 0.48)[: len(shape)]
    moved = fourier_shift(u, shift) * np.exp(-2.1j)
    found = align_to(u, twin_of(moved) if is_twin else moved)
    if not is_twin:
        np.testing.assert_allclose(found.shift_px, [-s for s in shift], atol=0.011)
    assert difference(found.object, u) < 0.01
    assert found.twin is is_twin


def test_without_subpixel_the_shift_is_whole():
    u = blob((32, 32))
    found = align_to(u, fourier_shift(u, (2.4, -1.3)), subpixel=False)
    assert found.shift_px == (-2.0, 1.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("slope_px", [(0.0, 0.0, 0.0), (0.43, -1.27, 0.8)])
def test_a_ramp_is_removed_with_shift_twin_and_phase(shape, slope_px):
    u = blob(shape)
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    ramp = sum(2 * np.pi * a * x / n for a, x, n in zip(slope_px, axes, shape, strict=False))
    moved = twin_of(np.roll(u, 2, 0) * np.exp(1j * (ramp + 0.4)))
    found = align_to(u, moved, ramp=True)
    assert found.correlation > 0.9995
    assert align_to(u, moved).correlation < 0.97 or not any(slope_px)
    if any(slope_px):
        expected = [-2 * np.pi * a / n for a, n in zip(slope_px, shape, strict=False)]
        np.testing.assert_allclose(found.ramp, expected, atol=0.03 * 2 * np.pi / min(shape))


def test_scale_is_that_of_least_squares():
    u = blob((32, 32))
    found = align_to(u, 3 * u, scale=True)
    assert found.scale == pytest.approx(1 / 3)
    assert difference(found.object, u) < 1e-12
    assert align_to(u, 3 * u).scale == 1


def test_the_choice_of_twin_can_be_switched_off():
    u = blob((32, 32))
    assert align_to(u, twin_of(u), twin=False).correlation < 0.99
    assert not align_to(u, twin_of(u), twin=False).twin


def test_nothing_aligns_with_zero():
    found = align_to(blob((16, 16)), np.zeros((16, 16), np.complex64), scale=True, ramp=True)
    assert found.correlation == 0
    assert np.isfinite(found.object).all()


def test_odd_memory_layouts_real_and_read_only_arrays_are_taken():
    u = np.ascontiguousarray(blob((24, 20)).real[::-1].astype(np.float32)).T
    u.setflags(write=False)
    found = align_to(u, np.roll(u, 3, 1)[:, ::1])
    assert found.shift_px == (0, -3)
    assert found.object.dtype == np.complex64


def test_shapes_must_match():
    with pytest.raises(ValueError, match=r"\(4, 5\).*\(4, 4\)"):
        align_to(np.zeros((4, 4), complex), np.zeros((4, 5), complex))


def test_a_batch_is_laid_over_its_references_as_one_by_one():
    references = np.stack([blob((32, 31), seed, np.complex64) for seed in range(4)])
    moving = np.stack([fourier_shift(u, (1.3, -2.61 * n)) for n, u in enumerate(references)]).astype(np.complex64)
    moving[2] = twin_of(moving[2])
    together = align_many(references, moving, scale=True)
    assert [found.twin for found in together] == [False, False, True, False]
    for reference, item, found in zip(references, moving, together, strict=True):
        alone = align_to(reference, item, scale=True)
        assert found.shift_px == alone.shift_px
        np.testing.assert_array_equal(found.object, alone.object)
        assert found.correlation > 0.9999
