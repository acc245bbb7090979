"""Arrays out of image and data files: npy npz tif mat h5 edf cbf cxi, each also as ``.gz``."""

from __future__ import annotations

import contextlib
import gzip
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_patterns
from cdipipe.io.cxi.geometry import read_geometry
from cdipipe.io.cxi.image import read_image
from cdipipe.io.cxi.layout import bits_to_measured, read_kind
from cdipipe.io.hdf5 import faults_are_input_errors, open_source
from cdipipe.io.importing.readers import READERS, check_kind
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.measurement import Geometry, Stack

FORMATS = (*READERS, "cxi")


@dataclass(frozen=True)
class LoadedPatterns:
    """What one file says: numbers as stored, and where the format knows them, mask, stack, geometry and centre."""

    values: np.ndarray
    measured: np.ndarray | None = None
    stack: Stack | None = None
    geometry: Geometry = field(default_factory=Geometry)
    keep_negative: bool = False
    centre: tuple[int, ...] | None = None


def split_key(name: str | Path) -> tuple[Path, str | None]:
    """``FILE::KEY`` into its parts; the key is None where there is none."""
    file, _, key = str(name).partition("::")
    return Path(file), key or None


def format_of(path: Path) -> str:
    """Format by the suffix, a ``.gz`` set aside. Raises InputError for an unknown one."""
    name = path.name.lower().removesuffix(".gz")
    suffix = name.rpartition(".")[2] if "." in name else ""
    if suffix not in FORMATS:
        raise InputError(f"{path}: format '{suffix}' is not known; allowed: {', '.join(FORMATS)}, also with .gz")
    return suffix


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or a temporary copy with the gzip compression taken off."""
    with open(path, "rb"):  # a missing or forbidden file is named by the system
        pass
    if path.suffix.lower() != ".gz":
        yield path
        return
    limit = memory_limit_bytes()
    with tempfile.TemporaryDirectory(prefix="cdipipe-") as folder:
        copy = Path(folder) / path.stem
        with gzip.open(path, "rb") as packed, open(copy, "wb") as plain:
            shutil.copyfileobj(_Limited(packed, limit, path), plain, 2**20)
        yield copy


class _Limited:
    """Reads on until ``limit`` bytes have come, so that a small file cannot fill the disk."""

    def __init__(self, file: gzip.GzipFile, limit: int, path: Path):
        self.file, self.rest, self.path = file, limit, path

    def read(self, size: int) -> bytes:
        piece = self.file.read(size)
        self.rest -= len(piece)
        if self.rest < 0:
            raise InputError(f"{self.path}: unpacks to more than the memory limit (CDIPIPE_MAX_GIB)")
        return piece


class _ErrorCollector(logging.Handler):
    """Keeps what libraries log as an error, such as data that end too early and are filled up with zeros."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _strict_libraries(path: Path) -> Iterator[None]:
    """Silence the warnings of image libraries and turn the errors that they only log into an InputError."""
    collector = _ErrorCollector()
    loggers = [logging.getLogger(name) for name in ("fabio", "tifffile")]
    states = [logger.propagate for logger in loggers]
    try:
        for logger in loggers:
            logger.addHandler(collector)
            logger.propagate = False
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, state in zip(loggers, states, strict=True):
            logger.removeHandler(collector)
            logger.propagate = state
    if collector.messages:
        raise InputError(f"{path}: damaged ({collector.messages[0][:200]})")


def read_array(name: str | Path, key: str | None = None) -> np.ndarray:
    """A real array from any known format but CXI patterns.

    Parameters
    ----------
    name : file, or ``FILE::KEY``
    key : name of the array inside an npz, mat or HDF5 file; may be left out where there is only one

    Raises
    ------
    InputError
        Unknown format, damaged file, ambiguous or missing key, values that are not real numbers, too large.
    """
    path, own_key = split_key(name)
    reader = READERS["h5" if format_of(path) == "cxi" else format_of(path)]
    with (
        _strict_libraries(path),
        faults_are_input_errors(path, "damaged or unreadable", Exception),
        _unpacked(path) as plain,
    ):
        values = reader(plain, str(path), own_key or key)
    check_kind(values.dtype, str(path))
    if values.size == 0:
        raise InputError(f"{path}: has no elements, its shape is {values.shape}")
    return values


def load_patterns(name: str | Path, key: str | None = None) -> LoadedPatterns:
    """Patterns as the file has them; raises as :func:`read_array`."""
    path, own_key = split_key(name)
    if format_of(path) != "cxi" or own_key or key:
        return LoadedPatterns(read_array(name, key))
    with faults_are_input_errors(path, "damaged or unreadable", Exception), _unpacked(path) as plain:
        content = None if plain == path else open(plain, "rb")  # noqa: SIM115  closed with the block below
        with content or contextlib.nullcontext(), open_source(path, content) as source:
            if (kind := read_kind(source)) not in ("measurement", None):
                raise InputError(f"{path}: holds a {kind}; a measurement is needed here")
            raw = read_patterns(source)
            geometry = read_geometry(source)
            return LoadedPatterns(raw.values, raw.measured, raw.stack, geometry, raw.is_signed, raw.centre)


def read_mask(name: str | Path, nonzero_is_bad: bool = False) -> np.ndarray:
    """Which pixels were measured: nonzero in the file, or zero with ``nonzero_is_bad``; CXI files have CXI bits.

    Parameters
    ----------
    name : file, or ``FILE::KEY``
    """
    path, key = split_key(name)
    if format_of(path) != "cxi":
        values = read_array(name)
        return (values == 0) if nonzero_is_bad else (values != 0) & ~np.isnan(values)
    if key is not None:
        return bits_to_measured(np.nan_to_num(read_array(name)))
    measured = load_patterns(name).measured
    if measured is None:
        raise InputError(f"{path}: holds no mask")
    return measured


def read_support(name: str | Path) -> np.ndarray:
    """A support, True where the object may be: nonzero in any array file, or that of a reconstruction.

    Raises
    ------
    InputError
        As :func:`read_array`; also for a truth, which no reconstruction may see.
    """
    path, key = split_key(name)
    if format_of(path) != "cxi" or key is not None:
        values = np.squeeze(read_array(name))
        return (values != 0) & ~np.isnan(values)
    with open_source(path) as source:
        if read_kind(source) == "truth":
            raise InputError(f"{path}: holds a truth, which no reconstruction may see")
        return read_image(source)[1]
