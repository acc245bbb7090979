"""What NeXus and CXI files say themselves: which array is to be seen, its detector, and what lies beside it."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi import DATA_PATHS, layout
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.io.importing.choose import why_no_pattern
from cdipipe.io.importing.files import plain_name
from cdipipe.io.importing.found import ArrayBeside
from cdipipe.io.importing.readers.hdf5 import Hdf5File

MASK_NAMES = ("pixel_mask", "mask", "mask_shared")
FURTHER_MASK = re.compile(r"pixel_mask_\d+")
SPECIFIC = "detectorSpecific"
DETECTOR_NAME = re.compile(r"detector(_?\d+)?$", re.IGNORECASE)
CXI_PLACE = re.compile(r"/entry_\d+/")
DEEPEST_DEFAULT = 8


def is_cxi(file: Hdf5File) -> bool:
    """Whether a file follows the CXI format."""
    return "cxi_version" in file.source.file or plain_name(file.container.label).endswith(".cxi")


def default_of_cxi(file: Hdf5File) -> str | None:
    """The patterns of a CXI file, by its first name."""
    for name in DATA_PATHS if is_cxi(file) else ():
        node = file.source.get(name)
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            return _listed(file, node, name)
    return None


def _listed(file: Hdf5File, node: h5py.Dataset, name: str) -> str:
    """The name under which an array is listed; raises InputError where it holds no real numbers."""
    first = file.first_name(node) or name
    if first in file.container.refused:
        raise InputError(f"{file.source.where(name)}: holds {file.container.refused[first]}")
    return first


def default_of_nexus(file: Hdf5File, start: str = "/") -> str | None:
    """The patterns that @default and @signal lead to from a group, by their first name; None where they do not."""
    group, name = file.source.get(start), start.rstrip("/")
    for _ in range(DEEPEST_DEFAULT):
        below = read_attribute(group, "default") if isinstance(group, h5py.Group) else None
        if not isinstance(below, str) or not below:
            break
        name = posixpath.normpath(posixpath.join(name or "/", below))
        try:
            group = file.source.get(name)
        except InputError:
            return None
    if not isinstance(group, h5py.Group):
        return None
    return _signal(file, name) or _only(_signal(file, child) for child in _data_groups(file, name))


def _data_groups(file: Hdf5File, name: str) -> list[str]:
    """NXdata groups in an entry, or in the only entry of a file."""
    entries = [name] if name else [group for group, kind in file.groups.items() if kind == "NXentry"]
    if len(entries) != 1:
        return []
    return [group for group, kind in file.groups.items() if kind == "NXdata" and _is_in(group, entries[0])]


def _is_in(name: str, group: str) -> bool:
    return name.startswith(group.rstrip("/") + "/")


def _only(names: Any) -> str | None:
    """The one name that several lead to, if it is one."""
    found = set(names) - {None}
    return found.pop() if len(found) == 1 else None


def _signal(file: Hdf5File, name: str) -> str | None:
    """The array that an NXdata group calls its signal, where that may be patterns."""
    group = file.source.get(name or "/")
    if not isinstance(group, h5py.Group):
        return None
    wanted = read_attribute(group, "signal")
    children = [wanted] if isinstance(wanted, str) and wanted else [c for c in group if _has_signal(file, group, c)]
    for child in children:
        try:
            node = file.source.step(group, child) if "/" not in child else file.source.get(f"{name}/{child}")
        except InputError:
            continue
        first = file.first_name(node) if isinstance(node, h5py.Dataset) else None
        each = file.container.arrays.get(first or "")
        if each is not None and why_no_pattern(first, each.shape, each.dtype) is None:
            return first
    return None


def _has_signal(file: Hdf5File, group: h5py.Group, child: str) -> bool:
    """Whether a dataset calls itself the signal, as older files have it."""
    try:
        node = file.source.step(group, child)
    except InputError:
        return False
    return isinstance(node, h5py.Dataset) and str(read_attribute(node, "signal")) in ("1", "1.0")


def data_of_detector(file: Hdf5File, inside: str = "/") -> str | None:
    """The field ``data`` of the only NXdetector that has one, by its first name."""
    found = set()
    for first, names in file.names.items():
        each = file.container.arrays.get(first)
        if each is None or why_no_pattern(first, each.shape, each.dtype) is not None:
            continue
        for name in names:
            parent, _, leaf = name.rpartition("/")
            if leaf == "data" and file.groups.get(parent) == "NXdetector" and _is_in(name, inside):
                found.add(first)
    return _only(found)


def _above(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def entry_of(file: Hdf5File, names: list[str]) -> str | None:
    """The NXentry around an array; without such a class the outermost group."""
    for name in names:
        for group in _above(name):
            if file.groups.get(group) == "NXentry" or read_class(file, group) == "NXentry":
                return group
    outer = names[0].split("/")[1] if names[0].count("/") > 1 else ""
    return f"/{outer}" if outer else None


def read_class(file: Hdf5File, name: str) -> str:
    """NeXus class of a group; empty without one."""
    node = file.source.get(name)
    return str(read_attribute(node, "NX_class") or "") if isinstance(node, h5py.Group) else ""


def detector_of(file: Hdf5File, names: list[str], entry: str | None) -> str | None:
    """The detector's group: around the array, or the only one of its entry."""
    for name in names:
        for group in _above(name):
            if file.groups.get(group, read_class(file, group)) == "NXdetector" or _is_detector(file, group):
                return group
    inside = [group for group in file.groups if entry is None or _is_in(group, entry)]
    classes = [group for group in inside if file.groups[group] == "NXdetector"]
    return _only(classes or [group for group in inside if _is_detector(file, group)])


def _is_detector(file: Hdf5File, group: str) -> bool:
    return file.groups.get(group) == "" and DETECTOR_NAME.match(group.rpartition("/")[2]) is not None


def mask_beside(file: Hdf5File, names: list[str], detector: str | None) -> tuple[ArrayBeside | None, str]:
    """The mask of the detector that an array came from, and what is to be said of one that does not fit."""
    source, note = file.source, ""
    node = source.get(names[0])
    shape = node.shape if isinstance(node, h5py.Dataset) else file.container.arrays[names[0]].shape
    for where, group in _folders(file, names, node, detector):
        for leaf in MASK_NAMES:
            try:
                mask = source.step(group, leaf)
            except InputError:
                continue
            if not isinstance(mask, h5py.Dataset) or mask.shape is None or mask.dtype.kind not in "biuf":
                continue
            place = f"{where}/{leaf}"
            if not fits(mask.shape, shape):
                note = f"{place} of shape {mask.shape} does not fit the data and is not used"
                continue
            kind = "nexus" if leaf == "pixel_mask" else "cxi" if _has_cxi_bits(file, place) else "unknown"
            values = source.open(mask, source.where(place)).all()
            for further in _further_masks(source, group, mask) if kind == "nexus" else ():
                values = values | source.open(further, source.where(f"{where}/{leaf}_N")).all()
            return ArrayBeside(_without_ones(values, shape), place, kind), ""
    return None, note


def _further_masks(source: Source, group: h5py.Group, first: h5py.Dataset) -> Iterator[h5py.Dataset]:
    """``pixel_mask_N`` beside ``pixel_mask``, which NeXus adds up bit by bit; those of its shape, in whole numbers."""
    for name in group if first.dtype.kind in "iu" else ():
        if FURTHER_MASK.fullmatch(name):
            with contextlib.suppress(InputError):
                mask = source.step(group, name)
                if isinstance(mask, h5py.Dataset) and mask.shape == first.shape and mask.dtype.kind in "iu":
                    yield mask


def _has_cxi_bits(file: Hdf5File, place: str) -> bool:
    return is_cxi(file) or CXI_PLACE.match(place) is not None


def _folders(file: Hdf5File, names: list[str], node: Any, detector: str | None) -> Iterator[tuple[str, h5py.Group]]:
    """Groups where the mask of an array may lie, the nearest first."""
    places = [name.rpartition("/")[0] or "/" for name in names] + ([detector] if detector else [])
    for place in dict.fromkeys(places):
        group = file.source.get(place)
        for inner in (place, f"{place}/{SPECIFIC}"):
            group = file.source.get(inner)
            if isinstance(group, h5py.Group):
                yield inner.rstrip("/"), group
    if isinstance(node, h5py.Dataset):
        yield node.parent.name.rstrip("/"), node.parent


def fits(mask: tuple[int, ...], data: tuple[int, ...]) -> bool:
    """Whether a mask may be one of a frame of the data, or of all of them, axes of length 1 set aside."""
    mask, data = (tuple(size for size in shape if size > 1) for shape in (mask, data))
    if mask == data:
        return True
    pairs = {(data[i], data[j]) for i in range(len(data)) for j in range(i + 1, len(data))}
    return mask in pairs


def _without_ones(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return values if values.shape == shape else np.squeeze(values)


def hints_beside(file: Hdf5File, name: str) -> dict[str, Any]:
    """What the file says of the numbers of an array."""
    source, group = file.source, name.rpartition("/")[0]
    node = source.get(name)
    if not isinstance(node, h5py.Dataset):
        return {}
    hints: dict[str, Any] = {"signed": bool(read_attribute(node, "signed")), "stack": layout.read_stack(source, name)}
    hints["own"] = layout.read_kind(source) is not None
    place = _numbers(file, f"{group}/image_center")
    if place is not None and place.ndim == 1 and len(place) in (2, 3) and (np.abs(place) < 2**31).all():
        x, y, *z = np.rint(place).astype(int).tolist()
        hints["centre"] = (*z, y, x)
    shifted = _numbers(file, f"{group}/is_fft_shifted")
    hints["shifted"] = shifted is not None and shifted.size == 1 and shifted.item() == 1
    kind = source.get(f"{group}/data_type")
    is_text = isinstance(kind, h5py.Dataset) and h5py.check_string_dtype(kind.dtype) is not None
    hints["amplitude"] = is_text and "amplitude" in (source.text(f"{group}/data_type") or "")
    return hints


def _numbers(file: Hdf5File, name: str) -> np.ndarray | None:
    node = file.source.get(name)
    small = isinstance(node, h5py.Dataset) and node.dtype.kind in "biuf" and (node.size or 0) < 100
    return file.source.array(name, "bool", np.float64) if small else None
