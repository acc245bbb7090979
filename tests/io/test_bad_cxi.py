"""Every malformed CXI file gives one line that names it and says what is wrong."""

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io import cxi

DATA = "entry_1/data_1/data"
MASK = "entry_1/data_1/mask"
GOOD = np.arange(20.0).reshape(4, 5)


def string_table(file):
    file[DATA] = np.array([[b"a", b"b"]] * 2)


def compound(file):
    file[DATA] = np.zeros((4, 5), dtype=[("x", float), ("y", float)])


def objects(file):
    file.create_dataset(DATA, (4, 5), dtype=h5py.ref_dtype)


def absurd_shape(file):
    file.create_dataset(DATA, (10**6, 10**6, 10), np.uint16, chunks=(1, 1000, 10))


def never_written(file):
    file.create_dataset(DATA, (100, 100), np.uint16, chunks=(100, 100))


def empty(file):
    file.create_dataset(DATA, (0, 5), "f4")


def null_space(file):
    file[DATA] = h5py.Empty("f4")


def all_masked(file):
    file[DATA], file[MASK] = GOOD, np.ones((4, 5), np.uint32)


def other_mask(file):
    file[DATA], file[MASK] = GOOD, np.zeros((5, 4), np.uint32)


def float_mask(file):
    file[DATA], file[MASK] = GOOD, np.zeros((4, 5))


def photons_only_under_the_mask(file):
    file[DATA] = np.where(np.arange(5) == 2, 7.0, 0) * np.ones((4, 1))
    file[MASK] = (np.arange(5) == 2) * np.ones((4, 1), np.uint32)


def bad_stack(file):
    file[DATA] = GOOD
    file[DATA].attrs["stack"] = np.bytes_("pile")


def stack_of_wrong_rank(file):
    file[DATA] = GOOD
    file[DATA].attrs["stack"] = np.bytes_("volume")


def with_scene(name, values):
    def build(file):
        file.create_dataset(DATA, data=GOOD)
        file[f"entry_1/{name}"] = values

    return build


CASES = {
    "no entry": (lambda file: None, "no measurement inside"),
    "a group for data": (lambda file: file.create_group(DATA), "no measurement inside"),
    "rank 1": (lambda file: file.create_dataset(DATA, data=np.ones(4)), r"shape \(4,\)"),
    "rank 4": (lambda file: file.create_dataset(DATA, data=np.ones((2, 2, 2, 2))), r"shape \(2, 2, 2, 2\)"),
    "scalar": (lambda file: file.create_dataset(DATA, data=3.0), r"shape \(\)"),
    "complex": (lambda file: file.create_dataset(DATA, data=GOOD + 1j), "type complex128"),
    "strings": (string_table, "type .S1"),
    "compound": (compound, "type "),
    "objects": (objects, "type object"),
    "absurd shape": (absurd_shape, "GiB, the limit is"),
    "never written": (never_written, "none were ever written"),
    "empty": (empty, "no elements"),
    "null dataspace": (null_space, "is empty"),
    "all zero": (lambda file: file.create_dataset(DATA, data=0 * GOOD), "no photons"),
    "all NaN": (lambda file: file.create_dataset(DATA, data=np.nan * GOOD), "all 20 are masked"),
    "all negative": (lambda file: file.create_dataset(DATA, data=-1 - GOOD), "all 20 are masked"),
    "all infinite": (lambda file: file.create_dataset(DATA, data=GOOD + np.inf), "all 20 are masked"),
    "too large for float32": (lambda file: file.create_dataset(DATA, data=1e200 + GOOD), "all 20 are masked"),
    "all masked": (all_masked, "all 20 are masked"),
    "mask of another shape": (other_mask, r"mask has shape \(5, 4\)"),
    "mask of floats": (float_mask, "mask holds values of type float64"),
    "photons only under the mask": (photons_only_under_the_mask, "no photons"),
    "static region of another shape": (with_scene("static_region_1/object", np.ones((5, 4))), "static_region of shape"),
    "static region not finite": (with_scene("static_region_1/object", GOOD * np.nan), "should be finite"),
    "static support of another shape": (with_scene("static_region_1/support", np.ones(3)), "static_support of shape"),
    "probe modes of another shape": (with_scene("illumination_1/probe_modes", np.ones((2, 5, 4))), "do not fit"),
    "frame times of a single pattern": (with_scene("frame_times", np.arange(3.0)), "there are 1 frames"),
    "frame times in a square": (with_scene("frame_times", np.ones((2, 2))), r"should be finite, \(T,\)"),
    "unknown stack": (bad_stack, "allowed: single, shots"),
    "stack of wrong rank": (stack_of_wrong_rank, "cannot be a 'volume'"),
}


def one_line_about(path, reader=cxi.read_measurement) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("case", CASES)
def test_malformed_measurements(tmp_path, case):
    build, expected = CASES[case]
    with h5py.File(tmp_path / "bad.cxi", "w") as file:
        build(file)
    with pytest.raises(InputError, match=expected):
        cxi.read_measurement(tmp_path / "bad.cxi")
    one_line_about(tmp_path / "bad.cxi")


def test_some_bad_pixels_become_masked(tmp_path):
    values = GOOD.copy()
    values[0, :3] = np.nan, np.inf, -4
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file[DATA] = values
    read = cxi.read_measurement(tmp_path / "a.cxi")
    assert np.argwhere(~read.measured).tolist() == [[0, 0], [0, 1], [0, 2]]
    assert np.isfinite(read.intensity).all() and (read.intensity >= 0).all()


@pytest.fixture
def valid(tmp_path):
    from cdipipe.measurement import Measurement

    cxi.write_measurement(tmp_path / "m.cxi", Measurement(GOOD.astype(np.float32), np.ones((4, 5), bool)))
    return tmp_path / "m.cxi"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(valid, share):
    content = valid.read_bytes()
    valid.write_bytes(content[: int(share * len(content))])
    one_line_about(valid)


def test_files_that_are_not_hdf5(tmp_path):
    for content in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\x89HDF\r\n\x1a\n" + bytes(1000)):
        (tmp_path / "a.cxi").write_bytes(content)
        one_line_about(tmp_path / "a.cxi")
        one_line_about(tmp_path / "a.cxi", cxi.file_kind)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        cxi.read_measurement(tmp_path / "none.cxi")
    with pytest.raises(InputError, match="not a regular file, but a folder"):
        cxi.read_measurement(tmp_path)


def test_the_size_limit_can_be_set(valid, monkeypatch):
    monkeypatch.setenv("CDIPIPE_MAX_GIB", "1e-8")
    assert "CDIPIPE_MAX_GIB" in one_line_about(valid)
    monkeypatch.setenv("CDIPIPE_MAX_GIB", "much")
    with pytest.raises(InputError, match="must be a number"):
        cxi.read_measurement(valid)


def edited(path, name, value):
    with h5py.File(path, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value
    return path


@pytest.fixture
def result(tmp_path):
    from test_cxi import make_reconstruction

    cxi.write_reconstruction(tmp_path / "r.cxi", make_reconstruction())
    return tmp_path / "r.cxi"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("entry_1/image_1/data", None, "no object inside"),
        ("entry_1/image_1/data", np.ones(4, complex), r"shape \(4,\)"),
        ("entry_1/image_1/data", np.full((9, 12), np.nan + 0j), "not finite"),
        ("entry_1/image_1/support", np.ones((3, 3), np.uint8), "does not fit"),
        ("entry_1/runs", np.ones((2, 5, 5), complex), "runs has shape"),
        ("entry_1/image_1/process_1/recipe", "{not json", "not readable as JSON"),
        ("entry_1/image_1/process_1/recipe", "[1, 2]", "JSON mapping"),
        ("entry_1/image_1/process_1/recipe", np.ones(3), "should be one text"),
        ("entry_1/process_1/provenance", "[" * 100000, "not readable as JSON"),
    ],
)
def test_malformed_reconstructions(result, name, value, expected):
    edited(result, name, value)
    with pytest.raises(InputError, match=expected):
        cxi.read_reconstruction(result)
    one_line_about(result, cxi.read_reconstruction)
