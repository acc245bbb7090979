import hashlib
import os

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io import cxi
from cdipipe.measurement import Geometry, Measurement, Reconstruction, Truth

SHAPES = {"single": (9, 12), "shots": (5, 8, 8), "movie": (4, 8, 9), "volume": (6, 7, 8)}
GEOMETRY = Geometry(9000.3, 0.5, 55e-6, rocking_step_rad=-8.7e-5)


def make_measurement(stack="single", **changes) -> Measurement:
    rng = np.random.default_rng(1)
    shape = SHAPES[stack]
    measured = rng.random(shape if stack == "volume" else shape[-2:]) > 0.1
    fields = {"intensity": rng.poisson(5, shape).astype(np.float32), "measured": measured, "stack": stack}
    return Measurement(**(fields | {"geometry": GEOMETRY, "provenance": {"command": "made up"}} | changes))


def make_reconstruction(stack="single") -> Reconstruction:
    rng = np.random.default_rng(2)
    image = (rng.normal(size=SHAPES[stack]) + 1j * rng.normal(size=SHAPES[stack])).astype(np.complex64)
    return Reconstruction(
        object=image,
        support=np.abs(image) > 1,
        stack=stack,
        method="hio",
        recipe={"steps": [{"hio": {"beta": 0.9, "iterations": np.int64(5)}}]},
        geometry=GEOMETRY,
        error_trace=rng.random((3, 5)).astype(np.float32),
        runs=np.stack([image, image.conj()]),
        run_scores={"r_factor": np.array([0.1, 0.2]), "poisson_nll": np.array([1.0, np.nan])},
        free_pixels=rng.random(SHAPES[stack]) > 0.9,
        forward={"kind": "far_field", "coherence_px": 3.0},
        modes=np.stack([image, image]),
        mode_weights=np.array([0.7, 0.3]),
        seconds=1.5,
        device="cpu",
        backend="native-cpu (avx2)",
        provenance={"command": "made up"},
    )


@pytest.mark.parametrize("stack", SHAPES)
def test_a_measurement_comes_back_bit_for_bit(tmp_path, stack):
    written = make_measurement(stack)
    cxi.write_measurement(tmp_path / "m.cxi", written)
    read = cxi.read_measurement(tmp_path / "m.cxi")
    assert read.intensity.dtype == np.float32 and np.array_equal(read.intensity, written.intensity)
    assert read.measured.dtype == bool and np.array_equal(read.measured, written.measured)
    assert (read.stack, read.geometry, read.provenance) == (stack, GEOMETRY, {"command": "made up"})
    assert os.listdir(tmp_path) == ["m.cxi"]


def test_masks_of_single_patterns_and_probe_modes_come_back(tmp_path):
    rng = np.random.default_rng(3)
    modes = (rng.normal(size=(2, 8, 8)) + 1j).astype(np.complex64)
    written = make_measurement("shots", measured=rng.random(SHAPES["shots"]) > 0.3, probe_modes=modes)
    cxi.write_measurement(tmp_path / "m.cxi", written)
    read = cxi.read_measurement(tmp_path / "m.cxi")
    assert np.array_equal(read.measured, written.measured)
    assert np.array_equal(read.probe_modes, modes)


@pytest.mark.parametrize("values", [[0, 1.5, 2], [0, 70000, 3], [0, 3e9, 1], [-2.0, 5, 1]])
def test_counts_of_every_size_are_stored_losslessly(tmp_path, values):
    intensity = np.array([values] * 3, dtype=np.float32)
    cxi.write_measurement(tmp_path / "m.cxi", Measurement(intensity, np.ones((3, 3), bool)))
    assert np.array_equal(cxi.read_measurement(tmp_path / "m.cxi").intensity, intensity)


@pytest.mark.parametrize("stack", SHAPES)
def test_a_reconstruction_comes_back(tmp_path, stack):
    written = make_reconstruction(stack)
    cxi.write_reconstruction(tmp_path / "r.cxi", written)
    read = cxi.read_reconstruction(tmp_path / "r.cxi")
    for name in ("object", "support", "error_trace", "runs", "free_pixels", "modes", "mode_weights"):
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert read.object.dtype == np.complex64 and read.free_pixels.dtype == bool
    for name in ("stack", "method", "geometry", "forward", "seconds", "device", "backend", "provenance", "recipe"):
        assert getattr(read, name) == getattr(written, name), name
    assert set(read.run_scores) == {"r_factor", "poisson_nll"}
    np.testing.assert_array_equal(read.run_scores["poisson_nll"], [1.0, np.nan])


@pytest.mark.parametrize("values", [np.float64(0.1), np.ones((2, 2))])
def test_scores_of_another_rank_than_one_number_for_each_run_are_refused(tmp_path, values):
    cxi.write_reconstruction(tmp_path / "r.cxi", make_reconstruction("single"))
    with h5py.File(tmp_path / "r.cxi", "r+") as file:
        del file["entry_1/run_scores/r_factor"]
        file["entry_1/run_scores/r_factor"] = values
    with pytest.raises(InputError, match=r"r_factor has shape .*; allowed: one number for each run"):
        cxi.read_reconstruction(tmp_path / "r.cxi")


def test_a_plain_reconstruction_needs_no_extras(tmp_path):
    image = np.ones((4, 5), np.complex64)
    cxi.write_reconstruction(tmp_path / "r.cxi", Reconstruction(image, image.real > 0))
    read = cxi.read_reconstruction(tmp_path / "r.cxi")
    assert read.runs is None and read.error_trace is None and read.forward == {"kind": "far_field"}


def test_a_truth_stays_apart(tmp_path):
    image = np.ones((4, 5), np.complex64)
    cxi.write_truth(tmp_path / "t.cxi", Truth(image, image.real > 0, provenance={"scene": "none"}))
    read = cxi.read_truth(tmp_path / "t.cxi")
    assert np.array_equal(read.object, image) and read.provenance == {"scene": "none"}
    for reader in (cxi.read_measurement, cxi.read_reconstruction):
        with pytest.raises(InputError, match="holds a truth"):
            reader(tmp_path / "t.cxi")
    cxi.write_measurement(tmp_path / "m.cxi", make_measurement())
    with pytest.raises(InputError, match="a truth is needed"):
        cxi.read_truth(tmp_path / "m.cxi")
    with h5py.File(tmp_path / "m.cxi") as file:
        assert "image_1" not in file["entry_1"]


def test_arrays_do_not_hide_in_the_provenance(tmp_path):
    """Nothing of the size of an object passes into a measurement by the back door."""
    with pytest.raises(TypeError, match="plain data"):
        cxi.write_measurement(tmp_path / "m.cxi", make_measurement(provenance={"truth": np.zeros((64, 64))}))
    assert os.listdir(tmp_path) == []


def test_other_tools_find_what_the_cxi_description_promises(tmp_path):
    measurement = make_measurement("shots")
    cxi.write_measurement(tmp_path / "m.cxi", measurement)
    with h5py.File(tmp_path / "m.cxi") as file:
        assert file["cxi_version"][()] == 160
        assert isinstance(file.get("entry_1/data_1/data", getlink=True), h5py.SoftLink)
        assert np.array_equal(file["entry_1/data_1/data"][()], measurement.intensity)
        mask = file["entry_1/data_1/mask"]
        assert mask.dtype == np.uint32 and np.array_equal(mask[()] == 0, measurement.measured)
        energy = file["entry_1/instrument_1/source_1/energy"][()]
        assert energy == pytest.approx(9000.3 * 1.602176634e-19)
        wavelength = file["entry_1/instrument_1/source_1/wavelength"][()]
        assert wavelength * energy == pytest.approx(6.62607015e-34 * 299792458)
        detector = file["entry_1/instrument_1/detector_1"]
        assert (detector["distance"][()], detector["x_pixel_size"][()], detector["y_pixel_size"][()]) == (
            0.5,
            5.5e-5,
            5.5e-5,
        )
        assert detector["data"].attrs["stack"] == b"shots"
        assert detector["data"].attrs["axes"] == b"experiment_identifier:y:x"
        assert file["entry_1"].attrs["NX_class"] == b"NXentry" and detector.attrs["NX_class"] == b"NXdetector"
        assert file["entry_1/data_1"].attrs["signal"] == b"data"


def test_a_reconstruction_has_its_image_where_cxi_puts_it(tmp_path):
    written = make_reconstruction()
    cxi.write_reconstruction(tmp_path / "r.cxi", written)
    with h5py.File(tmp_path / "r.cxi") as file:
        image = file["entry_1/image_1"]
        assert np.array_equal(file["entry_1/data_1/data"][()], written.object)
        assert np.array_equal(image["mask"][()] == 0, written.support)
        assert image["is_fft_shifted"][()] == 0 and list(image["image_center"][()]) == [6, 4]
        assert image["data_space"][()] == b"real"
        assert file["entry_1/runs"].shape == (2, 9, 12)
        assert file["entry_1/free_pixels"].shape == (9, 12)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    digests = set()
    for name in ("a.cxi", "b.cxi"):
        cxi.write_reconstruction(tmp_path / name, make_reconstruction("volume"))
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_stacks_are_chunked_by_pattern(tmp_path):
    counts = np.ones((6, 256, 256), np.float32)
    cxi.write_measurement(tmp_path / "m.cxi", Measurement(counts, np.ones((256, 256), bool), "shots"))
    with h5py.File(tmp_path / "m.cxi") as file:
        assert file["entry_1/data_1/data"].chunks == (1, 256, 256)


def test_negative_counts_are_kept_only_where_the_file_says_so(tmp_path):
    counts = np.array([[-3, 5], [2, 1]], np.float32)
    cxi.write_measurement(tmp_path / "m.cxi", Measurement(counts, np.ones((2, 2), bool)))
    assert cxi.read_measurement(tmp_path / "m.cxi").measured.all()
    with h5py.File(tmp_path / "m.cxi", "r+") as file:
        del file["entry_1/instrument_1/detector_1/data"].attrs["signed"]
    read = cxi.read_measurement(tmp_path / "m.cxi")
    assert read.measured.tolist() == [[False, True], [True, True]] and read.intensity[0, 0] == 0


def test_file_kinds(tmp_path):
    cxi.write_measurement(tmp_path / "m.cxi", make_measurement())
    cxi.write_reconstruction(tmp_path / "r.cxi", make_reconstruction())
    assert [cxi.file_kind(tmp_path / name) for name in ("m.cxi", "r.cxi")] == ["measurement", "reconstruction"]
    with pytest.raises(InputError, match="holds a reconstruction"):
        cxi.read_measurement(tmp_path / "r.cxi")
    with pytest.raises(InputError, match="holds a measurement"):
        cxi.read_reconstruction(tmp_path / "m.cxi")


def test_writers_refuse_what_no_reader_could_take(tmp_path):
    image = np.ones((3, 4, 5), np.complex64)
    with pytest.raises(ValueError, match="do not fit"):
        cxi.write_truth(tmp_path / "t.cxi", Truth(image, image.real > 0))
    assert os.listdir(tmp_path) == []
