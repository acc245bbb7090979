import subprocess
import sys

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.optics.far_field import photons as diffract
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import Scene, all_scenes, get_scene

POLYGONS = get_scene("polygons")


def draw(seed=0, **settings):
    return simulate(POLYGONS, validate(POLYGONS.parameters, settings, "polygons"), seed)


def extents(support):
    return [int(np.ptp(index)) + 1 for index in np.nonzero(support)]


@pytest.mark.parametrize(("size", "object_size"), [(64, 8), (64, 31), (65, 20), (48, 48)])
def test_the_support_has_the_extent_asked_for_and_is_centred(size, object_size):
    for seed in range(10):
        _, truth = draw(seed, size=size, object_size=object_size)
        assert max(extents(truth.support)) in (object_size - 1, object_size)
        for index in np.nonzero(truth.support):
            assert abs((index.min() + index.max()) / 2 - size // 2) <= 1


def test_extent_by_default_is_a_quarter_but_the_whole_grid_at_32():
    assert max(extents(draw(size=80)[1].support)) in (19, 20)
    largest = [max(extents(draw(seed, size=32)[1].support)) for seed in range(20)]
    assert np.mean(largest) > 24
    assert len(set(largest)) > 3


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("span", [0.0, 1.0, 2.5, 6.2])
def test_phase_spans_the_range_on_the_support(dimensions, span):
    _, truth = draw(3, size=32, object_size=20, phase_range_rad=span, dimensions=dimensions, photons=0)
    phase = np.angle(truth.object[truth.support])
    assert np.ptp(phase) == pytest.approx(span, abs=1e-5)


def test_full_and_random_ranges():
    phase = np.angle(draw(1, size=64)[1].object)
    assert np.ptp(phase) > 6.1
    spans = [np.ptp(np.angle(draw(seed, size=64, phase_range_rad="random")[1].object)) for seed in range(12)]
    assert min(spans) < 2.5
    assert max(spans) > 4


def test_amplitude_is_one_inside_with_soft_edges_and_zero_outside():
    _, truth = draw(5, size=128, object_size=60, photons=0)
    amplitude = np.abs(truth.object)
    assert np.median(amplitude[truth.support]) == pytest.approx(1, abs=1e-3)
    assert amplitude.max() == pytest.approx(1, abs=1e-6)
    assert ((amplitude > 0.2) & (amplitude < 0.8)).any()
    assert (amplitude[~truth.support] == 0).all()
    assert (amplitude[truth.support] > 0).all()


def test_polygons_are_convex():
    from scipy.spatial import ConvexHull

    for seed in range(8):
        core = np.abs(draw(seed, size=128, object_size=64, photons=0)[1].object) > 0.5
        hull_area = ConvexHull(np.argwhere(core)).volume
        assert core.sum() > 0.93 * hull_area


@pytest.mark.parametrize("dimensions", [2, 3])
def test_energy_is_photons_on_both_sides(dimensions):
    measurement, truth = draw(2, size=32, object_size=12, photons=1e6, dimensions=dimensions)
    assert np.sum(np.abs(truth.object) ** 2, dtype=float) == pytest.approx(1e6, rel=1e-5)
    assert measurement.intensity.sum(dtype=float) == pytest.approx(1e6, abs=5e3)
    assert measurement.intensity.shape == (32,) * dimensions
    assert measurement.stack == truth.stack == ("volume" if dimensions == 3 else "single")


def test_zero_photons_means_noise_free():
    measurement, truth = draw(2, size=48, photons=0)
    np.testing.assert_allclose(measurement.intensity, diffract(truth.object, 2), atol=1e-5)
    assert measurement.intensity.sum() == pytest.approx(np.sum(np.abs(truth.object) ** 2), rel=1e-5)


def test_counts_scatter_about_the_pattern_as_poisson():
    measurement, truth = draw(4, size=64, photons=1e6)
    mean = diffract(truth.object, 2)
    bright = mean > 20
    z = (measurement.intensity - mean)[bright] / np.sqrt(mean[bright])
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, abs=5 / np.sqrt(2 * z.size))


def test_same_seed_same_bits_and_sample_i_does_not_depend_on_count():
    few, few_truth = draw(7, size=32, count=2)
    many, many_truth = draw(7, size=32, count=5)
    one, one_truth = draw(7, size=32)
    assert many.stack == "shots"
    np.testing.assert_array_equal(few.intensity, many.intensity[:2])
    np.testing.assert_array_equal(few_truth.object, many_truth.object[:2])
    np.testing.assert_array_equal(one.intensity, many.intensity[0])
    np.testing.assert_array_equal(one_truth.object, many_truth.object[0])
    assert (many.intensity[0] != many.intensity[1]).any()
    assert (draw(8, size=32)[0].intensity != one.intensity).any()


def test_photons_change_the_noise_but_not_the_object():
    dim, bright = (draw(3, size=48, photons=photons)[1].object for photons in (1e3, 1e5))
    np.testing.assert_allclose(bright, dim * 10, rtol=1e-6)


def test_beam_stop_is_masked_and_dark():
    measurement, _ = draw(1, size=64, beamstop_px=3)
    radius = np.hypot(*np.ogrid[-32:32, -32:32])
    np.testing.assert_array_equal(measurement.measured, radius >= 3)
    assert (measurement.intensity[~measurement.measured] == 0).all()
    stack, _ = draw(1, size=64, beamstop_px=3, count=2)
    assert stack.measured.shape == (64, 64)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"photons": -1}, "photons"),
        ({"photons": float("nan")}, "photons"),
        ({"photons": "inf"}, "photons"),
        ({"size": 0}, "size"),
        ({"size": 64, "object_size": 65}, "object_size"),
        ({"object_size": 2}, "object_size"),
        ({"phase_range_rad": 7}, "phase_range_rad"),
        ({"phase_range_rad": -0.1}, "phase_range_rad"),
        ({"phase_range_rad": "strong"}, "phase_range_rad"),
        ({"count": 0}, "count"),
        ({"count": 2, "dimensions": 3}, "count"),
        ({"dimensions": 4}, "dimensions"),
        ({"size": 64, "beamstop_px": 33}, "beamstop_px"),
        ({"phtons": 3}, "phtons"),
    ],
)
def test_impossible_parameters_are_named(settings, word):
    with pytest.raises(InputError, match=word) as caught:
        draw(**settings)
    assert "\n" not in str(caught.value)


def test_more_than_the_memory_is_refused(monkeypatch):
    monkeypatch.setenv("CDIPIPE_MAX_GIB", "0.01")
    with pytest.raises(InputError, match="GiB"):
        draw(size=256, count=100)


def test_registry_finds_scenes_without_torch():
    assert all(isinstance(scene, Scene) and scene.reference and scene.summary for scene in all_scenes().values())
    for field in POLYGONS.parameters.model_fields.values():
        assert field.description
    with pytest.raises(InputError, match="did you mean 'polygons'"):
        get_scene("polygon")
    code = (
        "import sys; from cdipipe.simulation.registry import all_scenes; all_scenes(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def generators(count, seed=0):
    return [np.random.default_rng([seed, index]) for index in range(count)]


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 32},
        {"size": 32, "phase_range_rad": "random"},
        {"size": 64, "padded": True, "phase_range_rad": 2.0},
        {"size": 48, "object_size": 20},
        {"size": 16, "dimensions": 3},
    ],
)
def test_a_batch_holds_the_same_bits_as_one_by_one(settings):
    parameters = validate(POLYGONS.parameters, settings, "polygons")
    together = POLYGONS.build_many(parameters, generators(70))
    alone = [POLYGONS.build(parameters, rng) for rng in generators(70)]
    for one, many in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.object, many.object)
        np.testing.assert_array_equal(one.support, many.support)
    assert len({sample.object.tobytes() for sample in together}) == 70


def test_scattered_polygons_are_blurred_hulls_of_points():
    """The batched hull against scipy's, with the same random numbers."""
    from scipy.spatial import ConvexHull

    from cdipipe.simulation.sources import scattered_polygons as batch

    points, present = batch._draw_points(generators(200))
    first, second, is_edge, fill = batch._hull_edges(points, present)
    inside = batch._filled(first, second, is_edge, 32)
    y, x = np.meshgrid(*2 * [(np.arange(32) - 16) / 30], indexing="ij")
    for index in range(200):
        own = points[index, present[index]]
        hull = ConvexHull(own)
        assert fill[index] == pytest.approx(hull.volume / np.ptp(own, axis=0).max() ** 2)
        normals, offsets = hull.equations[:, :2], hull.equations[:, 2]
        expected = (normals[:, 0, None, None] * y + normals[:, 1, None, None] * x + offsets[:, None, None] <= 0).all(0)
        np.testing.assert_array_equal(inside[index], expected)


def test_padded_means_the_middle_half_of_the_array():
    _, truth = draw(4, size=64, padded=True, photons=0)
    _, bare = draw(4, size=32, photons=0)
    np.testing.assert_array_equal(truth.object[16:48, 16:48], bare.object)
    assert np.count_nonzero(truth.object) == np.count_nonzero(bare.object)
    for settings in ({"size": 64, "padded": True, "object_size": 33}, {"size": 33, "padded": True}):
        with pytest.raises(InputError, match="padded"):
            draw(**settings)
