"""Small files with the documented layouts of other people's data sets, through ``cdipipe import``'s own functions."""

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from cdipipe.errors import InputError
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.frames import Frames
from cdipipe.io.importing.options import ImportOptions
from cdipipe.io.importing.probes import read_probe_modes
from cdipipe.io.importing.window import fill_friedel
from cdipipe.measurement import Geometry
from cdipipe.optics.forward import ForwardModel


def random_complex(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def predict(objects, probe_modes=None):
    """Photons of objects in the far field, modes summed."""
    modes = None if probe_modes is None else torch.from_numpy(probe_modes)
    return ForwardModel.of_centred(probe_modes=modes).predict_centred(torch.from_numpy(objects))


@pytest.fixture
def movie(tmp_path):
    """PID3Net's files: npz with 'arr_0' (T, H, W) intensities, npy with (M, H, W) probe modes for one second."""
    modes, objects = random_complex(5, 18, 18), np.exp(0.3j * np.random.default_rng(1).random((4, 18, 18)))
    exposure_s = 0.00727175
    intensity = predict(objects, modes * np.sqrt(exposure_s))
    np.savez(tmp_path / "train.npz", intensity.numpy())
    np.save(tmp_path / "probe.npy", modes)
    return tmp_path, modes, objects, exposure_s


def test_a_movie_of_pid3net_with_its_probe_modes(movie):
    folder, modes, objects, exposure_s = movie
    options = ImportOptions(
        stack="movie", probe=str(folder / "probe.npy"), exposure_s=exposure_s, frame_interval_s=exposure_s
    )
    measurement, _ = import_files([folder / "train.npz"], options)
    assert (measurement.stack, measurement.intensity.shape) == ("movie", (4, 18, 18))
    np.testing.assert_allclose(measurement.probe_modes, modes * np.sqrt(exposure_s), rtol=1e-6)
    np.testing.assert_allclose(measurement.frame_times_s, exposure_s * np.arange(4))
    predicted = predict(objects, measurement.probe_modes)
    np.testing.assert_allclose(predicted, measurement.intensity, rtol=1e-4, atol=1e-6)


def test_the_pixel_by_which_the_chart_s_frames_are_off_is_put_right_by_the_crop(movie):
    folder, *_ = movie
    options = ImportOptions(stack="movie", crop=(18,), centre=(9, 8), probe=str(folder / "probe.npy"))
    measurement, account = import_files([folder / "train.npz"], options)
    stored = np.load(folder / "train.npz")["arr_0"]
    np.testing.assert_allclose(measurement.intensity[:, :, 1:], stored[:, :, :-1], rtol=1e-6)
    assert not measurement.measured[:, 0].any() and account.facts["centred"]


def test_probes_and_frame_times_must_fit(movie):
    folder, *_ = movie
    train, probe = folder / "train.npz", str(folder / "probe.npy")
    for options, words in (
        (ImportOptions(stack="movie", probe=probe, crop=(16,), centre="middle"), "do not fit patterns"),
        (ImportOptions(stack="movie", exposure_s=1.0), "give --probe too"),
        (ImportOptions(stack="shots", frame_interval_s=1.0), "is for movies"),
        (ImportOptions(stack="movie", probe=str(train)), "no array of two or more axes"),
    ):
        with pytest.raises(InputError, match=words):
            import_files([train], options)


@pytest.mark.parametrize(
    "name", ["p.npy", "p.npz", "p.npz::modes", "p.mat", "v73.mat", "p.h5", "p.cxi::/entry_1/probe"]
)
def test_probe_modes_from_every_format(tmp_path, name):
    modes, path = random_complex(3, 6, 7), tmp_path / name.partition("::")[0]
    if path.suffix == ".npy":
        np.save(path, modes)
    elif path.suffix == ".npz":
        np.savez(path, modes=modes, arr_0=np.ones((4, 6, 7)))
    elif name == "p.mat":
        scipy.io.savemat(path, {"probe": np.moveaxis(modes, 0, -1), "counts": np.ones((6, 7))})
    elif name == "v73.mat":
        matlab = np.ascontiguousarray(np.moveaxis(modes, 0, -1).T)
        parts = np.zeros(matlab.shape, [("real", "f4"), ("imag", "f4")])
        parts["real"], parts["imag"] = matlab.real, matlab.imag
        with h5py.File(path, "w", userblock_size=512) as file:
            file["probe"] = parts
            file["counts"] = np.ones((7, 6))
    else:
        with h5py.File(path, "w") as file:
            file["entry_1/probe"] = modes
    np.testing.assert_array_equal(read_probe_modes(str(tmp_path / name)), modes)
    np.testing.assert_allclose(read_probe_modes(str(tmp_path / name), 0.25), modes / 2)


def test_bad_probes_are_named_in_one_line(tmp_path):
    np.save(tmp_path / "zero.npy", np.zeros((4, 4), complex))
    np.save(tmp_path / "line.npy", np.ones(4, complex))
    np.save(tmp_path / "nan.npy", np.full((4, 4), np.nan + 0j))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "text.mat").write_bytes(b"not a mat file" * 20)
    (tmp_path / "picture.tif").write_bytes(b"II*\0")
    for name in ("zero.npy", "line.npy", "nan.npy", "objects.npy", "cut.npz", "text.mat", "picture.tif"):
        with pytest.raises(InputError, match=name) as error:
            read_probe_modes(tmp_path / name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["v5", "v7.3"])
def test_matlab_stacks_have_their_shots_last(tmp_path, version):
    counts = np.random.default_rng(0).poisson(4, (6, 7, 5)).astype(float)  # (H, W, N) as MATLAB shows it
    path = tmp_path / "stack.mat"
    if version == "v5":
        scipy.io.savemat(path, {"patterns": counts, "energy": 5000.0}, do_compression=True)
    else:
        with h5py.File(path, "w", userblock_size=512) as file:
            file["patterns"] = counts.T
            file["energy"] = np.array([[5000.0]])
    measurement, _ = import_files([path], ImportOptions(stack="shots", axis=(2,)))
    np.testing.assert_array_equal(measurement.intensity, np.moveaxis(counts, -1, 0))
    volume, _ = import_files([path], ImportOptions(stack="volume", axis=(2, 0, 1), dataset="patterns"))
    np.testing.assert_array_equal(volume.intensity, measurement.intensity)


def cxidb(path, data, mask=None, **image):
    """Layout of CXIDB deposits: SI units, counts in the detector's group, data_1 a link to it."""
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 130
        source = file.create_group("entry_1/instrument_1/source_1")
        source["energy"] = 1200 * 1.602176634e-19
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["distance"] = 0.738
        detector["x_pixel_size"] = detector["y_pixel_size"] = 75e-6
        if image:
            group = file.create_group("entry_1/image_1")
            group["data"], group["mask"] = data, mask
            for name, value in image.items():
                group[name] = value
            file["entry_1/data_1"] = h5py.SoftLink("/entry_1/image_1")
        else:
            detector["data"] = data
            if mask is not None:
                detector["mask"] = mask
            file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    return path


def test_a_single_particle_set_of_the_cxidb(tmp_path):
    """Counts with a detector gap and a background, binned 2 x 2, gap filled: DPR's Methods 4.6."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[-20:20, -20:20]
    clean = np.round(900 * np.exp(-(((y + 0.5) / 6) ** 2) - ((x + 0.5) / 4) ** 2) + 20)
    dark = rng.integers(3, 6, clean.shape).astype(float)
    mask = np.zeros(clean.shape, np.uint32)
    mask[22:24] = 0x200  # missing
    path = cxidb(tmp_path / "virus.cxi", (clean + dark)[None], mask[None])
    np.save(tmp_path / "dark.npy", dark)
    options = {"dark": str(tmp_path / "dark.npy"), "bin": (2,)}
    plain, _ = import_files([path], ImportOptions(**options))
    assert plain.geometry == Geometry(1200.0, 0.738, 150e-6, binning=(2, 2))
    assert np.flatnonzero(~plain.measured.all(1)).tolist() == [11]
    np.testing.assert_allclose(plain.intensity[plain.measured], _binned(clean)[plain.measured], rtol=1e-6)
    cropped, account = import_files([path], ImportOptions(**options, crop=(19,), centre=(10, 10), friedel=True))
    assert account.facts["friedel_filled"] == 19
    assert cropped.measured.all()
    np.testing.assert_array_equal(cropped.intensity[10], cropped.intensity[8, ::-1])


def _binned(counts):
    return counts.reshape(20, 2, 20, 2).sum((1, 3))


def test_an_assembled_single_particle_image_of_the_cxidb(tmp_path):
    counts = np.random.default_rng(1).poisson(3, (12, 14)).astype(np.float32)
    mask = np.zeros(counts.shape, np.uint16)
    mask[:, 3] = 1
    shifted = (np.fft.ifftshift(counts), np.fft.ifftshift(mask))
    path = cxidb(tmp_path / "image.cxi", *shifted, is_fft_shifted=1, data_space="diffraction", data_type="intensities")
    measurement, _ = import_files([path], ImportOptions())
    np.testing.assert_array_equal(measurement.measured, mask == 0)
    np.testing.assert_array_equal(measurement.intensity[mask == 0], counts[mask == 0])


def test_the_centre_that_an_assembled_image_states_is_taken_when_asked_for(tmp_path):
    counts = np.random.default_rng(3).poisson(3, (20, 24)).astype(np.float32)
    counts[13, 9] = 77
    mask = np.zeros(counts.shape, np.uint16)
    path = cxidb(tmp_path / "image.cxi", counts, mask, image_center=np.array([9.0, 13.2, 0.0]), is_fft_shifted=0)
    measurement, account = import_files([path], ImportOptions(centre="file", crop=(8,)))
    assert account.facts["centre"] == (13, 9) and measurement.intensity[4, 4] == 77
    binned, account = import_files([path], ImportOptions(centre="file", crop=(8,), bin=(2,)))
    assert account.facts["centre"] == (6, 4) and binned.intensity[4, 4] >= 77
    np.save(tmp_path / "a.npy", counts)
    with pytest.raises(InputError, match="needs an 'image_center'"):
        import_files([tmp_path / "a.npy"], ImportOptions(centre="file", crop=(8,)))


def test_a_bragg_set_of_the_cxidb_is_a_volume_when_told_so(tmp_path):
    counts = np.random.default_rng(2).poisson(1, (7, 10, 12)).astype(np.uint16)
    counts[3, 4, 6] = 500
    counts[3, 4, 5] = counts[3, 4, 7] = counts[2, 4, 6] = 200
    path = cxidb(tmp_path / "bragg.cxi", counts)
    options = ImportOptions(stack="volume", crop=(6, 8, 8), rocking_step_rad=2e-4)
    measurement, account = import_files([path], options)
    assert measurement.stack == "volume" and account.facts["centre"] == (3, 4, 6)
    assert measurement.intensity[3, 4, 4] == 500
    assert measurement.geometry.rocking_step_rad == 2e-4


@pytest.mark.parametrize("shape", [(9, 9), (8, 8), (3, 8, 9), (2, 6, 5)])
@pytest.mark.parametrize("is_volume", [False, True])
def test_friedel_mates_fill_what_is_missing_and_nothing_else(shape, is_volume):
    rank = 3 if is_volume and len(shape) == 3 else 2
    rng = np.random.default_rng(5)
    counts = rng.poisson(9, shape).astype(np.float32)
    measured = rng.random(shape) > 0.4
    frames = Frames(counts * measured, measured.copy())
    filled = fill_friedel(frames, rank)
    np.testing.assert_array_equal(frames.counts[measured], counts[measured])
    expected = 0
    for index in np.ndindex(shape):
        lead, place = index[: len(shape) - rank], index[len(shape) - rank :]
        mate = tuple(2 * (n // 2) - i for i, n in zip(place, shape[-rank:], strict=True))
        inside = all(0 <= i < n for i, n in zip(mate, shape[-rank:], strict=True))
        should = not measured[index] and inside and measured[lead + mate]
        expected += should
        assert frames.measured[index] == (measured[index] or should)
        if should:
            assert frames.counts[index] == counts[lead + mate]
    assert filled == expected > 0


def test_the_centre_of_a_real_object_s_pattern_survives_a_quadrant_behind_the_stop():
    rng = np.random.default_rng(6)
    block = np.pad(rng.random((9, 7)), ((12, 12), (13, 13)))
    intensity = predict(block.astype(complex)).numpy().astype(np.float32)
    measured = np.ones(intensity.shape, bool)
    measured[17:, 17:] = False
    frames = Frames(intensity * measured, measured)
    fill_friedel(frames, 2)
    assert frames.measured.all()
    np.testing.assert_allclose(frames.counts, intensity, rtol=1e-4, atol=1e-5)


def test_the_command_takes_the_options_and_tells_what_it_filled(cli, movie):
    from cdipipe.io.cxi import read_measurement

    folder, modes, *_ = movie
    mask = np.ones((18, 18))
    mask[2, 5] = 0
    np.save(folder / "mask.npy", mask)
    arguments = ["import", folder / "train.npz", "-o", folder / "m.cxi", "--stack", "movie", "--friedel"]
    arguments += ["--mask", folder / "mask.npy", "--probe", folder / "probe.npy", "--frame-interval-s", 0.5]
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "filled by I(q) = I(-q): 4 pixels" in done.out
    read = read_measurement(folder / "m.cxi")
    assert read.probe_modes.shape == modes.shape and read.frame_times_s.tolist() == [0, 0.5, 1, 1.5]
    assert read.provenance["import"]["friedel_filled"] == 4
    assert "probe.npy" in read.provenance["inputs"]
    bad = cli(*arguments[:-1], "-0.5")
    assert bad.code == 2 and "--frame-interval-s -0.5: expected a positive number" in bad.err
