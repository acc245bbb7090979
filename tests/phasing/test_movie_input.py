"""Movies that cannot be used: one clear line each."""

from dataclasses import replace

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct

PROBE = np.ones((1, 16, 16), np.complex64)
MOVIE = Measurement(np.ones((4, 16, 16), np.float32), np.ones((16, 16), bool), "movie", probe_modes=PROBE)


def test_frames_of_different_sizes(cli, tmp_path):
    for name, size in (("one", 16), ("two", 20)):
        np.save(tmp_path / f"{name}.npy", np.ones((size, size), np.float32))
    files = [tmp_path / "one.npy", tmp_path / "two.npy"]
    complaint = cli("import", *files, "--stack", "movie", "-o", tmp_path / "M.cxi").complaint
    assert "two.npy: shape (20, 20)" in complaint and "must hold patterns of one shape" in complaint


@pytest.mark.parametrize("times", [[0, 1, 1, 2], [0, 2, 1, 3], [0, 1, np.nan, 3]])
def test_times_that_do_not_increase(times):
    with pytest.raises(InputError, match=r"frame_times_s must increase; frame 2 is at .* s, the one before at . s"):
        replace(MOVIE, frame_times_s=np.array(times, float))
    with pytest.raises(InputError, match="frame_times_s has shape"):
        replace(MOVIE, frame_times_s=np.arange(3.0))


def test_probe_modes_of_another_size():
    with pytest.raises(InputError, match=r"probe_modes \(1, 8, 8\) do not fit patterns of shape"):
        replace(MOVIE, probe_modes=PROBE[:, :8, :8])


def test_a_box_that_is_larger_than_the_array():
    with pytest.raises(InputError, match=r"box_px 20 is larger than the array \(16, 16\)"):
        reconstruct(MOVIE, recipe_from_mapping({"method": "cdip", "iterations": 1, "box_px": 20}))


@pytest.mark.parametrize("name", ["mf_pie", "pid3net"])
def test_methods_that_need_to_know_the_beam(name):
    with pytest.raises(InputError, match=f"{name} needs a measurement with probe modes; this one has none"):
        reconstruct(replace(MOVIE, probe_modes=None), recipe_from_mapping({"method": name}))
    with pytest.raises(InputError, match=f"{name} needs a measurement with frames of a movie"):
        reconstruct(replace(MOVIE, stack="shots"), recipe_from_mapping({"method": name}))
