"""Which array of a file holds the patterns, and what lies beside it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_raw
from cdipipe.io.cxi.layout import read_kind
from cdipipe.io.hdf5 import open_source
from cdipipe.io.importing.files import HDF5_SUFFIXES, format_of, reading, split_key, unpacked
from cdipipe.io.importing.formats import read_array
from cdipipe.io.importing.found import ArrayBeside, Found
from cdipipe.io.importing.sources import HeldArray


def find(name: str | Path, dataset: str | None, stack: ExitStack) -> Found:
    """Open a file and find its patterns.

    Parameters
    ----------
    name : file, or ``FILE::KEY``
    dataset : key for files that hold several arrays, where the name has none
    stack : keeps the file open as long as it is read

    Raises
    ------
    InputError   unknown format, damaged, no patterns, or several arrays that could be them
    """
    path, own_key = split_key(name)
    kind, key = format_of(path), own_key or dataset
    if kind == "cxi" and not key:
        return _find_in_cxi(path, stack)
    kind = "hdf5" if kind in HDF5_SUFFIXES else kind
    return Found(path, kind, HeldArray(read_array(name, dataset), str(path)), key)


def _find_in_cxi(path: Path, stack: ExitStack) -> Found:
    with reading(path):
        plain = stack.enter_context(unpacked(path))
        content = None if plain == path else stack.enter_context(open(plain, "rb"))  # noqa: SIM115
        source = stack.enter_context(open_source(path, content))
        if (kind := read_kind(source)) not in ("measurement", None):
            raise InputError(f"{path}: holds a {kind}; a measurement is needed here")
        raw = read_raw(source)
    hints = {"signed": raw.is_signed, "stack": raw.stack, "centre": raw.centre, "own": raw.is_own}
    beside = {} if raw.bits is None else {"mask": ArrayBeside(raw.bits, raw.mask_name, "cxi")}
    return Found(
        path, "cxi", HeldArray(raw.values, source.where(raw.name)), raw.name, source, hints=hints, beside=beside
    )
