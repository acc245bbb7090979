"""Pairs of one's own: read from every kind of file as they are, and refused or questioned where they make no sense."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.corpus.pairs import open_pairs
from cdipipe.io.cxi import write_measurement, write_truth
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

ALL = ("intensity", "object", "support", "measured")


@pytest.fixture(scope="module")
def shots():
    """Twelve oversampled polygons."""
    scene = get_scene("polygons")
    return simulate(scene, scene.parameters(size=32, count=12, object_size=12, phase_range_rad=1.0), seed=3)


@pytest.fixture
def files(shots, tmp_path):
    """A function that writes arrays and opens them as pairs."""

    def write(intensity=None, objects=None, mask=None):
        given = {"i": shots[0].intensity, "o": shots[1].object, "m": mask}
        given |= {"i": given["i"] if intensity is None else intensity, "o": given["o"] if objects is None else objects}
        names = {key: str(tmp_path / f"{key}.npy") for key, value in given.items() if value is not None}
        for key, name in names.items():
            np.save(name, given[key])
        return open_pairs(names["i"], names["o"], names.get("m"))

    return write


def everything(pairs):
    """All samples in the order of the files."""
    parts = [pairs.read_chunk(*chunk, ALL) for chunk in pairs.chunks]
    place = np.argsort(pairs.order)
    return {name: np.concatenate([part[name] for part in parts])[place] for name in ALL}


def test_every_sample_comes_once_as_it_is(files, shots):
    pairs = files()
    found = everything(pairs)
    np.testing.assert_array_equal(found["intensity"], shots[0].intensity)
    np.testing.assert_array_equal(found["object"], shots[1].object)
    assert found["measured"].all() and np.array_equal(found["support"], shots[1].object != 0)
    assert sorted(pairs.order) == list(range(12)) and list(pairs.order) != list(range(12))


def test_what_networks_ask_of_a_corpus_is_found_out(files, shots):
    parameters = files().plan.parameters
    assert parameters["size"] == 32 and parameters["dimensions"] == 2 and parameters["object_size"] == 12
    assert parameters["phase_range_rad"] == pytest.approx(1.0, abs=0.05)
    assert files(objects=np.abs(shots[1].object)).plan.parameters["phase_range_rad"] == 0


def test_hdf5_and_cxi_give_the_same_as_npy(files, shots, tmp_path):
    measurement, truth = shots
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["deep/counts"], file["deep/objects"] = measurement.intensity, truth.object
    write_measurement(tmp_path / "M.cxi", measurement)
    write_truth(tmp_path / "T.cxi", truth)
    expected = everything(files())
    for names in ((f"{tmp_path}/d.h5::deep/counts", f"{tmp_path}/d.h5::/deep/objects"), ("M.cxi", "T.cxi")):
        found = everything(open_pairs(*(str(tmp_path / name) for name in names)))
        assert all(np.array_equal(found[name], expected[name]) for name in ALL)


def test_smaller_objects_are_put_in_the_middle(files, shots):
    found = everything(files(objects=shots[1].object[:, 8:24, 8:24]))
    np.testing.assert_array_equal(found["object"], shots[1].object)


def test_pixels_without_a_count_and_those_of_the_mask_are_unmeasured(files, shots, caplog):
    counts, mask = shots[0].intensity.copy(), np.ones((32, 32), bool)
    counts[0, 3, 4], counts[1, 5, 6], mask[20:24] = np.nan, -7, False
    found = everything(files(counts, mask=mask))
    assert not found["measured"][0, 3, 4] and not found["measured"][1, 5, 6] and not found["measured"][:, 20:24].any()
    assert found["measured"].sum() == 12 * 28 * 32 - 2 and found["intensity"].min() == 0
    assert "12.5 % of the pixels have no count" in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda i, o: (np.fft.ifftshift(i, (1, 2)), o), "zero frequency in the corner: numpy.fft.fftshift"),
        (lambda i, o: (np.sqrt(i), o), "are amplitudes: square them"),
        (lambda i, o: (i, o[:5]), r"objects of shape \(5, 32, 32\) do not fit"),
        (lambda i, o: (i[:, :30], o), r"patterns of shape \(12, 30, 32\)"),
        (lambda i, o: (i[0], o[0]), r"patterns of shape \(32, 32\)"),
        (lambda i, o: (i.astype(complex), o), "patterns must be real"),
        (
            lambda i, o: (i, np.where(np.arange(12)[:, None, None] == 7, np.nan, o)),
            "sample 7 has an empty pattern, or an ob",
        ),
        (lambda i, o: (i * (np.arange(12) != 4)[:, None, None], o), "sample 4 has an empty pattern"),
    ],
    ids=["corner", "amplitudes", "fewer", "oblong", "one", "complex", "nan", "dark"],
)
def test_pairs_that_make_no_sense_are_refused(files, shots, change, said):
    with pytest.raises(InputError, match=said):
        files(*change(shots[0].intensity, shots[1].object))


def test_pairs_in_another_order_are_questioned(files, shots, caplog):
    files(objects=shots[1].object[::-1])
    assert "is their order the same?" in caplog.text
    caplog.clear()
    files()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("d.h5", "d.h5"), r"which dataset\? write FILE::KEY; there is /a, /b"),
        (("d.h5::c", "d.h5::b"), r"no dataset 'c' inside; there is /a, /b"),
        (("x.tif", "d.h5::b"), r"pairs are read from npy, HDF5 and CXI files"),
        (("text.npy", "d.h5::b"), "not an npy file, or damaged"),
        (("M.cxi", "M.cxi"), "holds a measurement|expected a truth|truth"),
        (("one.cxi", "d.h5::b"), r"holds a single; a network learns from many shots"),
    ],
    ids=str,
)
def test_files_that_are_none_are_named(shots, tmp_path, names, said):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["a"], file["b"] = shots[0].intensity, shots[1].object
    (tmp_path / "text.npy").write_text("no array")
    write_measurement(tmp_path / "M.cxi", shots[0])
    write_measurement(tmp_path / "one.cxi", shots[0].pattern(0))
    with pytest.raises(InputError, match=said):
        open_pairs(*(str(tmp_path / name) for name in names))
