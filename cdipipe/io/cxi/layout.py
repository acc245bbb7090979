"""What all CXI files of this package share: header, mask bits, stored text and arrays.

CXI: Maia, Nat. Methods 9, 854 (2012), doi:10.1038/nmeth.2110; file format description version 1.6, www.cxidb.org.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.io.pixel_masks import is_cxi_fault
from cdipipe.measurement import Stack

CXI_VERSION = 160
STACKS = get_args(Stack)
KINDS = ("measurement", "truth", "reconstruction", "strain", "crystal", "uncertainty")
AXES = {"single": "y:x", "shots": "experiment_identifier:y:x", "movie": "time:y:x", "volume": "z:y:x"}

PIXEL_IS_INVALID = 0x1
PIXEL_IS_TO_BE_IGNORED = 0x40

SOURCE_GROUP = "/entry_1/instrument_1/source_1"
DETECTOR_GROUP = "/entry_1/instrument_1/detector_1"
PROCESS_GROUP = "/entry_1/process_1"
CHUNK_BYTES = 2**16
SLAB_BYTES = 2**26
PACKING = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
COMPACT_BYTES = 2**15
"""What is no larger is stored in the header of its dataset, which HDF5 guards with a checksum, as no plain data are."""


def measured_to_bits(measured: np.ndarray, bit: int = PIXEL_IS_INVALID) -> np.ndarray:
    """CXI pixel mask, uint32: 0 where True, ``bit`` elsewhere."""
    return np.where(measured, np.uint32(0), np.uint32(bit))


def bits_to_measured(bits: np.ndarray) -> np.ndarray:
    """True where a CXI pixel mask marks no fault (:mod:`cdipipe.io.pixel_masks`)."""
    return ~is_cxi_fault(bits)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size <= 1024):
        return value.tolist()
    if isinstance(value, (Path, set, frozenset)):
        return str(value) if isinstance(value, Path) else sorted(value)
    raise TypeError(f"only plain data can be stored as JSON; got {type(value).__name__}")


def write_json(group: h5py.Group, name: str, data: Any) -> None:
    """Store plain data as one JSON text."""
    write_text(group, name, json.dumps(data, default=_plain))


def read_json(source: Source, name: str) -> dict[str, Any]:
    """A stored JSON mapping, or an empty one if it is absent."""
    text = source.text(name)
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source.where(name)}: not readable as JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{source.where(name)}: should hold a JSON mapping; got {type(data).__name__}")
    return data


def write_small(group: h5py.Group, name: str, values: Any, dtype: Any = None) -> h5py.Dataset:
    """A small dataset, inside its header if it fits there (which h5py's own interface does not offer)."""
    values = np.asarray(values, dtype)
    if not 0 < values.nbytes <= COMPACT_BYTES:
        options = {"chunks": values.shape, "fletcher32": True} if values.ndim and values.size else {}
        return group.create_dataset(name, data=values, dtype=dtype, track_times=False, **options)
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.COMPACT)
    layout.set_obj_track_times(False)
    space = h5py.h5s.create_simple(values.shape) if values.ndim else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(values.dtype, logical=True)
    stored = h5py.h5d.create(group.id, name.encode(), kind, space, layout)
    stored.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(values))
    return h5py.Dataset(stored)


def write_text(group: h5py.Group, name: str, text: str) -> None:
    """Store one text of fixed length (readable by every HDF5 tool, same bytes every time)."""
    content = text.encode("utf-8")
    dtype = h5py.string_dtype("utf-8", max(len(content), 1))
    write_small(group, name, np.array(content, dtype=dtype), dtype)


def write_attributes(node: h5py.Group | h5py.Dataset, **texts: str) -> None:
    """Attach texts of fixed length (see :func:`cdipipe.io.hdf5.read_attribute`)."""
    for name, text in texts.items():
        node.attrs[name] = np.bytes_(text)


def write_number(group: h5py.Group, name: str, value: float | None) -> None:
    """Store one number in float64; ``None`` stores nothing."""
    if value is not None:
        write_small(group, name, np.float64(value))


def write_array(
    group: h5py.Group, name: str, values: np.ndarray, change: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray
) -> h5py.Dataset:
    """Store an array, compressed, in chunks of one pattern (or several, where patterns are small).

    Parameters
    ----------
    change : what is stored of each slab of the array, which may be mapped from a file and larger than the memory
    """
    if values.ndim < 3 or values.nbytes <= SLAB_BYTES:
        return _write_whole(group, name, change(values))
    first = change(values[:1])
    shape = values.shape
    stored = group.create_dataset(
        name, shape, first.dtype, chunks=_chunk(shape, first.dtype), track_times=False, **PACKING
    )
    step = max(1, SLAB_BYTES * shape[0] // values.nbytes)
    step = -(-step // stored.chunks[0]) * stored.chunks[0]
    for start in range(0, shape[0], step):
        stored[start : start + step] = change(values[start : start + step])
        _forget(values)
    return stored


def _forget(values: np.ndarray) -> None:
    """Let go of the pages of an array that is mapped from a file; they are read again where they are wanted."""
    if isinstance(values, np.memmap) and hasattr(values._mmap, "madvise"):
        values._mmap.madvise(mmap.MADV_DONTNEED)


def _write_whole(group: h5py.Group, name: str, values: np.ndarray) -> h5py.Dataset:
    if values.ndim < 2 or values.size == 0:
        return write_small(group, name, values)
    chunk = _chunk(values.shape, values.dtype)
    return group.create_dataset(name, data=values, chunks=chunk, track_times=False, **PACKING)


def _chunk(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    chunk = [1] * (len(shape) - 2) + list(shape[-2:])
    if len(shape) > 2:
        chunk[-3] = min(shape[-3], max(1, CHUNK_BYTES // (shape[-2] * shape[-1] * dtype.itemsize)))
    return tuple(chunk)


def make_group(parent: h5py.Group, name: str, nexus_class: str) -> h5py.Group:
    """A group with its NeXus class."""
    group = parent.create_group(name)
    write_attributes(group, NX_class=nexus_class)
    return group


def write_header(file: h5py.File, kind: str, provenance: dict[str, Any]) -> h5py.Group:
    """Start a CXI file with one entry and return the entry."""
    write_small(file, "cxi_version", np.int64(CXI_VERSION))
    write_small(file, "number_of_entries", np.int64(1))
    write_attributes(file, creator="cdipipe", content=kind)
    entry = make_group(file, "entry_1", "NXentry")
    process = make_group(entry, "process_1", "NXprocess")
    write_text(process, "program", "cdipipe")
    write_json(process, "provenance", provenance)
    return entry


def read_kind(source: Source) -> str | None:
    """``measurement``, ``truth`` or ``reconstruction`` of this package's files; None for those of other tools."""
    kind = read_attribute(source.file, "content")
    return kind if kind in KINDS else None


def read_stack(source: Source, name: str) -> Stack | None:
    """What the first axis of the dataset means, if this package wrote it."""
    dataset = source.dataset(name)
    stack = None if dataset is None else read_attribute(dataset, "stack")
    if stack is not None and stack not in STACKS:
        raise InputError(f"{source.where(name)}: attribute 'stack' is {stack!r}; allowed: {', '.join(STACKS)}")
    return stack


def read_provenance(source: Source) -> dict[str, Any]:
    """Provenance stored in a file of this package."""
    return read_json(source, f"{PROCESS_GROUP}/provenance")
