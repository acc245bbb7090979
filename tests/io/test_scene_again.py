"""A measurement that is imported once more keeps its probe, known structures and times, or says that it does not."""

from __future__ import annotations

import numpy as np
import pytest

from cdipipe.io.cxi import write_measurement
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions
from cdipipe.measurement import Measurement

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(3, (4, 16, 16)).astype(np.float32)
PROBE = (RNG.standard_normal((2, 16, 16)) + 1j).astype(np.complex64)
REGION = np.zeros((4, 16, 16), np.complex64)
REGION[:, :3] = np.arange(1, 5)[:, None, None]


@pytest.fixture
def again(tmp_path):
    def make(**options) -> tuple[Measurement, str]:
        measurement, account = import_files([str(tmp_path / "a.cxi")], ImportOptions.model_validate(options))
        return measurement, "\n".join(account.told())

    movie = Measurement(
        COUNTS,
        np.ones((16, 16), bool),
        "movie",
        probe_modes=PROBE,
        static_region=REGION,
        frame_times_s=np.array([0.0, 0.1, 0.3, 0.6]),
    )
    write_measurement(tmp_path / "a.cxi", movie)
    return make


def test_everything_is_kept(again):
    measurement, told = again()
    assert np.array_equal(measurement.probe_modes, PROBE) and np.array_equal(measurement.static_region, REGION)
    assert measurement.frame_times_s.tolist() == [0, 0.1, 0.3, 0.6] and "not taken over" not in told


def test_chosen_frames_keep_their_own(again):
    measurement, _ = again(frames="1:4:2")
    assert measurement.frame_times_s.tolist() == [0.1, 0.6]
    assert np.array_equal(measurement.static_region, REGION[[1, 3]])
    single, _ = again(frames="2")
    assert np.array_equal(single.static_region, REGION[2]) and np.array_equal(single.probe_modes, PROBE)


@pytest.mark.parametrize("options", [{"crop": 8}, {"bin": 2}, {"corner": True}])
def test_what_belongs_to_another_grid_is_named(again, options):
    measurement, told = again(**options)
    assert measurement.probe_modes is None and measurement.static_region is None
    assert "not taken over" in told and "probe modes" in told and "the static region" in told


def test_the_command_line_wins(again, tmp_path):
    np.save(tmp_path / "probe.npy", PROBE[:1] * 2)
    measurement, _ = again(probe=str(tmp_path / "probe.npy"), frame_interval_s=0.5)
    assert np.array_equal(measurement.probe_modes, PROBE[:1] * 2)
    assert measurement.frame_times_s.tolist() == [0, 0.5, 1, 1.5]
