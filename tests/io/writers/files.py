"""Images, series of files, and arrays in other orders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from writers.record import Written, bad_pixels, one, writer


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
