"""Names of files: FILE::KEY, home folders, patterns and numbered series, packed files."""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import logging
import lzma
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cdipipe.errors import InputError
from cdipipe.inputs import check_readable
from cdipipe.io.hdf5 import faults_are_input_errors
from cdipipe.io.memory import memory_limit_bytes

HDF5_SUFFIXES = ("h5", "hdf5", "hdf", "nxs", "nx5", "he5")
GLOB_SIGNS = re.compile(r"[*?\[]")
PRINTF = re.compile(r"%0?\d*d")


def split_key(name: str | Path) -> tuple[Path, str | None]:
    """``FILE::KEY`` into its parts; the key is None where there is none."""
    file, _, key = str(name).partition("::")
    return Path(file), key or None


def natural_key(name: str) -> list:
    """Sorts frame_2 before frame_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(name))]


def expand(name: str) -> list[str]:
    """The files that a name stands for, each with the key of the name.

    ``~`` is the home folder; ``*``, ``?`` and ``[...]`` stand for what the shell would take them for, and ``%04d`` for
    any number, both in natural order. A file that is really called so comes first.

    Raises
    ------
    InputError   a pattern that no file matches
    """
    path, separator, key = name.partition("::")
    path = os.path.expanduser(path)
    pattern = PRINTF.sub("*", glob.escape(path).replace("[*]", "*").replace("[?]", "?").replace("[[]", "["))
    if os.path.exists(path) or not (GLOB_SIGNS.search(path) or PRINTF.search(path)):
        return [path + separator + key]
    found = glob.glob(pattern)
    if number := PRINTF.search(path):
        shape = re.compile(re.escape(path).replace(re.escape(number.group()), r"\d+").replace(r"\*", ".*"))
        found = [file for file in found if shape.fullmatch(file)]
    if not found:
        raise InputError(f"{name}: no file matches this pattern")
    return [file + separator + key for file in sorted(found, key=natural_key)]


def expand_all(names: Sequence[str], as_given: bool = False) -> tuple[list[str], bool]:
    """All files, and whether their order was changed to the order of their numbers.

    A shell puts frame_10 before frame_2; where the given order is exactly that, the numbers decide unless ``as_given``.
    """
    files = [file for name in names for file in expand(str(name))]
    if as_given:
        return files, False
    by_number = sorted(files, key=natural_key)
    if len(files) > 2 and files == sorted(files) and files != by_number:
        return by_number, True
    return files, False


PACKED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""Suffixes of packed files, and what opens them."""


def packing(path: str | Path) -> str:
    """The suffix of a packed file as it is written, such as ``.gz``; empty for others."""
    suffix = Path(path).suffix
    return suffix if suffix.lower() in PACKED else ""


def plain_name(path: str | Path) -> str:
    """The name of a file, in lower case, without the suffix of its packing."""
    name = Path(path).name
    return name.removesuffix(packing(name)).lower()


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or a temporary copy with the compression of gzip, bzip2 or xz taken off."""
    check_readable(path)
    if not (suffix := packing(path)):
        yield path
        return
    limit = memory_limit_bytes()
    with tempfile.TemporaryDirectory(prefix="cdipipe-") as folder:
        copy = Path(folder) / path.stem
        with PACKED[suffix.lower()](path, "rb") as packed, open(copy, "wb") as plain:
            shutil.copyfileobj(_Limited(packed, limit, path), plain, 2**20)
        yield copy


class _Limited:
    """Reads on until ``limit`` bytes have come, so that a small file cannot fill the disk."""

    def __init__(self, file: BinaryIO, limit: int, path: Path):
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
def reading(path: str | Path) -> Iterator[None]:
    """Whatever libraries raise or log about this file in the block is one InputError that names it."""
    check_readable(path)
    with strict_libraries(path), faults_are_input_errors(path, "damaged or unreadable", Exception):
        yield


@contextlib.contextmanager
def strict_libraries(path: str | Path) -> Iterator[None]:
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
