"""HDF5 files of beamlines: all arrays, links followed, and numbered ones as one stack."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from cdipipe.errors import InputError
from cdipipe.io.hdf5 import Source, identity, read_attribute
from cdipipe.io.importing.readers.container import Container, Listed, is_real, why_not_real
from cdipipe.io.stored import Chained, StoredArray

BLOCKS = ("data", "block", "chunk", "part", "frames", "images", "file")
"""What numbered arrays of three axes are called where they are one stack, as DECTRIS writes them."""
NO_FRAMES = ("detector", "det", "module", "panel", "channel", "threshold", "scan", "camera", "roi", "mask")
"""What numbered arrays of two axes are called where they are no sequence of frames."""
FRAME_GROUPS = ("frame", "image", "img", "shot", "event", "pattern", "point", "step", "pulse", "exposure")
"""What numbered groups are called where each holds one frame."""
MOST_GAPS = 100_000
NUMBERED = re.compile(r"(.*?)(\d+)$")


@dataclass
class Hdf5File:
    """An open HDF5 file and what it holds.

    Parameters
    ----------
    container : its arrays, each under the first name that leads to it, and stacks of numbered ones
    names : all names of every array, by its first
    groups : every group's name and NeXus class ("" without one)
    broken : what is wrong with links that lead nowhere, by name
    notes : of stacks, what is odd about them, by name
    """

    source: Source
    container: Container
    names: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    by_identity: dict[Any, str] = field(default_factory=dict)

    def first_name(self, node: h5py.Dataset) -> str | None:
        """The name under which a dataset is listed."""
        return self.by_identity.get(identity(node))

    def stack_of(self, name: str) -> str:
        """The stack that an array is part of, or the array itself."""
        return next((stack for stack, members in self.container.groups.items() if name in members), name)


def open_hdf5(path: Path, label: str, stack: ExitStack, key: str | None = None) -> Hdf5File:
    """List the arrays of an HDF5 file, or only of the outermost group that a key leads into."""
    content = None if str(path) == label else stack.enter_context(open(path, "rb"))  # noqa: SIM115
    source = Source(label, stack, content)
    file = Hdf5File(source, Container("hdf5", label, {}))
    for name, node in source.walk(_start(source, key)):
        if isinstance(node, InputError):
            file.broken[name] = str(node)
        elif isinstance(node, h5py.Group):
            file.groups[name] = str(read_attribute(node, "NX_class") or "")
        elif isinstance(node, h5py.Dataset) and node.shape is not None:
            _list(file, name, node)
    _join_numbered(file)
    return file


def _start(source: Source, key: str | None) -> str:
    outer = f"/{(key or '').strip('/').split('/')[0]}"
    return outer if isinstance(source.get(outer), h5py.Group) else "/"


def _list(file: Hdf5File, name: str, node: h5py.Dataset) -> None:
    known = file.by_identity.setdefault(identity(node), name)
    file.names.setdefault(known, []).append(name)
    if known != name:
        file.container.aliases[name] = known
        return
    if is_real(node.dtype):
        file.container.arrays[name] = Listed(node.shape, node.dtype, lambda: _open(file, name))
    elif len(node.shape) >= 2 and min(node.shape) > 1:
        file.container.refused[name] = why_not_real(node.dtype)


def _open(file: Hdf5File, name: str) -> StoredArray:
    array = file.source.stored(name, "bool")
    if array is None:
        raise InputError(f"{file.container.label}: no array '{name}' inside")
    return array


def _join_numbered(file: Hdf5File) -> None:
    """Arrays that differ in a number only are one stack: blocks of frames, or frames one by one."""
    families: dict[Any, dict[int, str]] = defaultdict(dict)
    for first, names in file.names.items():
        each = file.container.arrays.get(first)
        for name in names if each is not None else ():
            rank = len(each.shape)
            if (place := numbered(name, rank)) is not None:
                frame = each.shape if rank == 2 else each.shape[1:]
                families[(place[0], rank, frame, each.dtype)].setdefault(place[1], first)
    taken: set[str] = set()
    for (pattern, rank, *_), members in families.items():
        first_names = [members[number] for number in sorted(members)]
        if len(members) > 1 and not taken & set(first_names):
            taken |= set(first_names)
            _add_stack(file, pattern, rank, dict(sorted(members.items())))


def numbered(name: str, rank: int) -> tuple[str, int] | None:
    """Pattern and number of a name that is one of several, such as ``data_000001``: ``data_*`` and 1."""
    parent, _, leaf = name.rpartition("/")
    if match := NUMBERED.match(leaf):
        word = _last_word(match.group(1))
        if (rank == 2 and word not in NO_FRAMES) or (rank == 3 and word in BLOCKS):
            return f"{parent}/{match.group(1)}*", int(match.group(2))
        return None
    above, _, group = parent.rpartition("/")
    if rank == 2 and (match := NUMBERED.match(group)) and _last_word(match.group(1)) in FRAME_GROUPS:
        return f"{above}/{match.group(1)}*/{leaf}", int(match.group(2))
    return None


def _last_word(text: str) -> str:
    words = re.findall(r"[a-z]+", text.lower())
    return words[-1] if words else ""


def _add_stack(file: Hdf5File, pattern: str, rank: int, members: dict[int, str]) -> None:
    """List a stack under its pattern, unless another array beside its parts is the same stack already (virtual)."""
    arrays, first = file.container.arrays, list(members.values())
    count = len(members) if rank == 2 else sum(arrays[name].shape[0] for name in first)
    frame = arrays[first[0]].shape if rank == 2 else arrays[first[0]].shape[1:]
    parent = pattern.rpartition("/")[0]
    for name, each in arrays.items():
        if each.shape == (count, *frame) and name not in first and name.rpartition("/")[0] == parent:
            file.container.groups[name] = tuple(first)
            return
    where = file.source.where(f"{pattern} ({first[0]} to {first[-1].rpartition('/')[2]})")

    within, late = _missing(file, pattern, rank, members)

    def open_stack() -> StoredArray:
        if within:
            raise InputError(f"{file.broken[next(iter(within))]}; it is one of the parts of {pattern}")
        return Chained([arrays[name].open() for name in first], where)

    arrays[pattern] = Listed((count, *frame), arrays[first[0]].dtype, open_stack)
    file.container.groups[pattern] = tuple(first)
    file.notes[pattern] = _oddities(pattern, members, within, late)


def _missing(file: Hdf5File, pattern: str, rank: int, members: dict[int, str]) -> tuple[dict[str, int], dict[str, int]]:
    """Broken links that belong to a stack, and their numbers: those within it, and those after its last part."""
    places = {name: numbered(name, rank) for name in file.broken}
    numbers = {name: place[1] for name, place in places.items() if place is not None and place[0] == pattern}
    within = {name: number for name, number in numbers.items() if number < max(members)}
    return within, {name: number for name, number in numbers.items() if name not in within}


def _oddities(pattern: str, members: dict[int, str], within: dict[str, int], late: dict[str, int]) -> str:
    """Parts that are not there, in words; empty where all are."""
    said = []
    if late:
        said.append(f"{len(late)} parts after the last of {pattern} lead to files that do not exist and are left out")
    known = set(members) | set(within.values())
    gaps = [
        number for number in range(min(members), min(max(members), min(members) + MOST_GAPS)) if number not in known
    ]
    if gaps:
        shown = ", ".join(map(str, gaps[:5])) + (", ..." if len(gaps) > 5 else "")
        said.append(f"{pattern} has no number {shown}: the frames before and after it follow each other")
    return "; ".join(said)
