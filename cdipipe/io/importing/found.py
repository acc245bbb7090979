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
from cdipipe.io.importing.sources import PatternSource, StoredArray


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
    read_key: Callable[[str], np.ndarray] | None = None
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
        if self.read_key is None:
            raise InputError(f"{self.where}: has no further arrays; '{key}' was asked for")
        return self.read_key(key)
