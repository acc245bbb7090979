"""Samples drawn together are those drawn one by one, whatever the scene and the detector."""

from __future__ import annotations

import numpy as np
import pytest

from cdipipe.settings import validate
from cdipipe.simulation.batches import _plain_extra, draw_batch, sample_bytes
from cdipipe.simulation.exposure import draw_exposures
from cdipipe.simulation.registry import get_scene

CASES = {
    "plain": ("polygons", {"size": 32, "photons": 1e5}),
    "noise-free": ("polygons", {"size": 48, "photons": 0}),
    "volume": ("polygons", {"size": 20, "dimensions": 3}),
    "beam stop": ("polygons", {"size": 32, "beamstop_px": 2}),
    "bright": ("polygons", {"size": 32, "photons": 1e15}),
    "detector": ("polygons", {"size": 32, "detector": {"coherence_px": 20, "mask": {"dead_share": 0.1}}}),
    "movie": ("particles", {"size": 64, "frames": 3, "particle_diameter_m": 6e-8}),
    "probe": ("test_chart", {"size": 64, "frames": 3}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_what_single_samples_are(case):
    kind, settings = CASES[case]
    scene = get_scene(kind)
    parameters = validate(scene.parameters, settings, kind)
    for first, count in ((0, 1), (3, 5)):
        together = draw_exposures(scene, parameters, 9, range(first, first + count))
        assert len(together) == count
        for index, exposure in zip(range(first, first + count), together, strict=True):
            (alone,) = draw_exposures(scene, parameters, 9, [index])
            np.testing.assert_array_equal(exposure.intensity, alone.intensity)
            np.testing.assert_array_equal(exposure.measured, alone.measured)
            np.testing.assert_array_equal(exposure.sample.object, alone.sample.object)
            np.testing.assert_array_equal(exposure.sample.support, alone.sample.support)
            assert exposure.intensity.dtype == np.float32 and exposure.sample.object.dtype == np.complex64


def test_further_truth_goes_into_records_and_large_arrays_beside():
    scene = get_scene("particles")
    settings = {"size": 64, "frames": 60, "particle_count": 40, "particle_diameter_m": 6e-8}
    batch = draw_batch(scene, validate(scene.parameters, settings, "particles"), 1, range(4, 6))
    assert batch.arrays["extra_positions_m"].shape == (2, 60, 40, 2)
    assert batch.arrays["frame_times_s"].shape == (2, 60)
    record = batch.records[1]
    assert record["index"] == 5
    assert len(record["extra"]["diameters_m"]) == 40
    assert "positions_m" not in record["extra"]
    assert record["photons"] == pytest.approx(60 * 3e7, rel=1e-3)


def test_records_measure_phase_and_support():
    scene = get_scene("polygons")
    batch = draw_batch(scene, validate(scene.parameters, {"size": 32, "phase_range_rad": 2.0}, "polygons"), 1, range(3))
    for record, support in zip(batch.records, batch.arrays["support"], strict=True):
        assert record["phase_range_rad"] == pytest.approx(2.0, abs=1e-5)
        assert record["support_px"] == support.sum()


def test_records_are_json():
    assert _plain_extra({"a": np.array([[1.0, np.nan]]), "b": np.float32(2), "c": {"d": (np.inf, "x")}}) == {
        "extra": {"a": [[1.0, None]], "b": 2.0, "c": {"d": [None, "x"]}}
    }
    assert _plain_extra({}) == {}


def test_size_of_a_sample_is_that_of_its_arrays():
    scene = get_scene("polygons")
    parameters = validate(scene.parameters, {"size": 32}, "polygons")
    batch = draw_batch(scene, parameters, 1, range(2))
    assert sample_bytes(scene, parameters) * 2 == sum(array.nbytes for array in batch.arrays.values())
