"""From counts as detectors write them to a measurement: what is masked and why, what is told, where the centre is."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from patterns import disc, pattern

from cdipipe.errors import InputError
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions
from cdipipe.study.entries import ImportEntry

CENTRE = (38, 23)


@pytest.fixture
def save(tmp_path):
    def save(values, name="a.npy"):
        np.save(tmp_path / name, values)
        return str(tmp_path / name)

    return save


def imported(file, **options):
    measurement, account = import_files([file] if isinstance(file, str) else file, ImportOptions(**options))
    return measurement, account.facts, " | ".join(account.told())


# marks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "mark", "reason"),
    [
        (np.uint32, 2**32 - 1, "mark_4294967295"),
        (np.uint16, 2**16 - 1, "mark_65535"),
        (np.uint32, 65535, "mark_65535"),
        (np.int32, -1, "negative"),
        (np.float32, np.nan, "not_finite"),
        (np.float32, 2.0**32, "mark_4294967296"),
        (np.float64, 1e300, "beyond_float32"),
    ],
)
@pytest.mark.parametrize("stack", [None, "volume", "movie"])
def test_a_gap_is_masked_whatever_its_mark(save, dtype, mark, reason, stack):
    counts = pattern(photons=1e5)
    frames = (counts if stack is None else np.stack([counts] * 3)).astype(dtype)
    frames[..., 40:44, :] = mark
    measurement, facts, _ = imported(save(frames), stack=stack)
    expected = np.ones(measurement.measured.shape, bool)
    expected[..., 40:44, :] = False
    assert np.array_equal(measurement.measured, expected)
    assert facts["masked"] == {reason: 4 * 64 * (1 if stack is None else 3)}
    assert np.array_equal(
        np.broadcast_to(np.where(expected, counts, 0), measurement.intensity.shape), measurement.intensity
    )
    assert facts["photons_read"] == measurement.intensity.sum()


def test_gaps_do_not_spoil_a_reconstruction(save):
    """Four rows of a gap at the largest number of 32 bits: the object is found as well as without them."""
    import cdipipe

    rng = np.random.default_rng(0)
    image = np.zeros((64, 64))
    image[24:40, 24:40] = 0.5 + rng.random((16, 16))
    power = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))) ** 2
    counts = rng.poisson(power * 1e6 / power.sum()).astype(np.uint32)
    counts[40:44] = 2**32 - 1
    measurement = imported(save(counts))[0]
    result = cdipipe.reconstruct(measurement, "raar", constraint="real_nonneg", restarts=4, seed=1)
    assert _agreement(result.object, image) > 0.99


def _agreement(found, truth):
    """Largest correlation over shifts and the twin."""
    spectrum = np.fft.fft2(truth / np.linalg.norm(truth)).conj()
    found = found / np.linalg.norm(found)
    images = (found, found[::-1, ::-1].conj())
    return max(np.abs(np.fft.ifft2(np.fft.fft2(image) * spectrum)).max() for image in images)


def test_marks_in_corrections_are_no_counts(save):
    counts = pattern(photons=1e5).astype(float) + 7
    dark = np.full((64, 64), 7, np.uint32)
    dark[3, 4] = 2**32 - 1
    white = np.full((64, 64), 100, np.uint16)
    white[5, 6] = 65535
    measurement, facts, _ = imported(save(counts), dark=save(dark, "d.npy"), whitefield=save(white, "w.npy"))
    assert np.argwhere(~measurement.measured).tolist() == [[3, 4], [5, 6]]
    assert facts["masked"] == {"dark": 1, "whitefield": 1}
    np.testing.assert_allclose(measurement.intensity[measurement.measured], (counts - 7)[measurement.measured])


@pytest.mark.parametrize("options", [{"bin": (2,)}, {"amplitude": True}])
def test_sums_beyond_single_precision_are_refused_by_their_name(save, options):
    with pytest.raises(InputError, match=r"beyond 3.4e\+38"):
        imported(save(pattern(photons=1e5) * 1e35), **options)


def test_full_counters_are_asked_about(save):
    counts = np.minimum(pattern(photons=1e8), 60000)
    assert "--saturation 60000 masks them" in imported(save(counts))[2]
    assert "--saturation" not in imported(save(counts), saturation=60000)[2]
    assert "--saturation" not in imported(save(pattern(photons=1e8)))[2]


# masks -----------------------------------------------------------------------------------------------------------

BAD = np.zeros((64, 64), np.uint8)
BAD[20:24] = 1


def write_mask(path, kind):
    if kind == "msk":
        from fabio.fit2dmaskimage import Fit2dMaskImage

        Fit2dMaskImage(data=BAD).write(str(path))
    elif kind == "png":
        from PIL import Image

        Image.fromarray(BAD * 255).save(path)
    elif kind == "edf":
        from fabio.edfimage import EdfImage

        EdfImage(data=BAD).write(str(path))
    elif kind == "tif":
        import tifffile

        tifffile.imwrite(path, BAD)
    else:
        np.save(path, BAD)


@pytest.mark.parametrize("kind", ["msk", "png", "edf", "tif", "npy"])
def test_masks_of_other_programs(save, tmp_path, kind):
    file, mask = save(pattern()), tmp_path / f"m.{kind}"
    write_mask(mask, kind)
    for options in [{"mask_bad": True}] + ([{}] if kind == "msk" else []):
        measurement, facts, _ = imported(file, mask=str(mask), **options)
        assert np.array_equal(measurement.measured, BAD == 0) and facts["masked"] == {"mask": 256}
    assert np.array_equal(imported(file, mask=str(mask), mask_good=True)[0].measured, BAD == 1)


def test_a_mask_that_leaves_next_to_nothing_is_questioned(save):
    few = np.zeros((64, 64))
    few[30, 30:40] = 1
    mask = save(few, "m.npy")
    with pytest.raises(InputError, match=r"leaves 0.244 % of the pixels.*--mask-bad.*--mask-good"):
        imported(save(pattern()), mask=mask)
    assert imported(save(pattern()), mask=mask, mask_bad=True)[0].measured.sum() == 64 * 64 - 10
    assert imported(save(pattern()), mask=mask, mask_good=True)[0].measured.sum() == 10
    outside = np.ones((64, 64))
    outside[14:50, 14:50] = 0
    outside[:20] = 0
    with pytest.raises(InputError, match=r"of the photons"):  # less than half of the pixels, and none with light
        imported(save(np.where(outside, 0, pattern())), mask=save(outside, "o.npy"))


def test_what_nonzero_means_is_said_of_a_mask(save):
    for options in ({"mask_bad": True}, {"mask_good": True}):
        with pytest.raises(InputError, match="no mask beside the data"):
            imported(save(pattern()), **options)
    with pytest.raises(InputError, match="one or the other"):
        imported(save(pattern()), mask=save(BAD, "m.npy"), mask_bad=True, mask_good=True)


def cxi(path, bits, version=160):
    with h5py.File(path, "w") as file:
        file["cxi_version"] = version
        file["entry_1/instrument_1/detector_1/data"] = pattern(photons=1e5).astype(np.uint32)
        file["entry_1/instrument_1/detector_1/mask"] = bits
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    return str(path)


def test_cxi_masks_are_read_by_their_bits(tmp_path):
    bits = np.zeros((64, 64), np.uint32)
    bits[1, :3], bits[2, :2], bits[3, :5], bits[4, 0] = 0x1, 0x2, 0x200, 0x8 | 0x4
    bits[10:20], bits[20:30], bits[30] = 0x1000, 0x10000, 0x800
    measurement, facts, told = imported(cxi(tmp_path / "a.cxi", bits))
    expected = {"mask_invalid": 3, "mask_saturated": 2, "mask_hot": 1, "mask_missing": 5}
    assert facts["masked"] == expected and (~measurement.measured).sum() == 11
    assert "640 pixels have bit 0x1000 only" in told and "--mask-bad" in told
    everything, _, _ = imported(cxi(tmp_path / "a.cxi", bits), mask_bad=True)
    assert np.array_equal(everything.measured, bits == 0)


def test_cxi_masks_the_other_way_round_are_questioned(tmp_path):
    good = np.ones((64, 64), np.uint8)
    good[20:22] = 0
    file = cxi(tmp_path / "a.cxi", good)
    with pytest.raises(InputError, match=r"leaves 3.1\d* % of the pixels.*--mask-good"):
        imported(file)
    assert np.array_equal(imported(file, mask_good=True)[0].measured, good == 1)


def nexus(path, frames, **masks):
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        file["entry"].attrs["NX_class"], detector.attrs["NX_class"] = "NXentry", "NXdetector"
        detector["data"] = frames
        for name, bits in masks.items():
            detector[name] = bits
    return str(path)


def test_nexus_masks_are_read_by_their_bits(tmp_path):
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(3)]).astype(np.uint32)
    bits, more = np.zeros((2, 64, 64), np.uint32)
    bits[1, :4], bits[2, :3], bits[3, :2], bits[4, 0] = 1, 2, 16, 1 << 8
    bits[40:50] = 1 << 31
    more[5, :6] = 1 << 8
    file = nexus(tmp_path / "a.nxs", frames, pixel_mask=bits, pixel_mask_2=more)
    measurement, facts, told = imported(file, stack="shots")
    assert np.array_equal(measurement.measured, (bits & 0xFFFF | more) == 0) and "pixel_mask beside the data" in told
    reasons = {"gap": 4, "dead": 3, "noisy": 2, "user": 7}
    assert facts["masked"] == {f"pixel_mask_{name}": 3 * count for name, count in reasons.items()}


def test_nexus_masks_may_differ_from_frame_to_frame(tmp_path):
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(3)]).astype(np.uint32)
    bits = np.zeros((3, 64, 64), np.uint32)
    bits[1, 5, 5] = 1
    measurement, facts, _ = imported(nexus(tmp_path / "a.nxs", frames, pixel_mask=bits), stack="shots")
    assert np.argwhere(~measurement.measured).tolist() == [[1, 5, 5]] and facts["masked"] == {"pixel_mask_gap": 1}


def test_files_name_the_largest_count_that_they_trust(tmp_path):
    counts = pattern(photons=1e6)
    limit = np.sort(counts, axis=None)[-4]
    file = nexus(tmp_path / "a.nxs", counts, saturation_value=np.int64(limit))
    _, facts, told = imported(file)
    assert facts["masked"] == {"saturated": 3} and f"counts above {limit}" in told
    assert imported(file, saturation=1e9)[1]["masked"] == {}  # the user's word counts
    assert imported(nexus(tmp_path / "b.nxs", counts, saturation_value=1))[1]["masked"] == {}


def test_edf_headers_name_a_dummy(tmp_path):
    from fabio.edfimage import EdfImage

    counts = pattern(photons=1e5).astype(np.float32)
    counts[counts == 7] = 8
    counts[20:24] = 7.01
    path = tmp_path / "a.edf"
    EdfImage(data=counts, header={"Dummy": "7", "DDummy": "0.1"}).write(str(path))
    measurement, facts, _ = imported(str(path))
    assert np.array_equal(measurement.measured, BAD == 0) and facts["masked"] == {"dummy": 256}


@pytest.mark.parametrize("dtype", [np.int32, np.int16])
def test_gaps_and_defects_of_a_pilatus(tmp_path, dtype):
    from fabio.cbfimage import CbfImage

    counts = np.minimum(pattern(photons=1e5), 30000).astype(np.int32)
    counts[20:23], counts[23] = -1, -2
    CbfImage(data=counts.astype(dtype)).write(str(tmp_path / "a.cbf"))
    measurement, facts, _ = imported(str(tmp_path / "a.cbf"))
    assert np.array_equal(measurement.measured, BAD == 0) and facts["masked"] == {"negative": 256}


def stopped_scan(path):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry/data/data", (12, 64, 64), np.uint32, chunks=(1, 64, 64))
        for index in range(8):
            data[index] = pattern(photons=1e5, seed=index)
    return str(path)


def scan_with_a_hole(path):
    """A virtual dataset of two files, of which the second is not there."""
    with h5py.File(path.with_name("part.h5"), "w") as file:
        file["data"] = np.stack([pattern(photons=1e5, seed=s) for s in range(8)]).astype(np.uint32)
    layout = h5py.VirtualLayout((12, 64, 64), np.uint32)
    layout[:8] = h5py.VirtualSource("part.h5", "data", (8, 64, 64))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    return str(path)


@pytest.mark.parametrize("write", [stopped_scan, scan_with_a_hole])
@pytest.mark.parametrize("stack", ["volume", "shots"])
def test_frames_that_were_never_written_are_unmeasured(tmp_path, write, stack):
    measurement, facts, told = imported(write(tmp_path / "scan.h5"), stack=stack)
    assert measurement.measured[:8].all() and not measurement.measured[8:].any()
    assert facts["masked"] == {"never_written": 4 * 64 * 64}
    assert ("4 of 12 frames" in told or "4 of 12 slices" in told) and "--frames" in told


# hot pixels --------------------------------------------------------------------------------------------------------


def hot_frames():
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(8)])
    frames[:, 7, 40] += 500
    frames[:, 50, 3] += 300
    frames[3, 12, 12] = 4000
    return frames


def test_hot_pixels_are_told_of_by_default(save):
    measurement, facts, told = imported(save(hot_frames()), stack="shots")
    assert measurement.measured.all() and facts["hot_pixels"]["always"] == [[7, 40], [50, 3]]
    assert "2 hot pixels: (7, 40) with" in told and "(12, 12)" in told and "--hot-pixels mask" in told
    assert "hot pixel" not in imported(save(hot_frames()), stack="shots", hot_pixels="keep")[2]


def test_hot_pixels_are_masked_where_one_says_so(save):
    measurement, facts, _ = imported(save(hot_frames()), stack="shots", hot_pixels="mask")
    expected = np.ones((8, 64, 64), bool)
    expected[:, 7, 40] = expected[:, 50, 3] = expected[3, 12, 12] = False
    assert np.array_equal(measurement.measured, expected) and facts["masked"] == {"hot": 16, "cosmic": 1}


def test_a_narrow_direct_beam_is_no_hot_pixel(save):
    counts = pattern(photons=1e6)
    counts[32, 32] = 10**8
    assert "hot pixel" not in imported(save(counts))[2]


# background and monitor -------------------------------------------------------------------------------------------


def test_a_background_is_subtracted_and_its_noise_stays(save):
    counts = pattern(photons=1e5) + np.random.default_rng(1).poisson(3, (64, 64))
    measurement, _, told = imported(save(counts), background=3)
    np.testing.assert_allclose(measurement.intensity, counts - 3.0)
    assert (measurement.intensity < 0).any() and "counts below zero are noise and stay" in told


def test_gaps_get_no_negative_counts(save):
    counts = pattern(photons=1e5).astype(np.uint32)
    counts[40:44] = 2**32 - 1
    assert (imported(save(counts), background=3)[0].intensity[40:44] == 0).all()


@pytest.mark.parametrize("level", [0.3, 3, 40])
def test_the_background_is_estimated_where_it_is_dark(save, level):
    counts = pattern((96, 96), 1e5, half=6) + np.random.default_rng(1).poisson(level, (96, 96))
    _, facts, told = imported(save(counts), background="auto")
    assert facts["background"] == pytest.approx(level, rel=0.12, abs=0.1) and "blocks" in told and "a guess" in told


def test_speckles_are_no_background(save):
    counts = pattern((96, 96), 1e7, half=12)
    _, facts, _ = imported(save(counts), background="auto")
    assert facts["background"] < 0.2 * np.median(counts)


def test_frames_are_scaled_to_the_incident_flux(save, tmp_path):
    frames, flux = np.stack([pattern(photons=1e5, seed=3)] * 4).astype(float), np.array([1.0, 2.0, 0.5, 0.5])
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data/data"] = frames * flux[:, None, None]
        file["entry/monitor"] = flux * 7
    file = f"{tmp_path}/scan.h5"
    for monitor in ("entry/monitor", f"{file}::entry/monitor", save(flux, "flux.npy")):
        measurement, facts, told = imported(file, dataset="entry/data/data", stack="shots", monitor=monitor)
        np.testing.assert_allclose(measurement.intensity, frames, rtol=1e-5)
        assert facts["poisson"] is False and "no longer pure Poisson" in told
    chosen, _, _ = imported(file, dataset="entry/data/data", stack="shots", monitor="entry/monitor", frames="1:3")
    np.testing.assert_allclose(chosen.intensity, frames[1:3] * 1.25, rtol=1e-5)


def test_a_monitor_must_fit(save):
    frames = np.stack([pattern()] * 3)
    with pytest.raises(InputError, match="has 2 values; there are 3 frames"):
        imported(save(frames), stack="shots", monitor=save(np.ones(2), "m.npy"))
    with pytest.raises(InputError, match="is 0 in frame 1"):
        imported(save(frames), stack="shots", monitor=save(np.array([1, 0, 1]), "m.npy"))
    with pytest.raises(InputError, match="single pattern"):
        imported(save(frames[0]), monitor=save(np.ones(1), "m.npy"))


# centre ------------------------------------------------------------------------------------------------------------


def shifted(photons=1e7):
    return pattern(photons=photons, centre=CENTRE).astype(np.uint32)


def spoil(counts, kind):
    """The counts with a defect, and the options one would type."""
    if kind == "two hot neighbours":
        counts[50, 50:52] = 10 * counts.max()
    elif kind == "a gap given as saturated":
        counts[10:14] = 10**6
        return counts, {"saturation": 10**6}
    elif kind == "a masked hot pixel":
        counts[3, 60] = 10**6
        return counts, {"saturation": 10**6}
    elif kind == "saturated":
        return np.minimum(counts, 3000), {"saturation": 3000}
    elif kind == "beam stop":
        counts[disc(counts.shape, (37, 24), 4)] = 2**32 - 1
    elif kind == "beam stop without counts":
        counts[disc(counts.shape, (37, 24), 4)] = 0
    elif kind == "gap through the beam":
        counts[36:40] = 2**32 - 1
    return counts, {}


KINDS = ["two hot neighbours", "a gap given as saturated", "a masked hot pixel", "saturated", "beam stop"]
KINDS += ["beam stop without counts", "gap through the beam"]


@pytest.mark.parametrize("kind", KINDS)
def test_defects_do_not_move_the_centre(save, kind):
    counts, options = spoil(shifted(), kind)
    _, facts, told = imported(save(counts), crop=(32,), **options)
    assert facts["centre"] == CENTRE and f"index {CENTRE} of the pattern is now at (16, 16)" in told
    if kind == "beam stop":
        assert "the middle is unmeasured" in told
    if kind == "beam stop without counts":
        assert "a beam stop that counts as measured" in told


def test_the_centre_is_told_with_its_reason(save):
    assert "the brightest spot" in imported(save(shifted()))[2]
    assert "by symmetry" in imported(save(spoil(shifted(), "beam stop")[0]))[2]
    assert "not sure where the middle is" in imported(save(np.random.default_rng(0).poisson(3, (64, 64))))[2]


def test_a_defect_in_every_slice_does_not_move_the_peak(save):
    volume = np.roll(pattern((24, 48, 48), 1e7, seed=2), (3, -4, 5), (0, 1, 2)).astype(np.uint32)
    volume[:, 7, 40:42] = 10 * volume.max()
    assert imported(save(volume), stack="volume", crop=(16, 32, 32))[1]["centre"] == (15, 20, 29)
    volume[9, 2, 2] = 10**8  # a cosmic ray
    assert imported(save(volume), stack="volume", crop=(16, 32, 32))[1]["centre"] == (15, 20, 29)


def test_a_zero_frequency_in_the_corner_is_asked_about(save):
    counts = np.fft.ifftshift(pattern(photons=1e6, half=4))
    assert "--corner" in imported(save(counts))[2]
    measurement, _, told = imported(save(counts), corner=True)
    assert measurement.intensity.argmax() == 32 * 64 + 32 and "as --corner says" in told
    assert "--corner" not in imported(save(np.fft.fftshift(counts)))[2]


def test_much_beyond_the_detector_is_told(save):
    _, _, told = imported(save(shifted()), crop=(48,), centre=(5, 5))
    assert "63 % of the result lie beyond the detector" in told


def test_a_study_writes_the_same_options():
    entry = ImportEntry(files=["a.h5"], hot_pixels="mask", background="auto", monitor="entry/monitor", mask="m.msk")
    assert entry.sources() == ["a.h5", "m.msk"] and entry.inside(Path("/d")).monitor == "entry/monitor"
    arguments = " ".join(entry.arguments())
    for option in ("--hot-pixels mask", "--background auto", "--monitor entry/monitor", "--mask m.msk"):
        assert option.replace(" ", "=") in arguments.replace(" ", "=")
    assert ImportEntry(files=["a.h5"], monitor="b.h5::flux").sources() == ["a.h5", "b.h5"]
    for wrong in ("low", -1):
        with pytest.raises(ValueError, match="expected auto or a number of at least 0"):
            ImportEntry(files=["a.h5"], background=wrong)
