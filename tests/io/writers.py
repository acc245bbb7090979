"""Small files as detectors, beamlines and programs of the field write them, each with the same frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SHAPE = (12, 20, 24)


def made_up_frames(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Photon counts, every frame different, brightest in the middle."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: shape[1], : shape[2]]
    peak = np.exp(-((y - shape[1] // 2) ** 2 + (x - shape[2] // 2) ** 2) / 16.0)
    return rng.poisson(200 * peak + 0.5, shape).astype(np.uint16)


def bad_pixels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Rows that a mask beside the data calls bad."""
    bad = np.zeros(shape[1:], np.uint32)
    bad[3:5] = 1
    return bad


@dataclass(frozen=True)
class Written:
    """What a writer left: files to import, options that are needed, and what is to come out.

    Parameters
    ----------
    main : the file in which everything begins, which damage is done to
    bad : (H, W) pixels that must not be trusted
    absent : numbers of the frames that are nowhere
    """

    names: list[str]
    main: Path
    options: dict[str, Any] = field(default_factory=dict)
    frames: np.ndarray | None = None
    bad: np.ndarray | None = None
    absent: tuple[int, ...] = ()


Writer = Callable[[Path, np.ndarray], Written]
WRITERS: dict[str, Writer] = {}


def writer(function: Writer) -> Writer:
    WRITERS[function.__name__] = function
    return function


def one(path: Path, key: str = "", **rest: Any) -> Written:
    return Written([f"{path}::{key}" if key else str(path)], path, **rest)


def _nexus(path: Path, frames: np.ndarray, text: Any) -> Written:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = text("entry")
        data = file.create_group("entry/data")
        file["entry"].attrs["default"], data.attrs["signal"] = text("data"), text("frames")
        file["entry"].attrs["NX_class"], data.attrs["NX_class"] = text("NXentry"), text("NXdata")
        data["frames"], data["sum_of_all"] = frames, frames.sum(0)
        data["flatfield"], data["ub_matrix"] = np.ones(frames.shape[1:]), np.eye(3)
    return one(path)


@writer
def nexus_default_and_signal(folder: Path, frames: np.ndarray) -> Written:
    return _nexus(folder / "n.nxs", frames, str)


@writer
def nexus_texts_of_fixed_length(folder: Path, frames: np.ndarray) -> Written:
    return _nexus(folder / "n.nxs", frames, np.bytes_)


@writer
def nexus_of_old_signal_on_the_dataset(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "old.nxs", "w") as file:
        for name in ("entry1", "entry1/data"):
            file.create_group(name).attrs["NX_class"] = "NXentry" if name == "entry1" else "NXdata"
        file["entry1/data/counts"], file["entry1/data/second"] = frames, frames[:, ::-1]
        file["entry1/data/counts"].attrs["signal"] = 1
    return one(folder / "old.nxs")


@writer
def nexus_detector_among_others(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "d.nxs", "w") as file:
        detector = file.create_group("entry/instrument/merlin")
        detector.attrs["NX_class"] = "NXdetector"
        detector["data"], detector["pixel_mask"] = frames, bad_pixels(frames.shape)
        file["entry/camera/picture"] = np.ones((30, 40))
        file["entry/data/data"] = h5py.SoftLink("/entry/instrument/merlin/data")
    return one(folder / "d.nxs", bad=bad_pixels(frames.shape))


def _blocks(folder: Path, frames: np.ndarray, per_file: int = 5) -> list[str]:
    names = []
    for number, start in enumerate(range(0, len(frames), per_file), start=1):
        names.append(f"run_data_{number:06d}.h5")
        with h5py.File(folder / names[-1], "w") as file:
            block = frames[start : start + per_file]
            file.create_dataset("entry/data/data", data=block, chunks=(1, *frames.shape[1:]), compression="gzip")
    return names


@writer
def dectris_master_with_linked_blocks(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "run_master.h5", "w") as file:
        for number, name in enumerate(_blocks(folder, frames), start=1):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = bad_pixels(frames.shape)
        file["entry/instrument/detector/detectorSpecific/flatfield"] = np.ones(frames.shape[1:], np.float32)
    return one(folder / "run_master.h5", bad=bad_pixels(frames.shape))


@writer
def dectris_master_of_a_scan_that_was_stopped(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "run_master.h5", "w") as file:
        file["entry/data"] = file.create_group("elsewhere")
        for number, name in enumerate([*_blocks(folder, frames), "run_data_000004.h5", "run_data_000005.h5"], start=1):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
    return one(folder / "run_master.h5")


@writer
def virtual_dataset_beside_its_blocks(folder: Path, frames: np.ndarray) -> Written:
    names, layout = _blocks(folder, frames), h5py.VirtualLayout(frames.shape, frames.dtype)
    for number, name in enumerate(names):
        count = len(frames[5 * number : 5 * number + 5])
        source = h5py.VirtualSource(name, "entry/data/data", (count, *frames.shape[1:]))
        layout[5 * number : 5 * number + count] = source
    with h5py.File(folder / "run.nxs", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
        for number, name in enumerate(names, start=1):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
    return one(folder / "run.nxs")


@writer
def bliss_scans_in_folders(folder: Path, frames: np.ndarray) -> Written:
    (folder / "sample/scan0001").mkdir(parents=True)
    for number in range(2):
        with h5py.File(folder / f"sample/scan0001/eiger_{number:04d}.h5", "w") as file:
            file["entry_0000/measurement/data"] = frames[6 * number : 6 * number + 6]
    layout = h5py.VirtualLayout(frames.shape, frames.dtype)
    for number in range(2):
        part = h5py.VirtualSource(f"scan0001/eiger_{number:04d}.h5", "entry_0000/measurement/data", (6, *SHAPE[1:]))
        layout[6 * number : 6 * number + 6] = part
    with h5py.File(folder / "sample/sample.h5", "w") as file:
        file.create_virtual_dataset("1.1/instrument/eiger/data", layout)
        file["1.1/measurement/eiger"] = h5py.SoftLink("/1.1/instrument/eiger/data")
        file["1.1/measurement/mon"] = np.arange(12.0)
        file["2.1/measurement/mon"] = np.arange(12.0)
    with h5py.File(folder / "proposal.h5", "w") as file:
        for number in (1, 2):
            file[f"sample_{number}.1"] = h5py.ExternalLink("sample/sample.h5", f"/{number}.1")
    return one(folder / "proposal.h5", "sample_1.1")


@writer
def cxi_of_another_program(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "a.cxi", "w") as file:
        file["cxi_version"] = 140
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"], detector["mask"] = frames, bad_pixels(frames.shape)
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        file["entry_1/image_1/data"] = frames[0].astype(float)
    return one(folder / "a.cxi", bad=bad_pixels(frames.shape))


@writer
def cxi_second_detector_by_name(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "two.cxi", "w") as file:
        for number, part in ((1, frames[:, ::-1]), (2, frames)):
            detector = file.create_group(f"entry_1/instrument_1/detector_{number}")
            detector["data"], detector["mask"] = part, bad_pixels(frames.shape) * (number == 2)
    return one(folder / "two.cxi", "entry_1/instrument_1/detector_2", bad=bad_pixels(frames.shape))


@writer
def one_dataset_per_frame(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "frames.h5", "w") as file:
        for number, frame in enumerate(frames):
            file[f"scan/frame_{number}"] = frame
        file["scan/dark"], file["scan/angles"] = 0 * frames[0], np.arange(12.0)
    return one(folder / "frames.h5")


@writer
def one_group_per_frame(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "frames.h5", "w") as file:
        for number, frame in enumerate(frames):
            file[f"image_{number}/counts"], file[f"image_{number}/angle"] = frame, float(number)
    return one(folder / "frames.h5")


@writer
def numbered_sources_of_a_virtual_dataset(folder: Path, frames: np.ndarray) -> Written:
    for number in range(4):
        with h5py.File(folder / f"block_{number}.h5", "w") as file:
            file["data"] = frames[3 * number : 3 * number + 3]
    unlimited, frame = h5py.h5s.UNLIMITED, frames.shape[1:]
    place = h5py.h5s.create_simple((3, *frame), (unlimited, *frame))
    place.select_hyperslab((0, 0, 0), (unlimited, 1, 1), (3, 1, 1), (3, *frame))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(place, b"block_%b.h5", b"data", h5py.h5s.create_simple((3, *frame)))
    with h5py.File(folder / "all.h5", "w", libver="latest") as file:
        space = h5py.h5s.create_simple((0, *frame), (unlimited, *frame))
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, properties)
    return one(folder / "all.h5")


@writer
def virtual_dataset_with_holes(folder: Path, frames: np.ndarray) -> Written:
    layout = h5py.VirtualLayout(frames.shape, frames.dtype)
    for number in (0, 2):
        with h5py.File(folder / f"part_{number}.h5", "w") as file:
            file["data"] = frames[4 * number : 4 * number + 4]
        layout[4 * number : 4 * number + 4] = h5py.VirtualSource(f"part_{number}.h5", "data", (4, *frames.shape[1:]))
    with h5py.File(folder / "holes.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    return one(folder / "holes.h5", absent=(4, 5, 6, 7))


@writer
def virtual_dataset_whose_source_is_missing(folder: Path, frames: np.ndarray) -> Written:
    layout = h5py.VirtualLayout(frames.shape, frames.dtype)
    for number in range(3):
        layout[4 * number : 4 * number + 4] = h5py.VirtualSource(f"part_{number}.h5", "data", (4, *frames.shape[1:]))
        if number != 1:
            with h5py.File(folder / f"part_{number}.h5", "w") as file:
                file["data"] = frames[4 * number : 4 * number + 4]
    with h5py.File(folder / "all.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    return one(folder / "all.h5", absent=(4, 5, 6, 7))


@writer
def frames_that_were_never_written(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "scan.h5", "w") as file:
        data = file.create_dataset("entry/data/data", frames.shape, frames.dtype, chunks=(1, *frames.shape[1:]))
        data[:9] = frames[:9]
    return one(folder / "scan.h5", absent=(9, 10, 11))


@writer
def modules_of_a_virtual_detector(folder: Path, frames: np.ndarray) -> Written:
    layout = h5py.VirtualLayout(frames.shape, frames.dtype, maxshape=(None, *frames.shape[1:]))
    for number, rows in enumerate((slice(0, 8), slice(11, 20))):
        with h5py.File(folder / f"module_{number}.h5", "w") as file:
            file["data"] = frames[:, rows]
        source = h5py.VirtualSource(f"module_{number}.h5", "data", frames[:, rows].shape)
        layout[:, rows] = source
    with h5py.File(folder / "detector.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    bad = np.zeros(frames.shape[1:], np.uint32)
    bad[8:11] = 1
    return one(folder / "detector.h5", bad=bad)


@writer
def matlab_struct(folder: Path, frames: np.ndarray) -> Written:
    import scipy.io

    last = np.moveaxis(frames, 0, -1)
    scipy.io.savemat(folder / "s.mat", {"scan": {"dp": last, "energy": 9.0, "name": "gold"}}, do_compression=True)
    return one(folder / "s.mat", options={"axis": (2,)})


@writer
def matlab_cell_of_frames(folder: Path, frames: np.ndarray) -> Written:
    import scipy.io

    cell = np.empty((1, len(frames)), object)
    for number, frame in enumerate(frames):
        cell[0, number] = frame
    scipy.io.savemat(folder / "c.mat", {"frames": cell})
    return one(folder / "c.mat", "frames")


def _matlab_73(path: Path, fill: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))


@writer
def matlab_73_struct(folder: Path, frames: np.ndarray) -> Written:
    def fill(file: h5py.File) -> None:
        file["scan/dp"] = np.moveaxis(frames, 0, -1).T
        file["scan"].attrs["MATLAB_class"] = np.bytes_("struct")
        file["scan/name"] = np.array([[103], [111]], np.uint16)
        file["scan/name"].attrs["MATLAB_class"] = np.bytes_("char")

    _matlab_73(folder / "v73.mat", fill)
    return one(folder / "v73.mat", "scan.dp", options={"axis": (2,)})


@writer
def matlab_73_cell(folder: Path, frames: np.ndarray) -> Written:
    def fill(file: h5py.File) -> None:
        references = np.empty((len(frames), 1), h5py.ref_dtype)
        for number, frame in enumerate(frames):
            file[f"#refs#/{chr(97 + number)}"] = frame.T
            references[number, 0] = file[f"#refs#/{chr(97 + number)}"].ref
        file["frames"] = references
        file["frames"].attrs["MATLAB_class"] = np.bytes_("cell")

    _matlab_73(folder / "cell.mat", fill)
    return one(folder / "cell.mat")


@writer
def matlab_73_complex_without_imaginary_part(folder: Path, frames: np.ndarray) -> Written:
    def fill(file: h5py.File) -> None:
        turned = np.moveaxis(frames, 0, -1).T
        values = np.zeros(turned.shape, [("real", "f8"), ("imag", "f8")])
        values["real"] = turned
        file["dp"] = values

    _matlab_73(folder / "z.mat", fill)
    return one(folder / "z.mat", options={"axis": (2,)})


@writer
def tiff_page_by_page(folder: Path, frames: np.ndarray) -> Written:
    import tifffile

    with tifffile.TiffWriter(folder / "loop.tif") as tif:
        for frame in frames:
            tif.write(frame)
    return one(folder / "loop.tif")


@writer
def tiff_pages_in_lzw(folder: Path, frames: np.ndarray) -> Written:
    import tifffile

    tifffile.imwrite(folder / "lzw.tif", frames, compression="lzw", photometric="minisblack")
    return one(folder / "lzw.tif")


@writer
def tiff_of_the_other_byte_order(folder: Path, frames: np.ndarray) -> Written:
    import tifffile

    tifffile.imwrite(folder / "big.tif", frames, byteorder=">", photometric="minisblack")
    return one(folder / "big.tif")


def _series(folder: Path, suffix: str, frames: np.ndarray, write: Callable[[Path, np.ndarray], None]) -> Written:
    for number, frame in enumerate(frames):
        write(folder / f"shot_{number}.{suffix}", frame)
    return Written([str(folder / f"shot_*.{suffix}")], folder / f"shot_0.{suffix}")


@writer
def tiff_series(folder: Path, frames: np.ndarray) -> Written:
    import tifffile

    return _series(folder, "tif", frames, tifffile.imwrite)


@writer
def cbf_series(folder: Path, frames: np.ndarray) -> Written:
    from fabio.cbfimage import CbfImage

    return _series(folder, "cbf", frames, lambda path, frame: CbfImage(data=frame.astype(np.int32)).write(str(path)))


@writer
def edf_series(folder: Path, frames: np.ndarray) -> Written:
    from fabio.edfimage import EdfImage

    return _series(folder, "edf", frames, lambda path, frame: EdfImage(data=frame).write(str(path)))


@writer
def edf_of_many_frames(folder: Path, frames: np.ndarray) -> Written:
    from fabio.edfimage import EdfImage

    image = EdfImage(data=frames[0])
    for frame in frames[1:]:
        image.append_frame(data=frame)
    image.write(str(folder / "all.edf"))
    return one(folder / "all.edf")


@writer
def hdf5_series_by_number(folder: Path, frames: np.ndarray) -> Written:
    def write(path: Path, frame: np.ndarray) -> None:
        with h5py.File(path, "w") as file:
            file["entry/data/data"] = frame[None]

    written = _series(folder, "h5", frames, write)
    return Written([str(folder / "shot_%d.h5")], written.main)


@writer
def npz_with_a_mask(folder: Path, frames: np.ndarray) -> Written:
    np.savez_compressed(folder / "a.npz", counts=frames, mask=bad_pixels(frames.shape) == 0, angles=np.arange(12.0))
    return one(folder / "a.npz")


@writer
def fortran_order(folder: Path, frames: np.ndarray) -> Written:
    np.save(folder / "f.npy", np.asfortranarray(frames))
    return one(folder / "f.npy")


@writer
def raster_of_patterns(folder: Path, frames: np.ndarray) -> Written:
    with h5py.File(folder / "map.hdf", "w") as file:
        file["scan/patterns"] = frames.reshape(3, 4, *frames.shape[1:])
    return one(folder / "map.hdf", options={"stack": "raster"})


@writer
def frames_last(folder: Path, frames: np.ndarray) -> Written:
    np.save(folder / "last.npy", np.moveaxis(frames, 0, -1))
    return one(folder / "last.npy", options={"axis": (2,)})
