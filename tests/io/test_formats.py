import gzip
from contextlib import ExitStack

import h5py
import mutations
import numpy as np
import pytest
import scipy.io
import tifffile
from fabio.edfimage import EdfImage

from cdipipe.errors import InputError
from cdipipe.io import cxi
from cdipipe.io.importing import geometry
from cdipipe.io.importing.find import find
from cdipipe.io.importing.formats import read_array, read_support
from cdipipe.io.importing.masks import faults_of, mask_file
from cdipipe.io.pixel_masks import any_fault

COUNTS = mutations.counts(np.random.default_rng(0), (24, 20))


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "mat", "h5", "edf", "cbf", "npy.gz"])
def test_every_format_gives_the_counts(tmp_path, kind):
    path = tmp_path / f"counts.{kind}"
    values = mutations.counts(np.random.default_rng(0))
    mutations.write_valid(path, kind, values)
    assert np.array_equal(read_array(path), values)


@pytest.mark.parametrize("kind", ["npz", "tif", "mat", "h5", "edf", "cxi"])
def test_gzipped_files(tmp_path, kind):
    values = mutations.counts(np.random.default_rng(0))
    mutations.write_valid(tmp_path / f"a.{kind}", kind, values)
    packed = tmp_path / f"a.{kind}.gz"
    packed.write_bytes(gzip.compress((tmp_path / f"a.{kind}").read_bytes()))
    with ExitStack() as stack:
        found = find(packed, None, stack)
        assert np.array_equal(found.array.all(), values)
        if kind == "cxi":
            assert (found.beside["mask"].values != 0).sum() == 3
            assert geometry.from_found(found).geometry.energy_ev == 9000


def test_a_gzip_bomb_stops_at_the_limit(tmp_path, monkeypatch):
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress(bytes(2**24)))
    monkeypatch.setenv("CDIPIPE_MAX_GIB", "0.001")
    with pytest.raises(InputError, match="unpacks to more"):
        read_array(tmp_path / "a.npy.gz")


def test_matlab_73_files_have_their_axes_turned_back(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["counts"] = COUNTS.T
    with open(tmp_path / "a.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))
    assert np.array_equal(read_array(tmp_path / "a.mat"), COUNTS)


def test_multi_page_and_multi_frame_stacks(tmp_path):
    stack = np.stack([COUNTS, COUNTS + 1, COUNTS + 2]).astype(np.int32)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "planes.tif", stack, photometric="rgb", planarconfig="separate")
    image = EdfImage(data=stack[0])
    image.append_frame(data=stack[1])
    image.append_frame(data=stack[2])
    image.write(str(tmp_path / "a.edf"))
    for name in ("a.tif", "planes.tif", "a.edf"):
        assert np.array_equal(read_array(tmp_path / name), stack), name


@pytest.mark.parametrize("kind", ["npz", "mat", "h5"])
def test_one_of_several_arrays_is_chosen_by_name(tmp_path, kind):
    arrays = {"counts": COUNTS, "other": COUNTS + 1, "angle": np.arange(3.0)}
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    elif kind == "mat":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    with pytest.raises(InputError, match=r"choose one with --dataset .*counts \(24, 20\).*other"):
        read_array(path)
    assert np.array_equal(read_array(path, "counts"), COUNTS)
    assert np.array_equal(read_array(f"{path}::other"), COUNTS + 1)
    with pytest.raises(InputError, match=r"no array 'lost' inside; there is .*counts"):
        read_array(path, "lost")


def test_the_only_pattern_among_small_arrays_needs_no_name(tmp_path):
    np.savez(tmp_path / "a.npz", counts=COUNTS, angle=np.arange(3), name=np.array("gold"), column=np.ones((9, 1)))
    assert np.array_equal(read_array(tmp_path / "a.npz"), COUNTS)


BAD = {
    "objects.npy": lambda path: np.save(path, np.array([[{}, 1]], dtype=object), allow_pickle=True),
    "strings.npy": lambda path: np.save(path, np.array([["a", "b"]])),
    "complex.npy": lambda path: np.save(path, COUNTS + 1j),
    "empty.npy": lambda path: np.save(path, np.zeros((0, 4))),
    "nothing.npy": lambda path: path.write_bytes(b""),
    "text.npy": lambda path: path.write_text("hello"),
    "text.npz": lambda path: path.write_text("hello"),
    "text.tif": lambda path: path.write_text("hello"),
    "text.mat": lambda path: path.write_text("hello" * 100),
    "text.h5": lambda path: path.write_text("hello"),
    "text.edf": lambda path: path.write_text("hello"),
    "text.cbf": lambda path: path.write_text("hello"),
    "text.cxi": lambda path: path.write_text("hello"),
    "text.npy.gz": lambda path: path.write_text("hello"),
    "objects.npz": lambda path: np.savez(path, a=np.array([[{}, 1]], dtype=object)),
    "colour.tif": lambda path: tifffile.imwrite(path, np.zeros((8, 8, 3), np.uint8), photometric="rgb"),
    "cells.mat": lambda path: scipy.io.savemat(path, {"a": np.array([[1, "b"]], dtype=object)}),
    "list.npz": lambda path: np.savez(path, a=np.arange(4)),
    "unknown.png": lambda path: path.write_bytes(b"x"),
    "none": lambda path: path.write_bytes(b"x"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_give_one_line_with_their_name(tmp_path, name):
    BAD[name](tmp_path / name)
    with pytest.raises(InputError) as caught, ExitStack() as stack:
        find(tmp_path / name, None, stack).array.all()
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "mat", "h5", "edf", "cbf", "npy.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files(tmp_path, kind, share):
    path = tmp_path / f"cut.{kind}"
    mutations.write_valid(path, kind, mutations.counts(np.random.default_rng(0)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\."):
        read_array(path)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "a.npy", np.array([[Trap(), 1]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        read_array(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()


def test_declared_sizes_are_checked_before_reading(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**7)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))
    with pytest.raises(InputError, match="GiB, the limit is"):
        read_array(tmp_path / "a.npy")
    edf = b"{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\nDataType = UnsignedShort ;\n"
    edf += b"Dim_1 = 900000 ;\nDim_2 = 9000000 ;\n"
    (tmp_path / "a.edf").write_bytes(edf.ljust(510) + b"}\n" + bytes(100))
    with pytest.raises(InputError, match="GiB, the limit is"):
        read_array(tmp_path / "a.edf")


def read_mask(name, nonzero_is_bad=False):
    mask = mask_file(name)
    return ~any_fault(faults_of(mask, nonzero_is_bad, False), mask.values.shape)


def test_masks_mean_measured_unless_told_otherwise(tmp_path):
    values = np.array([[0, 1], [2, np.nan]])
    np.save(tmp_path / "a.npy", values)
    assert read_mask(tmp_path / "a.npy").tolist() == [[False, True], [True, False]]
    assert read_mask(tmp_path / "a.npy", nonzero_is_bad=True).tolist() == [[True, False], [False, False]]
    mutations.write_valid(tmp_path / "a.cxi", "cxi", COUNTS)
    assert (~read_mask(tmp_path / "a.cxi")).sum() == 3
    assert (~read_mask(f"{tmp_path / 'a.cxi'}::/entry_1/data_1/mask")).sum() == 3


def test_supports_come_from_arrays_and_reconstructions_but_not_from_a_truth(tmp_path):
    from cdipipe.measurement import Truth

    mutations.write_valid(tmp_path / "r.cxi", "reconstruction", COUNTS)
    np.save(tmp_path / "s.npy", (COUNTS > 20)[:, :, None])
    assert np.array_equal(read_support(tmp_path / "r.cxi"), COUNTS > 20)
    assert np.array_equal(read_support(tmp_path / "s.npy"), COUNTS > 20)
    image = np.ones((4, 4), np.complex64)
    cxi.write_truth(tmp_path / "t.cxi", Truth(image, image.real > 0))
    with pytest.raises(InputError, match="holds a truth"):
        read_support(tmp_path / "t.cxi")
