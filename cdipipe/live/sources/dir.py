"""``dir:PATH``: a folder in which files appear, or one file that grows.

Any format that ``cdipipe import`` reads. Files are read in the order of their numbers once they have stopped growing;
HDF5 files are read while they grow, those in SWMR mode too. What cannot be read yet is tried again until it has not
changed for :data:`PATIENCE_S`; then it counts as damaged. The number of a frame is the one in the name of its file
where each file has one frame (``scan_00017.tif``: 17), else its place in the file, and a file is a series.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.files import HDF5_SUFFIXES, natural_key, plain_name, split_key
from cdipipe.live.frames import Frame
from cdipipe.live.registry import FrameSource, Source

LOOK_S = 0.05
SETTLED_S = 0.1
"""A file that has not changed for so long is whole, unless reading it says otherwise."""
PATIENCE_S = 5.0
GROWING = tuple(f".{suffix}" for suffix in (*HDF5_SUFFIXES, "cxi"))
READ_AT_ONCE = 64
MASTER = "_master.h5"
"""Beside data files these only point to the same frames."""


@dataclass
class _File:
    """A file as far as it was read."""

    path: Path
    stamp: tuple[int, int] = (0, 0)
    changed_s: float = 0.0
    done: int = 0
    settled: bool = False
    """nothing more is expected of it unless it changes"""


class Folder(FrameSource):
    """Frames of files that appear, and of files that grow.

    Parameters
    ----------
    address : folder, or file, or ``FILE::KEY``
    """

    def __init__(self, address: str):
        self.path, self._key = split_key(os.path.expanduser(address))
        if not self.path.exists():
            raise InputError(f"dir:{address}: no such file or folder; make the folder first")
        self._files: dict[str, _File] = {}
        self._suffixes = _known_suffixes()
        self._series = 0

    def frames(self) -> Iterator[Frame | None]:
        while True:
            idle = True
            for file in self._look():
                for frame in self._read(file):
                    idle = False
                    yield frame
            if idle:
                yield None
                time.sleep(LOOK_S)

    def _look(self) -> list[_File]:
        """Files with something to read, in the order of their numbers."""
        now, found = time.perf_counter(), []
        for path in sorted(self._paths(), key=lambda path: natural_key(path.name)):
            file = self._files.setdefault(str(path), _File(path))
            try:
                status = path.stat()
            except OSError:
                continue
            stamp = status.st_size, status.st_mtime_ns
            if stamp != file.stamp:
                file.stamp, file.changed_s, file.settled = stamp, now, False
            waits = path.suffix.lower() not in GROWING and now - file.changed_s < SETTLED_S
            if not file.settled and not waits and status.st_size:
                found.append(file)
        return found

    def _paths(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        names = [entry.name for entry in os.scandir(self.path) if entry.is_file() and not entry.name.startswith(".")]
        known = [name for name in names if plain_name(name).endswith(self._suffixes)]
        data = [name for name in known if not name.endswith(MASTER)]
        return [self.path / name for name in (data or known)]

    def _read(self, file: _File) -> Iterator[Frame]:
        """New frames of a file; one that cannot be read is tried again, and after a while given up."""
        try:
            yield from self._new_frames(file)
        except (InputError, OSError, ValueError) as error:
            if time.perf_counter() - file.changed_s > PATIENCE_S:
                file.settled = True
                yield Frame(self._number(file, 0, 1), time.perf_counter(), None, fault=f"{file.path.name}: {error}")

    def _new_frames(self, file: _File) -> Iterator[Frame]:
        from cdipipe.io.importing.arrange import arrange
        from cdipipe.io.importing.find import find
        from cdipipe.io.importing.frames import whole_frames

        stamp = file.stamp
        with ExitStack() as stack:
            found = find(file.path if self._key is None else f"{file.path}::{self._key}", None, stack)
            found.array.frames_first = True
            source = arrange(found.array, None, found.kind).source
            count = _written(source)
            if not self._files_before(file) and self.mask is None:
                self.mask = _mask_beside(found, source.shape)
            for first in range(file.done, count, READ_AT_ONCE):
                part = whole_frames(source.shape, np.arange(first, min(first + READ_AT_ONCE, count)))
                for index, values in zip(part.frames.tolist(), source.read(part), strict=True):
                    frame = Frame(self._number(file, index, source.shape[0]), time.perf_counter(), values, self._series)
                    file.done = index + 1
                    yield frame
        whole = file.path.suffix.lower() not in GROWING or file.done >= source.shape[0]
        file.settled = whole and file.stamp == stamp
        if not file.settled:
            time.sleep(LOOK_S / 5)

    def _files_before(self, file: _File) -> bool:
        return any(other.done for other in self._files.values() if other is not file)

    def _number(self, file: _File, index: int, count: int) -> int:
        """The number of a frame, and a new series where a file of many frames begins."""
        digits = re.findall(r"\d+", file.path.stem)
        if count == 1 and digits and file.path.suffix.lower() not in GROWING and not self.path.is_file():
            return int(digits[-1])
        if index == 0 and file.done == 0:
            self._series += 1
        return index


def _known_suffixes() -> tuple[str, ...]:
    """What the files end in that can be read, packed or not."""
    from cdipipe.io.importing.readers import READERS

    return tuple(f".{suffix}" for reader in READERS.all().values() for suffix in reader.suffixes)


def _written(source) -> int:
    """How many frames from the first are written without a gap; blocks to come may have a place already."""
    if source.complete:
        return source.shape[0]
    absent = np.flatnonzero(~source.present())
    return int(absent[0]) if len(absent) else source.shape[0]


def _mask_beside(found, shape) -> np.ndarray | None:
    """The mask that lies beside the patterns of a file, (H, W); None without one."""
    from cdipipe.io.importing.masks import faults_of

    beside = found.beside.get("mask")
    if beside is None or beside.values.shape != shape[-2:]:
        return None
    measured = np.ones(shape[-2:], bool)
    for bad in faults_of(beside).values():
        measured &= ~bad
    return measured


SOURCE = Source("dir", "files that appear in a folder, or one file that grows: dir:PATH", Folder)
