"""What was found in one file: the patterns, lazily, and what the file says beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.hdf5 import Source
from cdipipe.io.importing.arrange import Arrangement
from cdipipe.io.importing.sources import PatternSource
from cdipipe.io.stored import StoredArray


@dataclass(frozen=True)
class ArrayBeside:
    """An array beside the data.

    Parameters
    ----------
    kind : who wrote it: ``cxi`` (bits of the CXI format), ``nexus`` (bits of NXdetector/pixel_mask) or ``unknown``
    """

    values: np.ndarray
    name: str
    kind: str


@dataclass
class Found:
    """What one file holds.

    Parameters
    ----------
    path : the file, as the user named it
    kind : its format, ``hdf5`` for all suffixes of HDF5
    array : the patterns as they are stored
    key : name of the array in the file
    hdf5 : the open file, for HDF5 and CXI
    detector, entry : groups around the array in HDF5 files, where they say what they are
    header : texts of an image header
    hints : what the file says of its numbers: ``signed``, ``own`` (written by cdipipe), ``dummy``, ``stack``,
        ``centre``, ``shifted``, ``amplitude``
    beside : arrays beside the data by meaning, such as ``mask``
    reason : why this array
    notes : what the user should look at
    others : opens the further arrays of the file, by name
    """

    path: Path
    kind: str
    array: StoredArray
    key: str | None = None
    hdf5: Source | None = None
    detector: str | None = None
    entry: str | None = None
    header: dict[str, Any] = field(default_factory=dict)
    hints: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, ArrayBeside] = field(default_factory=dict)
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    others: dict[str, Callable[[], StoredArray]] = field(default_factory=dict)
    arrangement: Arrangement | None = None

    @property
    def where(self) -> str:
        return str(self.path)

    @property
    def source(self) -> PatternSource:
        """The patterns as (n, H, W); once the axes have been arranged."""
        return self.arrangement.source

    def read_array(self, key: str) -> np.ndarray:
        """Another array of the same file. Raises InputError where there is none."""
        if self.hdf5 is not None and (values := self.hdf5.array("/" + key.strip("/"), "bool")) is not None:
            return values
        if key in self.others:
            return self.others[key]().all()
        known = ", ".join(list(self.others)[:12]) or "none"
        raise InputError(f"{self.where}: no array '{key}' inside; beside the patterns there is {known}")

    def missing(self) -> list[str]:
        """Files that hold frames and do not exist, as far as that is known by now."""
        return list(getattr(self.array, "missing", ()))
