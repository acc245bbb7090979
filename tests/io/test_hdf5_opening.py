"""HDF5 files that are still written, cannot be locked, lead elsewhere, or would make the library crash or hang."""

import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.hdf5 import following, open_source, read_attribute
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions

WRITER = """
import sys, time, h5py, numpy as np
path, kind = sys.argv[1:]
file = h5py.File(path, "w", libver=None if kind == "old" else "latest")
data = file.create_dataset("data", (6, 16, 16), np.uint32, chunks=(1, 16, 16), maxshape=(None, 16, 16))
if kind == "swmr":
    file.swmr_mode = True
data[:4] = 3
data[:4, 8, 8] = 9
file.flush()
print("ready", flush=True)
time.sleep(120)
"""


@pytest.fixture
def being_written(tmp_path):
    processes = []

    def write(kind):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "live.h5"), kind]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        processes[-1].stdout.readline()
        return tmp_path / "live.h5", processes[-1]

    yield write
    for process in processes:
        process.kill()
        process.wait()


def imported(path, **options):
    measurement, account = import_files([path], ImportOptions(**options))
    return measurement, "\n".join(account.told())


def test_a_file_in_swmr_mode_is_read_as_far_as_it_has_come(being_written):
    path, _ = being_written("swmr")
    measurement, told = imported(path, stack="shots")
    assert "still being written: 6 frames as of now" in told and "4 to 5" in told
    assert measurement.measured[:4].all() and not measurement.measured[4:].any()


@pytest.mark.parametrize("kind", ["latest", "old"])
def test_a_locked_file_is_not_called_damaged(being_written, kind):
    path, _ = being_written(kind)
    with pytest.raises(InputError, match=r"another program has it open for writing: wait until it is closed") as caught:
        imported(path, stack="shots")
    assert "damaged" not in str(caught.value) and "HDF5_USE_FILE_LOCKING=FALSE" in str(caught.value)


def test_a_file_that_its_writer_never_closed(being_written):
    path, process = being_written("latest")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(InputError, match=r"its writer died: .*h5clear -s FILE"):
        imported(path, stack="shots")


@pytest.mark.parametrize("number", [37, 38, 95])
def test_file_systems_without_locks_are_read(tmp_path, monkeypatch, number):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.eye(16) + 1
    original = h5py.File

    def refuse_locks(name, *arguments, **options):
        if options.get("locking") is not False:
            raise OSError(
                f"Unable to synchronously open file (unable to lock file, errno = {number}, error message = ..)"
            )
        return original(name, *arguments, **options)

    monkeypatch.setattr(h5py, "File", refuse_locks)
    assert imported(tmp_path / "a.h5")[0].intensity.sum() == 16 * 16 + 16


@pytest.mark.parametrize("mapping", ["itself", "each other", "unlimited"])
def test_virtual_datasets_that_lead_in_a_circle_are_a_line(tmp_path, mapping):
    other = "b.h5" if mapping == "each other" else "."
    for name, source in (("a.h5", other), ("b.h5", "a.h5")):
        layout = h5py.VirtualLayout((4, 8, 8), float, maxshape=(None, 8, 8))
        part = h5py.VirtualSource(source, "data", (4, 8, 8), maxshape=(None, 8, 8))
        if mapping == "unlimited":
            layout[: h5py.h5s.UNLIMITED] = part[: h5py.h5s.UNLIMITED]
        else:
            layout[:] = part
        with h5py.File(tmp_path / name, "w", libver="latest") as file:
            file.create_virtual_dataset("data", layout)
    with pytest.raises(InputError, match="lead in a circle"):
        imported(tmp_path / "a.h5", stack="shots")


def test_links_are_relative_to_the_file_that_holds_them(tmp_path):
    (tmp_path / "sub/raw").mkdir(parents=True)
    with h5py.File(tmp_path / "sub/raw/c.h5", "w") as file:
        file["data"] = np.eye(16) + 1
    with h5py.File(tmp_path / "sub/b.h5", "w") as file:
        file["data"] = h5py.ExternalLink("raw/c.h5", "/data")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = h5py.ExternalLink("sub/b.h5", "/data")
    assert imported(tmp_path / "a.h5")[0].intensity.shape == (16, 16)


def test_full_paths_of_files_that_were_moved_are_looked_for_beside(tmp_path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data"] = np.eye(16) + 1
    layout = h5py.VirtualLayout((2, 16, 16), float)
    for place in range(2):
        layout[place] = h5py.VirtualSource("/gpfs/beamline/run7/raw.h5", "data", (16, 16))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("stack", layout)
        file["link"] = h5py.ExternalLink("/gpfs/beamline/run7/raw.h5", "/data")
    assert imported(f"{tmp_path / 'a.h5'}::stack", stack="shots")[0].measured.all()
    assert imported(f"{tmp_path / 'a.h5'}::link")[0].intensity.shape == (16, 16)


def test_links_out_of_the_folder_need_an_option_that_the_refusal_names(tmp_path):
    (tmp_path / "inside").mkdir()
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data"] = np.eye(16) + 1
    layout = h5py.VirtualLayout((1, 16, 16), float)
    layout[0] = h5py.VirtualSource("../raw.h5", "data", (16, 16))
    with h5py.File(tmp_path / "inside/a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("../raw.h5", "/data")
    with h5py.File(tmp_path / "inside/b.h5", "w") as file:
        file.create_virtual_dataset("stack", layout)
    for name in ("a.h5", "b.h5"):
        with pytest.raises(InputError, match=r"outside the folder of this file: refused; `import --follow-links`"):
            imported(tmp_path / "inside" / name)
        assert imported(tmp_path / "inside" / name, follow_links=True)[0].intensity.shape == (16, 16)
    with following(True), open_source(tmp_path / "inside/a.h5") as source:
        assert source.array("/link").shape == (16, 16)


def test_a_text_whose_heap_is_damaged_does_not_hang(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["default"] = "entry"
        file["data"] = np.eye(16)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    heap = content.find(b"GCOL")
    content[heap + 16 :] = bytes(len(content) - heap - 16)
    (tmp_path / "a.h5").write_bytes(content)
    with open_source(tmp_path / "a.h5") as source, pytest.raises(InputError, match="its texts cannot be read"):
        read_attribute(source.file, "default")


def test_texts_of_both_kinds_and_numbers_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in {
            "short": np.bytes_("mm"),
            "long": "mm",
            "list": ["mm"],
            "number": 3,
            "table": [1, 2],
        }.items():
            file.attrs[name] = value
    with open_source(tmp_path / "a.h5") as source:
        found = {name: read_attribute(source.file, name) for name in source.file.attrs}
    assert found == {"short": "mm", "long": "mm", "list": "mm", "number": 3, "table": None}


def test_a_filter_that_nobody_has_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((16, 16))
        properties.set_filter(999, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((16, 16))
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, properties)
        file["data"].id.write_direct_chunk((0, 0), bytes(512))
    with pytest.raises(InputError, match=r"compressed by filter 999 .*h5repack"):
        imported(tmp_path / "a.h5")


def test_chunks_that_were_never_written_are_known_of_along_every_axis(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", (5, 9, 7), np.uint16, chunks=(2, 4, 3))
        data[2:4, 4:8, 0:3] = 5
    with open_source(tmp_path / "a.h5") as source:
        stored = source.stored("/data")
        expected = np.zeros((5, 9, 7), bool)
        expected[2:4, 4:8, 0:3] = True
        assert not stored.complete and stored.present().tolist() == [False, False, True, True, False]
        np.testing.assert_array_equal(stored.written(stored.whole), expected)
        box = (slice(1, 4), slice(3, 9), slice(2, 5))
        np.testing.assert_array_equal(stored.written(box), expected[box])
        np.testing.assert_array_equal(stored.get(box), np.where(expected, 5, 0)[box])


def test_virtual_datasets_with_strides_and_other_ranks(tmp_path):
    """Every second frame from one file, the others one by one from two-dimensional arrays."""
    frames = np.arange(6 * 4 * 5).reshape(6, 4, 5)
    layout = h5py.VirtualLayout(frames.shape, int)
    layout[::2, 1:3] = h5py.VirtualSource("even.h5", "data", (3, 2, 5))
    with h5py.File(tmp_path / "even.h5", "w") as file:
        file["data"] = frames[::2, 1:3]
    for number in (1, 3, 5):
        layout[number] = h5py.VirtualSource("odd.h5", f"frame{number}", (4, 5))
        with h5py.File(tmp_path / "odd.h5", "a") as file:
            file[f"frame{number}"] = frames[number]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("data", layout, fillvalue=-7)
    expected = frames.copy()
    expected[::2, [0, 3]] = -7
    with open_source(tmp_path / "a.h5") as source:
        stored = source.stored("/data")
        for box in (stored.whole, (slice(1, 4), slice(0, 3), slice(2, 5)), (slice(5, 6), slice(3, 4), slice(0, 1))):
            np.testing.assert_array_equal(stored.get(box), expected[box])
            np.testing.assert_array_equal(stored.written(box), (expected != -7)[box])
        assert not stored.complete and stored.present().all()
