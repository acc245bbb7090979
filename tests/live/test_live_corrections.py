"""Frames one by one become what ``cdipipe import`` makes of all of them."""

from __future__ import annotations

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions
from cdipipe.live.corrections import Corrections, options_from_words, options_like
from cdipipe.measurement import Measurement


@pytest.fixture
def detector(tmp_path):
    """Frames (9, 40, 48) of a detector with a dead pixel, and files of its mask, dark and white field."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:40, :48]
    light = 400 * np.exp(-((yy - 18) ** 2 + (xx - 25) ** 2) / 60) + 2
    frames = rng.poisson(light, (9, 40, 48)).astype(np.uint32)
    frames[:, 5, 7] = 2**32 - 1
    frames[4, 20, 20] = 50_000
    mask = np.ones((40, 48), bool)
    mask[30, 10:14] = False
    files = {"mask": mask, "dark": np.full((40, 48), 0.5), "whitefield": rng.normal(1000, 20, (40, 48))}
    for name, values in files.items():
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "frames.npy", frames)
    return tmp_path, frames


WORDS = {
    "nothing": [],
    "mask": ["mask={folder}/mask.npy", "saturation=40000"],
    "fields": [
        "mask={folder}/mask.npy",
        "dark={folder}/dark.npy",
        "whitefield={folder}/whitefield.npy",
        "background=1",
    ],
    "window": ["centre=18,25", "crop=16,16", "threshold=3"],
    "bin": ["bin=2", "centre=9,12", "crop=12"],
    "beyond the edge": ["centre=3,4", "crop=32"],
    "corner": ["corner", "centre=middle"],
}


@pytest.mark.parametrize("case", WORDS)
def test_frames_become_what_an_import_makes_of_them(detector, case):
    folder, frames = detector
    options = options_from_words([word.format(folder=folder) for word in WORDS[case]])
    wanted, _ = import_files([folder / "frames.npy"], options.model_copy(update={"stack": "shots"}))
    corrections = Corrections(frames[0], options)
    measured = np.broadcast_to(wanted.measured, wanted.intensity.shape)
    for part in (slice(0, 1), slice(1, 6), slice(6, 9)):
        counts, seen = corrections(frames[part])
        np.testing.assert_allclose(counts, wanted.intensity[part] * measured[part], rtol=1e-6)
        np.testing.assert_array_equal(seen, measured[part])


def test_frames_are_treated_like_a_measurement_that_was_imported(detector):
    folder, frames = detector
    options = ImportOptions(crop=(24,), mask=str(folder / "mask.npy"))
    wanted, account = import_files([folder / "frames.npy"], options.model_copy(update={"stack": "shots"}))
    record = {"import": {"options": options.chosen(), **account.record()}}
    like = Measurement(wanted.intensity, wanted.measured, "shots", Geometry(energy_ev=8e3), provenance=record)
    corrections = Corrections(frames[3], options_like(like, "m.cxi")).masked_like(like)
    counts, seen = corrections(frames)
    np.testing.assert_array_equal(counts, wanted.intensity * wanted.measured)
    assert (seen == wanted.measured).all() and corrections.geometry.energy_ev == 8e3
    with pytest.raises(InputError, match="not made by `cdipipe import`"):
        options_like(wanted, "m.cxi")


def test_a_mask_and_a_geometry_of_the_source_are_taken(detector):
    _, frames = detector
    trusted = np.ones((40, 48), bool)
    trusted[0, 3] = False
    options = options_from_words(["centre=middle", "energy_ev=9000"])
    corrections = Corrections(frames[0], options, trusted, Geometry(energy_ev=8e3, distance_m=2.0))
    counts, seen = corrections(frames[:2])
    assert not seen[:, 0, 3].any() and not counts[:, 0, 3].any()
    assert (corrections.geometry.energy_ev, corrections.geometry.distance_m) == (9000, 2)


def test_options_that_mean_nothing_here(detector):
    with pytest.raises(InputError, match="no option 'crob'"):
        options_from_words(["crob=3"])
    with pytest.raises(InputError, match="one by one"):
        Corrections(detector[1][0], options_from_words(["frames=3"]))
    with pytest.raises(InputError, match="--crop"):
        options_from_words(["crop=many"])
