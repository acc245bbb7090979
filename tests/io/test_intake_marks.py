"""What detectors write where they did not count: it is masked, counted, and never taken for photons."""

import h5py
import numpy as np
import pytest
from intake import BAD, imported, nexus
from patterns import pattern

from cdipipe.errors import InputError


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
