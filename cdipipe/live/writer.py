"""Results into a CXI file that others may read while it grows (HDF5's SWMR: one writer, many readers).

The file is a reconstruction of shots, as ``cdipipe reconstruct`` writes them, with rows appended in chunks, in the
order in which they were done; ``run_scores`` say of each row which frame it is::

    image_1/data, image_1/support   (N, H, W) complex64, uint8
    run_scores/frame_number, series, photons, hit_score, r_factor, iterated, arrived_unix_s   (N,) float64

Rows are written when :data:`ROWS` are there or :data:`FLUSH_S` have passed, and only once the disk has set the room for
them aside (``posix_fallocate``): libhdf5 cannot go on after a write that failed, so it is never asked for one. A full
disk makes the writer wait and damages nothing.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.io.atomic import check_output
from cdipipe.io.cxi import layout
from cdipipe.io.cxi.geometry import write_geometry
from cdipipe.io.cxi.image import write_meaning
from cdipipe.live.monitor import Results

ROWS, CHUNK_BYTES = 64, 2**19
FLUSH_S = 0.5
SPARE_BYTES = 2**20
"""Room for what HDF5 writes about the rows."""
DISK_LOOK_S = 0.5
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What may pass; a limit on the size of a file does not."""
SCORES = ("frame_number", "series", "photons", "hit_score", "r_factor", "iterated", "arrived_unix_s")


class Writer:
    """A growing file.

    Parameters
    ----------
    path : CXI file, which must not exist yet
    shape : of an object, (H, W)
    geometry : Geometry
    method, recipe : name, and what is stored as the recipe
    provenance : dict
    warn : called with a text where the disk is full, and with an empty one when it is no longer
    is_urgent : says whether waiting for the disk is to end

    Raises
    ------
    InputError, OSError   it cannot be written there
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        geometry: Geometry,
        method: str,
        recipe: dict,
        provenance: dict,
        warn: Callable[[str], None],
        is_urgent: Callable[[], bool],
    ):
        self.path, self._shape, self._warn, self._is_urgent = check_new(path), shape, warn, is_urgent
        self._unix_offset_s = time.time() - time.perf_counter()
        self._waiting: list[dict[str, np.ndarray]] = []
        self._rows_waiting, self._last_flush_s, self.rows = 0, time.perf_counter(), 0
        self._room = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            self._wait_for_room(SPARE_BYTES)
        except OSError:
            self.path.unlink()
            raise
        self._file = h5py.File(self.path, "w", libver="latest")
        entry = layout.write_header(self._file, "reconstruction", provenance)
        write_geometry(entry, geometry)
        self._columns = self._make_columns(entry, method, recipe)
        self._file.swmr_mode = True
        self._file.flush()

    def _make_columns(self, entry: h5py.Group, method: str, recipe: dict) -> dict[str, h5py.Dataset]:
        image = layout.make_group(entry, "image_1", "NXdata")
        layout.write_attributes(image, signal="data")
        rows = max(1, min(ROWS, CHUNK_BYTES // (8 * self._shape[0] * self._shape[1])))
        grown = {"track_times": False, "fletcher32": True}
        pictures = {"maxshape": (None, *self._shape), "chunks": (rows, *self._shape), **grown}
        columns = {
            "data": image.create_dataset("data", (0, *self._shape), np.complex64, **pictures),
            "support": image.create_dataset("support", (0, *self._shape), np.uint8, **pictures),
        }
        layout.write_attributes(columns["data"], stack="shots", axes=layout.AXES["shots"])
        write_meaning(image, self._shape)
        process = layout.make_group(image, "process_1", "NXprocess")
        layout.write_text(process, "method", method)
        layout.write_json(process, "recipe", recipe)
        scores = layout.make_group(entry, "run_scores", "NXcollection")
        for name in SCORES:
            columns[name] = scores.create_dataset(name, (0,), np.float64, maxshape=(None,), chunks=(1024,), **grown)
        data = layout.make_group(entry, "data_1", "NXdata")
        layout.write_attributes(data, signal="data")
        data["data"] = h5py.SoftLink("/entry_1/image_1/data")
        return columns

    def append(self, results: Results) -> None:
        """Add rows; they are in the file after the next flush."""
        self._waiting.append(
            {
                "data": results.objects,
                "support": results.supports,
                "frame_number": results.numbers,
                "series": results.series,
                "photons": results.photons,
                "hit_score": results.scores,
                "r_factor": results.r_factors,
                "iterated": results.iterated,
                "arrived_unix_s": results.arrived_s + self._unix_offset_s,
            }
        )
        self._rows_waiting += len(results.numbers)
        if self._rows_waiting >= ROWS:
            self.flush()

    def flush_if_due(self) -> None:
        """Write what has waited for long enough."""
        if self._rows_waiting and time.perf_counter() - self._last_flush_s > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write all rows that wait, and let readers see them."""
        if self._rows_waiting:
            rows = {name: np.concatenate([part[name] for part in self._waiting]) for name in self._columns}
            self._wait_for_room(SPARE_BYTES + sum(values.nbytes for values in rows.values()))
            stop = self.rows + self._rows_waiting
            for name, column in self._columns.items():
                column.resize(stop, axis=0)
                column[self.rows : stop] = rows[name]
            self._file.flush()
            self.rows, self._rows_waiting, self._waiting = stop, 0, []
        self._last_flush_s = time.perf_counter()

    def _wait_for_room(self, needed: int) -> None:
        """Until the disk has set so much aside; raises OSError where it cannot, or waiting is to end."""
        is_full = False
        while True:
            try:
                os.posix_fallocate(self._room, os.fstat(self._room).st_size, needed)
                break
            except OSError as error:
                if error.errno not in FULL or self._is_urgent():
                    raise OSError(error.errno, os.strerror(error.errno), str(self.path)) from None
            if not is_full:
                self._warn(f"{self.path}: no space left on the disk; waiting until there is")
            is_full = True
            time.sleep(DISK_LOOK_S)
        if is_full:
            self._warn("")

    def close(self, totals: dict) -> None:
        """Write the rest, and what the run came to."""
        self.flush()
        self._file.close()
        self._wait_for_room(SPARE_BYTES)
        with h5py.File(self.path, "r+", libver="latest") as file:
            layout.write_json(file["entry_1/image_1/process_1"], "live", totals)
        os.close(self._room)

    def abandon(self) -> None:
        """Close the file with what was flushed."""
        self._file.close()
        os.close(self._room)


def check_new(path: Path) -> Path:
    """Where the results will go.

    Raises
    ------
    InputError   there is a file already: results of another run are never replaced
    """
    target = check_output(path)
    if target.exists():
        raise InputError(f"{path}: exists already; a live run replaces no results, give another name")
    return target
