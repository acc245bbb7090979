"""CXI files of other tools, and links that lead elsewhere."""

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.cxi import file_kind, read_measurement, read_reconstruction, write_measurement
from cdipipe.io.cxi.layout import bits_to_measured
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions
from cdipipe.measurement import Measurement


def test_a_beamline_file_is_read_as_shots(data_dir):
    read = read_measurement(data_dir / "petra_p25_nearfield" / "PETRAIII_P25_Near_Field_Ptycho.cxi")
    assert read.stack == "shots" and read.intensity.shape == (200, 100, 100) and read.measured.shape == (100, 100)
    assert (~read.measured).sum() == 5 and read.intensity.max() == 29176
    assert read.geometry.wavelength_m == pytest.approx(0.979e-10, rel=1e-3)
    assert (read.geometry.distance_m, read.geometry.pixel_m) == (1.12, 55e-6)


def foreign(path, data, mask=None, where="entry_1/data_1"):
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 140
        file[f"{where}/data"] = data
        if mask is not None:
            file[f"{where}/mask"] = mask
    return path


def test_single_particle_files(tmp_path):
    counts = np.arange(12.0).reshape(3, 4)
    read = read_measurement(foreign(tmp_path / "a.cxi", counts[None]))
    assert read.stack == "single" and np.array_equal(read.intensity, counts) and read.measured.all()
    read = read_measurement(foreign(tmp_path / "b.cxi", np.stack([counts, counts]), np.zeros((3, 4), np.uint16)))
    assert read.stack == "shots" and read.measured.all()


def test_an_assembled_image_says_that_it_is_corner_centred_and_an_amplitude(tmp_path):
    amplitude = np.zeros((4, 6))
    amplitude[0, 0] = 3
    path = foreign(tmp_path / "a.cxi", amplitude, where="entry_1/image_1")
    with h5py.File(path, "r+") as file:
        file["entry_1/image_1/is_fft_shifted"] = 1
        file["entry_1/image_1/data_type"] = "amplitudes"
    read = read_measurement(path)
    assert read.intensity[2, 3] == 9 and read.intensity.sum() == 9


def test_the_image_of_another_phasing_program(tmp_path):
    image = np.zeros((4, 5, 6), np.complex64)
    image[1:3, 1:3, 2:4] = 1j
    path = foreign(tmp_path / "a.cxi", image, where="entry_1/image_1")
    assert file_kind(path) == "reconstruction"
    read = read_reconstruction(path)
    assert read.stack == "volume" and np.array_equal(read.support, image != 0)
    with pytest.raises(InputError, match="complex"):
        read_measurement(path)


def test_marks_of_detectors_are_unmeasured(tmp_path):
    counts = np.arange(12, dtype=np.uint32).reshape(3, 4)
    counts[1] = 2**32 - 1
    read = read_measurement(foreign(tmp_path / "a.cxi", counts))
    assert read.measured.tolist() == [[True] * 4, [False] * 4, [True] * 4] and read.intensity[1].sum() == 0


def test_a_mask_the_other_way_round_is_questioned(tmp_path):
    good = np.ones((8, 8), np.uint8)
    good[0, 0] = 0
    with pytest.raises(InputError, match=r"leaves 1.6 % of the pixels; cdipipe import with --mask-good"):
        read_measurement(foreign(tmp_path / "a.cxi", np.ones((8, 8)), good))


def test_large_counts_of_our_own_files_are_counts(tmp_path):
    counts = np.full((4, 4), 65535.0, np.float32)
    write_measurement(tmp_path / "own.cxi", Measurement(counts, np.ones((4, 4), bool)))
    assert read_measurement(tmp_path / "own.cxi").measured.all()
    again, _ = import_files([tmp_path / "own.cxi"], ImportOptions())
    assert again.measured.all() and (again.intensity == 65535).all()


def test_mask_bits():
    bits = np.array([0, 1, 2, 0x80, 0x200, 0x800, 0x2000, 0x4000, 0x801], np.uint32)
    assert bits_to_measured(bits).tolist() == [True, False, False, False, False, True, True, True, False]
    assert bits_to_measured(np.array([True, False])).tolist() == [False, True]


def test_a_volume_mask_of_one_slice_and_per_shot_masks(tmp_path):
    counts = np.ones((3, 4, 5))
    mask = np.zeros((3, 4, 5), np.uint32)
    mask[1, 2, 3] = 2
    read = read_measurement(foreign(tmp_path / "a.cxi", counts, mask))
    assert read.measured.shape == counts.shape and (~read.measured).sum() == 1


def test_energy_in_other_units_is_unknown_and_the_wavelength_counts(tmp_path):
    path = foreign(tmp_path / "a.cxi", np.ones((4, 4)))
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/source_1/energy"] = 8000.0
        file["entry_1/instrument_1/detector_1/distance"] = np.nan
    assert read_measurement(path).geometry.energy_ev is None
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/source_1/wavelength"] = 1e-10
    geometry = read_measurement(path).geometry
    assert geometry.energy_ev == pytest.approx(12398.42, rel=1e-6) and geometry.distance_m is None


def linked(path, filename):
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"] = h5py.ExternalLink(filename, "/counts")
    return path


def counts_file(path):
    with h5py.File(path, "w") as file:
        file["counts"] = np.ones((4, 4))
    return path


def test_external_links_stay_in_the_folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    counts_file(inside / "data.h5")
    counts_file(tmp_path / "secret.h5")
    assert read_measurement(linked(inside / "a.cxi", "data.h5")).intensity.sum() == 16
    for elsewhere in ("../secret.h5", str(tmp_path / "secret.h5")):
        with pytest.raises(InputError, match="outside the folder"):
            read_measurement(linked(inside / "b.cxi", elsewhere))
    (inside / "way_out.h5").symlink_to(tmp_path / "secret.h5")
    with pytest.raises(InputError, match="outside the folder"):
        read_measurement(linked(inside / "c.cxi", "way_out.h5"))
    with pytest.raises(InputError, match="does not exist"):
        read_measurement(linked(inside / "d.cxi", "lost.h5"))


def test_links_in_a_circle(tmp_path):
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/data_1/data")
    with pytest.raises(InputError, match="circle"):
        read_measurement(tmp_path / "a.cxi")


def test_raw_storage_outside_the_file_is_refused(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(range(64)))
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        external = [(str(tmp_path / "raw"), 0, 64)]
        file.create_dataset("entry_1/data_1/data", (4, 4), np.int32, external=external)
    with pytest.raises(InputError, match="another file"):
        read_measurement(tmp_path / "a.cxi")


def test_virtual_datasets_stay_in_the_folder(tmp_path):
    (tmp_path / "inside").mkdir()
    for name, source in (("good", "inside/data.h5"), ("bad", "secret.h5")):
        counts_file(tmp_path / source)
        layout = h5py.VirtualLayout((2, 4, 4), float)
        layout[0] = layout[1] = h5py.VirtualSource(str(tmp_path / source), "counts", (4, 4))
        with h5py.File(tmp_path / "inside" / f"{name}.cxi", "w") as file:
            file.create_virtual_dataset("entry_1/data_1/data", layout)
    assert read_measurement(tmp_path / "inside" / "good.cxi").intensity.sum() == 32
    with pytest.raises(InputError, match="outside the folder"):
        read_measurement(tmp_path / "inside" / "bad.cxi")


def test_compression_filters_of_detectors(tmp_path):
    import hdf5plugin

    counts = np.arange(256, dtype=np.uint32).reshape(16, 16)
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file.create_dataset("entry_1/data_1/data", data=counts, chunks=(16, 16), **hdf5plugin.Bitshuffle())
    assert np.array_equal(read_measurement(tmp_path / "a.cxi").intensity, counts)
