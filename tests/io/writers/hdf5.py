"""HDF5 as NeXus, DECTRIS, BLISS, CXI and scripts write it: links, blocks, virtual datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from writers.record import SHAPE, Written, bad_pixels, one, writer


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
