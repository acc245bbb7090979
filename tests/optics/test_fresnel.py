import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel
from cdipipe.optics.fresnel import detector_pixel_m, fresnel_chirp
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

WAVELENGTH_M, PIXEL_M = 0.1e-9, 20e-9


def random_wave(*shape):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def near_field(wave, wavelength_m, distance_m, pixel_m):
    """Wavefront at a distance, up to a phase that no detector sees."""
    chirp = torch.from_numpy(fresnel_chirp(tuple(wave.shape[-2:]), wavelength_m, distance_m, pixel_m))
    return fourier.forward(wave * chirp)


def test_energy_is_kept_by_both():
    wave = random_wave(3, 32, 33)
    for image in (
        fourier.forward(wave),
        near_field(wave, WAVELENGTH_M, 1e-3, PIXEL_M),
    ):
        np.testing.assert_allclose(image.abs().square().sum((-2, -1)), wave.abs().square().sum((-2, -1)))


def test_from_afar_the_chirp_is_flat():
    wave = random_wave(32, 32)
    far = fourier.forward(wave)
    errors = [float((near_field(wave, WAVELENGTH_M, z, PIXEL_M) - far).norm() / far.norm()) for z in (1.0, 10.0, 100.0)]
    assert errors[2] < 1e-4
    np.testing.assert_allclose(errors[0] / errors[1], 10, rtol=0.01)


def test_a_point_on_the_axis_fills_the_detector_evenly():
    point = torch.zeros(16, 16, dtype=torch.complex128)
    point[8, 8] = 4
    image = near_field(point, WAVELENGTH_M, 1e-3, PIXEL_M).abs().square()
    np.testing.assert_allclose(image, np.full((16, 16), 16 / 256))


def test_a_lens_of_the_focal_length_z_gives_the_far_field():
    """exp(-i pi x^2 / (lambda z)) in the object cancels the chirp: the focus shows the far field."""
    distance = 0.4e-3
    wave = random_wave(32, 32)
    chirp = torch.from_numpy(fresnel_chirp((32, 32), WAVELENGTH_M, distance, PIXEL_M))
    focused = near_field(wave * chirp.conj(), WAVELENGTH_M, distance, PIXEL_M)
    np.testing.assert_allclose(focused, fourier.forward(wave), atol=1e-12)


def test_a_gaussian_beam_spreads_as_the_textbook_says():
    """w(z) = w0 sqrt(1 + (lambda z / (pi w0^2))^2), 1/e^2 radius of the intensity."""
    size, distance, waist = 256, 6e-3, 0.35e-6
    x = np.arange(-(size // 2), size // 2) * PIXEL_M
    beam = torch.from_numpy(np.exp(-np.add.outer(x**2, x**2) / waist**2).astype(complex))
    image = near_field(beam, WAVELENGTH_M, distance, PIXEL_M).abs().square().numpy()
    pitch = detector_pixel_m(size, WAVELENGTH_M, distance, PIXEL_M)
    profile, y = image.sum(0), np.arange(-(size // 2), size // 2) * pitch
    width = 2 * np.sqrt((profile * y**2).sum() / profile.sum())
    assert width == pytest.approx(waist * np.sqrt(1 + (WAVELENGTH_M * distance / (np.pi * waist**2)) ** 2), rel=1e-3)


def test_pitch_of_the_pattern():
    assert detector_pixel_m(256, 1e-10, 2.0, 10e-9) == pytest.approx(1e-10 * 2 / (256 * 10e-9))


def predict(object_, modes):
    return ForwardModel.of_centred(probe_modes=modes).predict_centred(object_)


def test_modes_add_without_interference():
    object_, modes = random_wave(2, 16, 16), random_wave(3, 16, 16)
    together = predict(object_, modes)
    by_hand = sum(fourier.forward(mode * object_).abs().square() for mode in modes)
    np.testing.assert_allclose(together, by_hand)
    assert together.shape == (2, 16, 16)
    same_twice = predict(object_, torch.stack([modes[0], modes[0]]))
    np.testing.assert_allclose(same_twice, 2 * predict(object_, modes[:1]))
    unitary = torch.linalg.qr(random_wave(3, 3))[0]
    mixed = torch.einsum("ab,bhw->ahw", unitary, modes)
    np.testing.assert_allclose(predict(object_, mixed), together)


@pytest.mark.parametrize(("numbers", "words"), [((0.0, 1, 1e-8), "wavelength_m"), ((1e-10, -1, 1e-8), "distance_m")])
def test_impossible_numbers_are_refused(numbers, words):
    with pytest.raises(InputError, match=words):
        fresnel_chirp((8, 8), *numbers)


def test_too_near_a_detector_is_refused_and_says_how_far():
    with pytest.raises(InputError, match=r"alias; at least 0\.001024 m"):
        fresnel_chirp((256, 256), WAVELENGTH_M, 1e-3, PIXEL_M)


def test_a_scene_in_the_near_field_has_its_chirp_in_the_probe_and_its_geometry():
    polygons = get_scene("polygons")
    near = {"energy_ev": 9000.0, "distance_m": 1e-4, "object_pixel_m": 1e-8}
    settings = {"size": 64, "photons": 0, "detector": {"propagation": "fresnel", "fresnel": near}}
    measurement, truth = simulate(polygons, validate(polygons.parameters, settings, "polygons"))
    assert measurement.geometry.object_pixel_m(64) == pytest.approx(1e-8)
    model = ForwardModel.of_centred(probe_modes=torch.from_numpy(measurement.probe_modes))
    predicted = model.predict_centred(torch.from_numpy(truth.object))
    np.testing.assert_allclose(predicted, measurement.intensity, rtol=1e-3, atol=1e-3)
    flat = fourier.forward(torch.from_numpy(truth.object)).abs().square()
    assert (flat - predicted).abs().max() > 0.1 * flat.max()
