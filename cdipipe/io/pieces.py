"""Results of long work piece by piece, in a hidden folder beside the output: what was kept is not made again.

A piece counts once its marker is there, which is written last and holds the checksum of what was kept. A folder of
other work (another key) is thrown away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path

FORMAT = 1
CHECKED_BYTES = 2**24


class Pieces:
    """Kept pieces of some work on items 0 to ``count - 1``.

    Parameters
    ----------
    output : file that the work ends in
    key : digest of all that the result depends on
    """

    def __init__(self, output: str | Path, key: str):
        target = Path(os.path.realpath(output))
        self.output, self.key = Path(output), key
        self.folder = target.with_name(f".{target.name[:100]}.pieces")
        self.count = self.size = 0
        self._lock: Any = None

    @property
    def begun(self) -> bool:
        """Whether anything is kept, or about to be."""
        return self._lock is not None

    def begin(self, count: int, size: int) -> None:
        """Take the folder, and what is in it if that is of the same work.

        Parameters
        ----------
        count : items in all
        size : items of a piece, where nothing is kept yet

        Raises
        ------
        InputError   another process is at this output
        """
        self.folder.mkdir(exist_ok=True)
        self._lock = open(self.folder / "lock", "w")  # noqa: SIM115, closed by close()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InputError(f"{self.output}: another process is at work on it; wait for it, or end it") from None
        plan = {"format": FORMAT, "key": self.key, "count": count, "size": size}
        found = self._read_json(self.folder / "plan.json")
        if found | {"size": size} != plan or not isinstance(found.get("size"), int):
            self._clear()
            with atomic_path(self.folder / "plan.json") as part:
                part.write_text(json.dumps(plan), encoding="utf-8")
            found = plan
        self.count, self.size = count, found["size"]

    def ranges(self) -> list[range]:
        """Items of each piece."""
        return [range(first, min(first + self.size, self.count)) for first in range(0, self.count, self.size)]

    def has(self, number: int) -> bool:
        """Whether a piece is kept, and whole."""
        marker = self._read_json(self._marker(number))
        if not marker:
            return False
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            part = self.ranges()[number]
            large = {name: self.array(name)[_place(axis, part)] for name, axis in marker["axes"].items()}
            return marker["checksum"] == _checksum(large) and marker["small"] == _file_checksum(self._small(number))
        return False

    def keep(self, number: int, large: Mapping[str, tuple[int, np.ndarray]], small: Mapping[str, np.ndarray]) -> None:
        """Keep a piece.

        Parameters
        ----------
        large : name -> (axis of the items, array); together they are one array of all items, see :meth:`array`
        small : name -> array, see :meth:`small`
        """
        part = self.ranges()[number]
        for name, (axis, values) in large.items():
            shape = (*values.shape[:axis], self.count, *values.shape[axis + 1 :])
            stored = self._open(name, shape, values.dtype)
            stored[_place(axis, part)] = values
            stored.flush()
            del stored
        with atomic_path(self._small(number)) as place, open(place, "wb") as file:
            np.savez(file, **small)
        marker = {
            "axes": {name: axis for name, (axis, _) in large.items()},
            "checksum": _checksum({name: values for name, (_, values) in large.items()}),
            "small": _file_checksum(self._small(number)),
        }
        with atomic_path(self._marker(number)) as place:
            place.write_text(json.dumps(marker), encoding="utf-8")

    def array(self, name: str) -> np.memmap:
        """An array of all items, mapped from its file."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def small(self, number: int) -> dict[str, np.ndarray]:
        """The small arrays of a piece by name."""
        with np.load(self._small(number), allow_pickle=False) as stored:
            return dict(stored)

    def close(self) -> None:
        """Let others have the folder."""
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def remove(self) -> None:
        """Throw away what was kept; the work is done, or cannot be done."""
        if self.begun:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def _open(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
        path = self.folder / f"{name}.npy"
        with contextlib.suppress(OSError, ValueError):
            found = np.load(path, mmap_mode="r+", allow_pickle=False)
            if found.shape == shape and found.dtype == dtype:
                return found
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink() if not path.is_dir() else shutil.rmtree(path)

    def _marker(self, number: int) -> Path:
        return self.folder / f"piece-{number:06d}.json"

    def _small(self, number: int) -> Path:
        return self.folder / f"piece-{number:06d}.npz"

    @staticmethod
    def _read_json(path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def kept_beside(output: str | Path, key: Callable[[], str]) -> Iterator[Pieces]:
    """Pieces for the work in the block: gone when it succeeds or fails, left when it is stopped from outside."""
    pieces = Pieces(output, key())
    try:
        yield pieces
    except Exception:
        pieces.remove()
        raise
    except BaseException:
        pieces.close()
        raise
    else:
        pieces.remove()


def _place(axis: int, part: range) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, slice(part.start, part.stop))


def _checksum(arrays: Mapping[str, np.ndarray]) -> int:
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).view(np.uint8).reshape(-1), total)
    return total


def _file_checksum(path: Path) -> int:
    total = 0
    with open(path, "rb") as file:
        while block := file.read(CHECKED_BYTES):
            total = zlib.crc32(block, total)
    return total
