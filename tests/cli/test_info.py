import json

import h5py
import numpy as np
import pytest

from cdipipe.io import cxi
from cdipipe.io.describe import estimate_object_extent
from cdipipe.measurement import Geometry, Measurement, Reconstruction, Truth


def disc_pattern(extent, size=64):
    """Pattern of an ellipse of the given extents (rows, columns) with random phases."""
    y, x = np.ogrid[:size, :size]
    inside = ((y - size // 2) / extent[0]) ** 2 + ((x - size // 2) / extent[1]) ** 2 <= 0.25
    phases = np.random.default_rng(0).uniform(0, 1, inside.shape)
    wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(inside * np.exp(1j * phases)), norm="ortho"))
    return (np.abs(wave) ** 2).astype(np.float32)


@pytest.mark.parametrize("extent", [(10, 16), (20, 12)])
def test_the_extent_of_the_object_is_estimated_from_the_pattern(extent):
    pattern = disc_pattern(extent)
    estimate = estimate_object_extent(pattern, np.ones(pattern.shape, bool))
    assert np.abs(np.array(estimate) - extent).max() <= 0.2 * max(extent)


def test_what_cannot_be_estimated_is_unknown():
    pattern = disc_pattern((60, 60))
    assert estimate_object_extent(pattern, np.ones(pattern.shape, bool)) == (None, None)
    measured = np.ones(pattern.shape, bool)
    measured[32, 32] = False
    assert estimate_object_extent(disc_pattern((10, 10)), measured) == (None, None)


@pytest.fixture
def measurement(tmp_path):
    counts = np.random.default_rng(0).poisson(
        100 * disc_pattern((10, 12)) / disc_pattern((10, 12)).max() * np.ones((3, 1, 1))
    )
    measured = np.ones((64, 64), bool)
    measured[:16] = False
    path = tmp_path / "m.cxi"
    geometry = Geometry(9000, 0.5, 55e-6)
    cxi.write_measurement(
        path, Measurement(counts.astype(np.float32), measured, "shots", geometry, None, {"command": "cdipipe x_y"})
    )
    return path, counts


def test_a_measurement_as_json(cli, measurement):
    path, counts = measurement
    facts = json.loads(cli("info", path, "--json").out)
    kept = counts[:, 16:].sum((1, 2))
    assert facts["kind"] == "measurement" and facts["shape"] == [3, 64, 64] and facts["patterns"] == 3
    assert facts["photons_total"] == kept.sum() and facts["photons_per_pattern"]["max"] == kept.max()
    assert facts["masked_share"] == 0.25
    assert facts["geometry"]["object_pixel_m"][0] == pytest.approx(1.3776e-10 * 0.5 / (64 * 55e-6), rel=1e-4)
    ratio, extent = facts["oversampling_ratio_estimate"], facts["object_extent_px_estimate"]
    assert [r * e for r, e in zip(ratio, extent, strict=True)] == pytest.approx([64, 64])
    assert facts["provenance"] == {"command": "cdipipe x_y"}


def test_a_measurement_in_words(cli, measurement):
    done = cli("info", measurement[0])
    assert done.code == 0
    for line in (
        "stack: shots",
        "shape: (3, 64, 64)",
        "masked: 25.00 %",
        "  energy ev: 9000",
        "  command: cdipipe x_y",
    ):
        assert line in done.out.splitlines(), line
    assert "oversampling ratio estimate: (" in done.out


def test_reconstructions_and_truths(cli, tmp_path):
    image = np.ones((6, 7), np.complex64)
    support = np.zeros((6, 7), bool)
    support[2:4, 2:5] = True
    result = Reconstruction(
        image,
        support,
        method="raar",
        recipe={"steps": [{"raar": {"beta": 0.9}}]},
        error_trace=np.ones((2, 30), np.float32),
        run_scores={"r_factor": np.array([0.1, 0.2])},
        seconds=2.5,
    )
    cxi.write_reconstruction(tmp_path / "r.cxi", result)
    cxi.write_truth(tmp_path / "t.cxi", Truth(image, support))
    facts = json.loads(cli("info", tmp_path / "r.cxi", "--json").out)
    assert (facts["kind"], facts["method"], facts["iterations"], facts["support_px"]) == (
        "reconstruction",
        "raar",
        30,
        6,
    )
    assert facts["run_scores"] == {"r_factor": [0.1, 0.2]} and facts["seconds"] == 2.5
    assert "kind: truth" in cli("info", tmp_path / "t.cxi").out


def test_arrays_of_other_formats(cli, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([[1.0, np.nan], [3, 4]]), y=np.ones((3, 3)))
    facts = json.loads(cli("info", f"{tmp_path / 'a.npz'}::x", "--json").out)
    assert facts["shape"] == [2, 2] and facts["not_finite"] == 1 and facts["sum"] == 8
    listed = json.loads(cli("info", tmp_path / "a.npz", "--json").out)
    assert list(listed["arrays"]) == ["x", "y"] and "choose one" in listed["which"]


def test_a_beamline_file(cli, data_dir):
    done = cli("info", data_dir / "petra_p25_nearfield" / "PETRAIII_P25_Near_Field_Ptycho.cxi", "--json")
    facts = json.loads(done.out)
    assert facts["patterns"] == 200 and facts["geometry"]["distance_m"] == 1.12


def test_a_simulated_movie_with_a_static_region_is_described(tmp_path, cli):
    frames = np.ones((3, 8, 8), np.float32)
    static = np.zeros((8, 8), np.complex64)
    static[1:3, 1:3] = 2j
    times = np.arange(3) * 0.007
    movie = Measurement(frames, np.ones((8, 8), bool), "movie", static_region=static, frame_times_s=times)
    cxi.write_measurement(tmp_path / "m.cxi", movie)
    extra = {"positions_px": np.zeros((3, 5, 2)), "velocity_m_per_s": 3.4e-7}
    cxi.write_truth(tmp_path / "t.cxi", Truth(frames.astype(complex), frames > 0, "movie", extra=extra))
    facts, truth = (json.loads(cli("info", tmp_path / name, "--json").out) for name in ("m.cxi", "t.cxi"))
    assert facts["static_region"] == {"support_px": 4, "photons": 16.0} and facts["frame_interval_s"] == 0.007
    assert truth["extra"] == {"positions_px": "float64 (3, 5, 2)", "velocity_m_per_s": 3.4e-7}


def test_a_large_scan_is_described_without_being_read(cli, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("entry/data/data", (4000, 2167, 2070), np.uint32, chunks=(1, 2167, 2070))
        data[7, :3, :3] = 1
        file["entry/instrument/detector/pixel_mask"] = np.zeros((2167, 2070), np.uint8)
    monkeypatch.setenv("CDIPIPE_MAX_GIB", "0.1")
    facts = json.loads(cli("info", tmp_path / "scan.h5", "--json").out)
    assert facts["shape"] == [4000, 2167, 2070] and facts["size"] == "66.8 GiB, not read"
    assert facts["never_written"] == "3999 of 4000 along the first axis" and "pixel_mask" in facts["mask"]
