import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io import cxi
from cdipipe.measurement import Geometry
from cdipipe.optics.far_field import photons as diffract
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import Sample, Scene, SceneParameters, get_scene

SIZE = 24


class Parameters(SceneParameters):
    size: int = SIZE
    count: int = 1


def disc(rng, radius=5.0):
    x, y = np.ogrid[-(SIZE // 2) : SIZE - SIZE // 2, -(SIZE // 2) : SIZE - SIZE // 2]
    return (x**2 + y**2 < radius**2) * np.exp(1j * rng.uniform(-1, 1, (SIZE, SIZE)))


def expose(build, seed=0, **settings):
    scene = Scene("made_up", "", "", Parameters, lambda parameters, rng: build(rng))
    return simulate(scene, validate(Parameters, settings, "made_up"), seed)


def static_scene(rng, **fields):
    sample = disc(rng)
    return Sample(sample, sample != 0, static_region=3 * np.roll(disc(rng, 2.5), 9, axis=0), **fields)


def test_the_pattern_is_of_sample_and_static_region_and_the_truth_is_the_sample_alone():
    measurement, truth = expose(static_scene, photons=0)
    together = truth.object + measurement.static_region
    np.testing.assert_allclose(measurement.intensity, diffract(together, 2), rtol=1e-4, atol=1e-4)
    assert (truth.object[measurement.static_region != 0] == 0).all()
    scaled, scaled_truth = expose(static_scene, photons=1e5)
    assert np.sum(np.abs(scaled_truth.object + scaled.static_region) ** 2) == pytest.approx(1e5, rel=1e-5)
    ratio = np.abs(scaled.static_region).max() / np.abs(scaled_truth.object).max()
    assert ratio == pytest.approx(3, rel=1e-3)


def test_photons_scaled_by_the_scene_stay():
    measurement, truth = expose(lambda rng: static_scene(rng, photons_scaled=True), photons=1.0)
    rng = np.random.default_rng(np.random.SeedSequence([0, 0]).spawn(2)[0])
    np.testing.assert_allclose(truth.object, static_scene(rng).object, rtol=1e-6)
    assert measurement.intensity.sum() > 100


def test_probe_modes_carry_the_photons_and_add_without_interference():
    modes = np.stack([np.ones((SIZE, SIZE)), np.roll(np.eye(SIZE), 3, 0)])

    def build(rng):
        wave = disc(rng)
        return Sample(wave, wave != 0, probe_modes=modes)

    measurement, truth = expose(build, photons=1e4)
    assert np.abs(truth.object).max() == pytest.approx(1)
    assert measurement.probe_modes.dtype == np.complex64 and measurement.probe_modes.shape == modes.shape
    whole = sum(diffract(mode * truth.object, 2) for mode in measurement.probe_modes)
    assert whole.sum() == pytest.approx(1e4, rel=1e-5)
    assert measurement.intensity.sum() == pytest.approx(1e4, abs=600)
    import torch

    from cdipipe.optics.forward import ForwardModel

    model = ForwardModel.of_centred(probe_modes=torch.from_numpy(measurement.probe_modes))
    np.testing.assert_allclose(model.predict_centred(torch.from_numpy(truth.object)), whole, rtol=1e-3, atol=1e-3)


def movie(rng):
    frames = np.stack([disc(rng, 3 + t) for t in range(3)]).astype(np.complex64)
    extra = {"positions_px": rng.uniform(size=(3, 4, 2)), "velocity_m_per_s": 340e-9, "names": ["a", "b"]}
    return Sample(frames, frames != 0, "movie", extra=extra, frame_times_s=np.arange(3) * 0.007, geometry=Geometry(9e3))


def test_a_movie_has_photons_per_frame_on_average_and_its_times():
    measurement, truth = expose(movie, photons=1e5)
    assert measurement.stack == truth.stack == "movie"
    assert measurement.intensity.shape == truth.object.shape == (3, SIZE, SIZE)
    assert measurement.intensity.sum() / 3 == pytest.approx(1e5, rel=0.02)
    assert measurement.measured.shape == (SIZE, SIZE)
    np.testing.assert_array_equal(measurement.frame_times_s, [0, 0.007, 0.014])
    assert measurement.geometry.energy_ev == truth.geometry.energy_ev == 9e3
    assert measurement.pattern(1).frame_times_s == [0.007]


def test_everything_of_a_scene_comes_back_from_the_files(tmp_path):
    def build(rng):
        made = movie(rng)
        static = np.roll(disc(rng, 2.5), 9, axis=0)
        made.extra["inside"] = np.array([True, False])
        return Sample(**{**vars(made), "static_region": static, "static_support": np.abs(static) >= 0})

    measurement, truth = expose(build, photons=1e5)
    cxi.write_measurement(tmp_path / "m.cxi", measurement)
    cxi.write_truth(tmp_path / "t.cxi", truth)
    read, read_truth = cxi.read_measurement(tmp_path / "m.cxi"), cxi.read_truth(tmp_path / "t.cxi")
    for name in ("static_region", "static_support", "frame_times_s"):
        array = getattr(read, name)
        np.testing.assert_array_equal(array, getattr(measurement, name))
        assert array.dtype == getattr(measurement, name).dtype
    assert read_truth.extra.keys() == truth.extra.keys()
    np.testing.assert_array_equal(read_truth.extra["positions_px"], truth.extra["positions_px"])
    assert read_truth.extra["velocity_m_per_s"] == 340e-9
    assert read_truth.extra["names"] == ["a", "b"]
    assert read_truth.extra["inside"].tolist() == [True, False]


def test_samples_do_not_depend_on_how_many_are_drawn_and_their_extra_truth_is_stacked():
    def build(rng):
        sample = static_scene(rng)
        return Sample(**{**vars(sample), "extra": {"r": rng.uniform(size=2), "n": 3, "odd": np.ones(rng.integers(9))}})

    settings = {"photons": 1e4, "detector": {"mask": {"dead_share": 0.1}, "read_noise_photons": 0.5}}
    many, many_truth = expose(build, count=4, **settings)
    few, few_truth = expose(build, count=2, **settings)
    np.testing.assert_array_equal(many.intensity[:2], few.intensity)
    np.testing.assert_array_equal(many.measured[:2], few.measured)
    np.testing.assert_array_equal(many.static_region[:2], few.static_region)
    np.testing.assert_array_equal(many_truth.extra["r"][:2], few_truth.extra["r"])
    assert many_truth.extra["n"] == [3, 3, 3, 3]
    assert "odd_0" in many_truth.extra
    assert many.pattern(1).static_region.shape == many.pattern(1).measured.shape == (SIZE, SIZE)


def test_the_detector_group_is_off_by_default_and_changes_no_photon_draw():
    polygons = get_scene("polygons")
    plain, with_mask = (
        simulate(polygons, validate(polygons.parameters, {"size": 32} | extra, "polygons"), 5)[0]
        for extra in ({}, {"detector": {"mask": {"beamstop_px": 3}}})
    )
    assert plain.measured.all()
    assert (~with_mask.measured).sum() == 25
    np.testing.assert_array_equal(with_mask.intensity, plain.intensity * with_mask.measured)


def test_saturation_masks_and_background_adds():
    measurement, _ = expose(static_scene, photons=1e6, detector={"saturation_photons": 5000})
    assert measurement.intensity.max() < 5000
    assert 0 < (~measurement.measured).sum() < SIZE**2 / 2
    lifted, _ = expose(static_scene, photons=1e4, detector={"background_photons": 7.0})
    assert lifted.intensity.sum() == pytest.approx(1e4 + 7 * SIZE**2, rel=0.03)


def test_frames_of_a_movie_saturate_one_by_one_and_share_a_drawn_mask():
    detector = {"saturation_photons": 900.0, "mask": {"dead_share": 0.05, "gap_px": [0, 2], "module_px": [12, 12]}}
    measurement, _ = expose(movie, photons=1e5, detector=detector)
    assert measurement.measured.shape == (3, SIZE, SIZE)
    hidden = ~measurement.measured
    assert hidden.all(0).sum() > 2 * SIZE
    assert (hidden[0] != hidden[2]).any()
    assert measurement.intensity.max() < 900
    unsaturated, _ = expose(movie, photons=1e5, detector={"mask": detector["mask"]})
    np.testing.assert_array_equal(unsaturated.measured[None] & (unsaturated.intensity < 900), measurement.measured)


def test_partial_coherence_acts_on_each_frame_and_on_all_modes_together():
    from cdipipe.optics.coherence import blur_by_coherence

    modes = np.stack([np.ones((SIZE, SIZE)), np.roll(np.eye(SIZE), 3, 0)])

    def build(rng):
        return Sample(**{**vars(movie(rng)), "probe_modes": modes})

    sharp, blurred = (
        expose(build, photons=0, detector=detector)[0].intensity for detector in ({}, {"coherence_px": 4.0})
    )
    for frame, expected in zip(blurred, sharp.astype(float), strict=True):
        np.testing.assert_allclose(frame, blur_by_coherence(expected, 4.0), rtol=1e-3, atol=1e-4 * frame.max())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"photons": -1}, "photons"),
        ({"detector": {"coherence_px": 0}}, "detector.coherence_px"),
        ({"detector": {"coherence_px": -3}}, "detector.coherence_px"),
        ({"detector": {"coherence": "none"}}, "gaussian_schell"),
        ({"detector": {"coherence_spread": 0.1}}, "coherence_spread needs coherence_px"),
        ({"detector": {"saturation_photons": 0}}, "saturation_photons"),
        ({"detector": {"fresnel": {"energy_ev": 1, "distance_m": 1, "object_pixel_m": 1}}}, "needs propagation"),
        ({"detector": {"propagation": "fresnel", "fresnel": {"energy_ev": 9000}}}, "distance_m"),
        ({"detector": {"mask": {"gap_px": [0, 4]}}}, "gap_px needs module_px"),
        ({"detector": {"mask": {"dead_share": 1.5}}}, "dead_share"),
        ({"detector": {"masks": {}}}, "did you mean 'mask'"),
    ],
)
def test_impossible_detectors_are_named_in_one_line(settings, words):
    with pytest.raises(InputError, match=words) as error:
        validate(Parameters, settings, "made_up")
    assert "\n" not in str(error.value)


def test_an_object_in_the_dark_is_refused():
    with pytest.raises(InputError, match="zero where the light falls"):
        expose(lambda rng: Sample(np.zeros((SIZE, SIZE), complex), np.ones((SIZE, SIZE), bool)))


def test_the_near_field_takes_the_scene_s_geometry_or_says_that_there_is_none():
    def at(geometry):
        return lambda rng: Sample(disc(rng), disc(rng) != 0, geometry=geometry)

    near = Geometry(9000.0, 1e-4, 1.3e-7)
    measurement, _ = expose(at(near), photons=0, detector={"propagation": "fresnel"})
    assert measurement.probe_modes.shape == (1, SIZE, SIZE)
    assert measurement.geometry.pixel_m == pytest.approx(near.pixel_m)
    phase = np.unwrap(np.angle(measurement.probe_modes[0, SIZE // 2, SIZE // 2 :]))
    dx, x = near.object_pixel_m(SIZE), np.arange(SIZE // 2)
    np.testing.assert_allclose(phase, np.pi * (x * dx) ** 2 / (near.wavelength_m * near.distance_m), atol=1e-5)
    with pytest.raises(InputError, match="no geometry of its own"):
        expose(at(Geometry()), detector={"propagation": "fresnel"})
