"""Which array of a file holds the patterns, and what lies beside it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import h5py

from cdipipe.errors import InputError
from cdipipe.io.cxi.layout import read_kind
from cdipipe.io.importing import pointers
from cdipipe.io.importing.choose import choose, no_such_array
from cdipipe.io.importing.files import reading, split_key, unpacked
from cdipipe.io.importing.found import Found
from cdipipe.io.importing.readers import reader_of
from cdipipe.io.importing.readers.container import Container, Guarded
from cdipipe.io.importing.readers.hdf5 import Hdf5File, open_hdf5
from cdipipe.io.stored import StoredArray


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
    reader, key = reader_of(path), own_key or dataset
    with reading(path):
        plain = stack.enter_context(unpacked(path))
        if reader.name in ("hdf5", "cxi"):
            found = _find_in_hdf5(plain, path, key, stack)
        else:
            container = reader.open(plain, str(path), stack)
            found = _take(container, choose(container, key), path)
    found.array = Guarded(found.array, str(path))
    _check_not_empty(found.array)
    return found


def _check_not_empty(array: StoredArray) -> None:
    if 0 in array.shape:
        raise InputError(f"{array.where}: has no elements, its shape is {array.shape}")


def _take(container: Container, name: str, path: Path) -> Found:
    array = container.arrays[name].open()
    others = {key: each for key, each in container.arrays.items() if key != name}
    return Found(
        path,
        container.kind,
        array,
        name or None,
        header=container.header,
        reason="the only array" if len(container.arrays) == 1 else "the only array that may be patterns",
        others={key: each.open for key, each in others.items()},
    )


def _find_in_hdf5(plain: Path, path: Path, key: str | None, stack: ExitStack) -> Found:
    file = open_hdf5(plain, str(path), stack, key)
    if (kind := read_kind(file.source)) not in ("measurement", None) and key is None:
        raise InputError(f"{path}: holds a {kind}; a measurement is needed here")
    name, reason = _choose_in_hdf5(file, key)
    found = _take(file.container, name, path)
    members = file.container.groups.get(name, ())
    first = members[0] if members and name not in file.names else name
    names = [*file.names.get(first, [first])]
    entry = pointers.entry_of(file, names)
    detector = pointers.detector_of(file, names, entry)
    mask, note = pointers.mask_beside(file, names, detector)
    found = replace(
        found,
        kind="cxi" if pointers.is_cxi(file) else "hdf5",
        hdf5=file.source,
        reason=reason,
        entry=entry,
        detector=detector,
        hints=pointers.hints_beside(file, first),
        beside={} if mask is None else {"mask": mask},
    )
    in_detector = detector is not None and any(each.startswith(f"{detector}/") for each in names)
    found.array.frames_first |= found.kind == "cxi" or in_detector
    found.notes += [text for text in (note, file.notes.get(name, "")) if text]
    if file.source.file.swmr_mode:
        found.notes.append(f"{path} is still being written: {found.array.shape[0]} frames as of now")
    return found


def _choose_in_hdf5(file: Hdf5File, key: str | None) -> tuple[str, str]:
    """Name of the patterns in an HDF5 file, and why these."""
    if key is not None:
        return _by_key(file, key)
    for find_name, reason in (
        (pointers.default_of_cxi, "where CXI files have their patterns"),
        (pointers.default_of_nexus, "by @default and @signal"),
        (pointers.data_of_detector, "data of the only NXdetector"),
    ):
        if (name := find_name(file)) is not None:
            return file.stack_of(name), reason
    try:
        return choose(file.container, None), "the only array that may be patterns"
    except InputError as error:
        raise _with_broken_links(file, error) from None


def _with_broken_links(file: Hdf5File, error: InputError) -> InputError:
    """Where nothing is found, a link that leads nowhere is the reason."""
    if "no patterns inside" in str(error) or "no array of two" in str(error):
        for fault in file.broken.values():
            return InputError(fault)
    return error


def _by_key(file: Hdf5File, key: str) -> tuple[str, str]:
    name = "/" + key.strip("/")
    node = file.source.get(name)
    if isinstance(node, h5py.Dataset) and node.shape is not None:
        return _key_of(file, node, name), "as asked for"
    if isinstance(node, h5py.Group):
        return _in_group(file, name)
    if name in file.container.arrays:
        return name, "as asked for"
    raise InputError(no_such_array(file.container, key))


def _key_of(file: Hdf5File, node: h5py.Dataset, name: str) -> str:
    first = file.first_name(node) or name
    if first in file.container.refused:
        raise InputError(f"{file.source.where(name)} holds {file.container.refused[first]}; allowed: real numbers")
    if first not in file.container.arrays:
        raise InputError(f"{file.source.where(name)} holds values of type {node.dtype}; allowed: real numbers")
    return first


def _in_group(file: Hdf5File, group: str) -> tuple[str, str]:
    """The patterns in a group that was asked for."""
    for find_name in (pointers.default_of_nexus, pointers.data_of_detector):
        if (name := find_name(file, group)) is not None:
            return file.stack_of(name), f"the patterns in {group}"
    inside = {
        first: each
        for first, each in file.container.arrays.items()
        if any(name.startswith(group + "/") for name in file.names.get(first, [first]))
    }
    part = replace(file.container, arrays=inside, label=file.source.where(group))
    return choose(part, None), f"the patterns in {group}"
