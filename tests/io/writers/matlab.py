"""What MATLAB saves, of versions 5 and 7.3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from writers.record import Written, one, writer


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
