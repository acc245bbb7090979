import mutations
import numpy as np
import pytest
import tifffile

from cdipipe.errors import InputError
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions, options_from_command
from cdipipe.measurement import Geometry

COUNTS = mutations.counts(np.random.default_rng(0), (24, 20)).astype(float)
STACK = np.stack([COUNTS, COUNTS + 1, COUNTS + 2, COUNTS])


def imported(files, **options):
    files = [files] if isinstance(files, str) else files
    measurement, account = import_files(files, ImportOptions(**options))
    return measurement, account.facts


def test_one_pattern_needs_nothing_said(save):
    measurement, account = imported(save(COUNTS[:, :, None]))
    assert measurement.stack == "single" and np.array_equal(measurement.intensity, COUNTS)
    assert measurement.measured.all() and account["photons_read"] == account["photons_kept"] == COUNTS.sum()


@pytest.mark.parametrize("stack", ["shots", "movie", "volume"])
def test_stacks_are_what_one_says(save, stack):
    measurement, _ = imported(save(STACK), stack=stack)
    assert measurement.stack == stack and np.array_equal(measurement.intensity, STACK)
    assert measurement.measured.shape == (STACK.shape if stack == "volume" else COUNTS.shape)


def test_a_stack_that_is_not_explained_is_asked_for(save):
    with pytest.raises(InputError, match=r"--stack shots, movie or volume"):
        imported(save(STACK))
    with pytest.raises(InputError, match="2 or 3 axes"):
        imported(save(COUNTS[0]), stack="shots")
    raster = STACK.reshape(2, 2, *COUNTS.shape)
    for stack, words in ((None, "--stack raster"), ("movie", "a raster of shots"), ("volume", "a raster of shots")):
        with pytest.raises(InputError, match=words):
            imported(save(raster), stack=stack)
    with pytest.raises(InputError, match="is not a volume"):
        imported(save(COUNTS), stack="volume")
    assert imported(save(COUNTS), stack="shots")[0].intensity.shape == (1, 24, 20)


def test_axes_can_be_reordered(save):
    for axes, values in (((2,), np.moveaxis(STACK, 0, 2)), ((-1, 1, 0), STACK.transpose(2, 1, 0))):
        assert np.array_equal(imported(save(values), stack="shots", axis=axes)[0].intensity, STACK)
    for axes in ((5,), (0, 0, 1), (0, 1)):
        with pytest.raises(InputError, match="--axis"):
            imported(save(STACK), stack="shots", axis=axes)


def test_frames_of_a_stack_are_picked_as_python_counts(save):
    mask = np.ones(STACK.shape, bool)
    mask[1, 2, 3] = False
    for frames, chosen in (("1", STACK[1]), ("1:", STACK[1:]), ("::2", STACK[::2]), ("-1", STACK[-1])):
        found = imported(save(STACK), frames=frames, stack=None if chosen.ndim == 2 else "shots")[0]
        assert np.array_equal(found.intensity, chosen)
        assert found.stack == ("single" if chosen.ndim == 2 else "shots")
    picked = imported(save(STACK), frames="1", mask=str(save(mask, "mask.npy")), centre="middle")[0]
    assert not picked.measured[2, 3] and picked.measured.sum() == picked.measured.size - 1
    for wrong in ("99", "a", "1:2:3:4", "2:1", "1.5"):
        with pytest.raises(InputError, match="--frames"):
            imported(save(STACK), frames=wrong, stack="shots")
    with pytest.raises(InputError, match="--frames"):
        imported(save(COUNTS), frames="0")


def test_several_files_make_a_stack(save, tmp_path):
    files = [save(frame, f"{index}.npy") for index, frame in enumerate(STACK)]
    assert np.array_equal(imported(files, stack="volume")[0].intensity, STACK)
    tifffile.imwrite(tmp_path / "s.tif", STACK.astype(np.float32), photometric="minisblack")
    assert np.array_equal(
        imported([str(tmp_path / "s.tif")] * 2, stack="movie")[0].intensity, np.concatenate([STACK] * 2)
    )
    with pytest.raises(InputError, match="does not go with"):
        imported([files[0], save(COUNTS[:5], "b.npy")], stack="shots")


def test_cxi_files_bring_mask_and_geometry_which_options_overrule(tmp_path):
    for name in ("a.cxi", "b.cxi"):
        mutations.write_valid(tmp_path / name, "cxi", COUNTS)
    files = [str(tmp_path / "a.cxi"), str(tmp_path / "b.cxi")]
    measurement, account = imported(files, stack="shots", distance_m=2.0)
    assert measurement.geometry == Geometry(9000, 2.0, 55e-6)
    assert (~measurement.measured).sum() == 3 and account["masked"] == {"mask_invalid": 6}


def test_bad_counts_become_masked_and_are_counted(save):
    values = COUNTS.copy()
    values[0, :4] = np.nan, np.inf, -1, -2
    measurement, account = imported(save(values))
    assert account["masked"] == {"not_finite": 2, "negative": 2}
    assert np.argwhere(~measurement.measured).tolist() == [[0, i] for i in range(4)]
    assert (measurement.intensity[0, :4] == 0).all()


def test_masks(save):
    good = np.ones(COUNTS.shape)
    good[2, 3] = 0
    mask = save(good[:, :, None], "mask.npy")
    measurement, account = imported(save(STACK), stack="shots", mask=mask)
    assert np.argwhere(~measurement.measured).tolist() == [[2, 3]] and account["masked"] == {"mask": 4}
    inverse = save(1 - good, "bad.npy")
    measurement, _ = imported(save(STACK), stack="volume", mask=inverse, mask_bad=True)
    assert np.argwhere(~measurement.measured).tolist() == [[i, 2, 3] for i in range(4)]
    with pytest.raises(InputError, match=r"mask of shape \(20, 24\)"):
        imported(save(COUNTS), mask=save(good.T, "t.npy"))
    with pytest.raises(InputError, match="all 480 are masked"):
        imported(save(COUNTS), mask=save(0 * good, "none.npy"))


def test_the_mask_turns_with_the_axes(save):
    good = np.ones(STACK.shape)
    good[1, 2, 3] = 0
    files = save(np.moveaxis(STACK, 0, 2)), save(np.moveaxis(good, 0, 2), "mask.npy")
    measurement, _ = imported(files[0], stack="shots", axis=(2,), mask=files[1])
    assert np.argwhere(~measurement.measured).tolist() == [[1, 2, 3]]


def test_corner_and_amplitude(save):
    amplitude, good = np.sqrt(COUNTS), np.ones(COUNTS.shape)
    good[0, 0] = 0
    files = save(np.fft.ifftshift(amplitude)), save(np.fft.ifftshift(good), "mask.npy")
    measurement, account = imported(files[0], corner=True, amplitude=True, mask=files[1])
    np.testing.assert_allclose(measurement.intensity, COUNTS, rtol=1e-6)
    assert np.argwhere(~measurement.measured).tolist() == [[0, 0]]
    assert account["photons_read"] == pytest.approx(COUNTS.sum(), rel=1e-6)


def test_a_volume_is_centred_along_all_axes_and_shots_are_not(save):
    values = np.zeros((4, 6, 8))
    values[0, 0, 0] = 1
    assert imported(save(values), stack="volume", corner=True)[0].intensity[2, 3, 4] == 1
    assert imported(save(values), stack="shots", corner=True)[0].intensity[0, 3, 4] == 1


def test_saturation_and_threshold(save):
    measurement, account = imported(save(COUNTS), saturation=150, threshold=2)
    assert np.array_equal(measurement.measured, COUNTS < 150)
    assert account["masked"] == {"saturated": int((COUNTS >= 150).sum())}
    assert (measurement.intensity[COUNTS == 1] == 0).all() and (measurement.intensity[COUNTS == 3] == 3).all()


def test_a_dark_frame_is_subtracted_and_its_noise_stays(save):
    dark = np.full((3, *COUNTS.shape), 2.0)
    dark[:, 5, 5] = np.nan
    measurement, account = imported(save(COUNTS), dark=save(dark, "dark.npy"))
    assert account["masked"] == {"dark": 1} and not measurement.measured[5, 5]
    assert (measurement.intensity[COUNTS == 0] == -2).sum() == (COUNTS == 0).sum()


def test_a_white_field_is_divided_out(save):
    rng = np.random.default_rng(0)
    gain = rng.uniform(0.8, 1.2, (40, 40))
    part = gain[3:27, 4:24].copy()
    gain[3, 4], gain[3, 5], gain[3, 6] = 0, np.nan, 0.1
    raw = COUNTS * part / part.mean()
    measurement, account = imported(save(raw), whitefield=save(gain, "white.npy"), roi=(3, 4))
    assert account["masked"] == {"whitefield": 3}
    assert np.argwhere(~measurement.measured).tolist() == [[0, 0], [0, 1], [0, 2]]
    good = measurement.measured & (COUNTS > 0)
    ratio = measurement.intensity[good] / COUNTS[good]
    assert ratio.std() < 1e-6 and ratio.mean() == pytest.approx(1, abs=0.01)
    for roi in ((20, 0), (-1, 0)):
        with pytest.raises(InputError, match="does not cover"):
            imported(save(raw), whitefield=save(gain, "white.npy"), roi=roi)
    with pytest.raises(InputError, match="no pixel of it is above zero"):
        imported(save(COUNTS), whitefield=save(0 * COUNTS, "white.npy"))


def test_cropping_around_the_peak(save):
    counts = np.roll(COUNTS, (3, 2), (0, 1))
    measurement, account = imported(save(counts), crop=(16,))
    assert np.array_equal(measurement.intensity, counts[7:23, 4:20]) and account["centred"]  # the peak is at (15, 12)
    middle, _ = imported(save(counts), crop=(16, 16), centre="middle")
    assert np.array_equal(middle.intensity, counts[4:20, 2:18])
    chosen, _ = imported(save(counts), crop=(4, 4), centre=(10, 9))
    assert np.array_equal(chosen.intensity, counts[8:12, 7:11])
    with pytest.raises(InputError, match="not inside"):
        imported(save(counts), crop=(4, 4), centre=(30, 9))
    with pytest.raises(InputError, match="--crop 4,4,4: patterns have 2 axes"):
        imported(save(counts), crop=(4, 4, 4))
    with pytest.raises(InputError, match="--crop 0,4: sizes must be at least 1"):
        options_from_command({"crop": "0,4"})


def test_volumes_are_padded_where_the_peak_is_near_the_end(save):
    volume = mutations.counts(np.random.default_rng(0), (10, 12, 14))
    volume[5, 6, 7] = 500
    volume = np.roll(volume, -3, 0)
    measurement, account = imported(save(volume), stack="volume", crop=(12, 14))
    assert measurement.intensity.shape == (10, 12, 14)
    assert measurement.intensity.argmax() == np.ravel_multi_index((5, 6, 7), (10, 12, 14))
    assert not measurement.measured[:3].any() and measurement.measured[3:].all()
    assert account["masked"]["beyond_detector"] == 3 * 12 * 14


def test_binning_scales_the_geometry(save):
    geometry = {"energy_ev": 9000, "distance_m": 0.5, "pixel_m": 55e-6, "rocking_step_rad": 1e-4}
    volume = mutations.counts(np.random.default_rng(0), (10, 12, 14))
    measurement, account = imported(save(volume), stack="volume", bin=(2, 2, 2), **geometry)
    assert measurement.intensity.shape == (5, 6, 7) and account["photons_kept"] == volume.sum()
    assert measurement.geometry == Geometry(9000, 0.5, 110e-6, rocking_step_rad=2e-4, binning=(2, 2))
    measurement, _ = imported(save(volume), stack="volume", bin=(2,), **geometry)
    assert measurement.intensity.shape == (10, 6, 7) and measurement.geometry.rocking_step_rad == 1e-4
    with pytest.raises(InputError, match="binned alike"):
        imported(save(volume), stack="shots", bin=(2, 1))


def test_the_size_of_a_crop_counts_after_binning(save):
    measurement, _ = imported(save(mutations.counts(np.random.default_rng(0), (40, 40))), bin=(2,), crop=(8,))
    assert measurement.intensity.shape == (8, 8) and measurement.intensity.argmax() == 8 * 4 + 4


def test_nothing_usable_is_an_error(save):
    for values, message in (
        (0 * COUNTS, "no photons"),
        (-1 - COUNTS, "all 480 are masked"),
        (np.nan * COUNTS, "masked"),
    ):
        with pytest.raises(InputError, match=message):
            imported(save(values))
