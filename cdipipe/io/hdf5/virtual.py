"""Virtual datasets, put together here and not by the library.

So each source is looked for beside the file that names it, sources that are missing leave holes that are known of, and
a dataset that refers to itself (which makes libhdf5 crash) is a line of text.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import check_size
from cdipipe.io.stored import Index, StoredArray, box_shape

if TYPE_CHECKING:
    from cdipipe.io.hdf5.source import Source

UNLIMITED = h5py.h5s.UNLIMITED
MOST_PIECES = 200_000
Opener = Callable[[h5py.Dataset, str], StoredArray]
Axes = list[np.ndarray]
"""A regular selection: along every axis the indices that it takes."""


@dataclass
class Piece:
    """One mapping: a box of the virtual dataset and the box of a source that fills it.

    Parameters
    ----------
    file, name : source, as the mapping calls it
    here, there : indices along each axis of the virtual dataset and of the source; None: all of the source
    """

    file: str
    name: str
    here: Axes
    there: h5py.h5s.SpaceID | None


def _axes(space: h5py.h5s.SpaceID, shape: tuple[int, ...], where: str) -> Axes | None:
    """Indices that a selection takes along each axis, cut to the shape; None for an empty one."""
    kind = space.get_select_type()
    if kind == h5py.h5s.SEL_ALL:
        return [np.arange(size) for size in shape]
    if kind == h5py.h5s.SEL_NONE:
        return None
    if kind != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise InputError(f"{where}: a virtual dataset of single points; only of boxes can be read")
    axes = []
    for size, start, stride, count, block in zip(shape, *space.get_regular_hyperslab(), strict=True):
        most = max(0, -(-(size - start) // max(stride, 1)))
        check_size((max(size, 1),), 8, where)
        if block == UNLIMITED:
            axes.append(np.arange(start, size))
            continue
        if block > size:
            raise InputError(f"{where}: a virtual dataset whose blocks are larger than itself: damaged")
        blocks = np.arange(min(count, most), dtype=np.int64)
        places = (start + blocks[:, None] * stride + np.arange(block)).ravel()
        axes.append(places[places < size])
    return axes


def _is_numbered(text: str) -> bool:
    return "%b" in text.replace("%%", "")


def _numbered(text: str, number: int) -> str:
    """``%b`` of a source's name becomes the number of the block."""
    return "%".join(part.replace("%b", str(number)) for part in text.split("%%"))


class VirtualArray(StoredArray):
    """A virtual dataset; ``open_array`` opens the dataset of a source under a name."""

    def __init__(self, source: Source, dataset: h5py.Dataset, where: str, open_array: Opener):
        super().__init__(dataset.shape, dataset.dtype, where)
        self.source, self.dataset, self.open_array = source, dataset, open_array
        self.holder = source.files.holder(dataset)
        self.fill = dataset.fillvalue
        self._missing: dict[str, None] = {}
        self._arrays: dict[tuple[str, str], StoredArray | None] = {}

    @functools.cached_property
    def pieces(self) -> list[Piece]:
        """All mappings; those with a number in their source's name one by one."""
        pieces = []
        for mapping in self.dataset.virtual_sources():
            here = _axes(mapping.vspace, self.shape, self.where)
            if here is None or any(len(axis) == 0 for axis in here):
                continue
            if _is_numbered(mapping.file_name) or _is_numbered(mapping.dset_name):
                pieces += self._numbered_pieces(mapping)
            else:
                names = (_numbered(name, 0) for name in (mapping.file_name, mapping.dset_name))
                pieces.append(Piece(*names, here, mapping.src_space))
            if len(pieces) > MOST_PIECES:
                raise InputError(f"{self.where}: a virtual dataset of more than {MOST_PIECES} pieces")
        return pieces

    def _numbered_pieces(self, mapping: Any) -> Iterator[Piece]:
        start, stride, count, block = mapping.vspace.get_regular_hyperslab()
        grows = next((axis for axis, number in enumerate(count) if number == UNLIMITED), 0)
        whole = _axes(mapping.vspace, self.shape, self.where)
        first, step, size = start[grows], max(stride[grows], 1), block[grows]
        for number in range(max(0, -(-(self.shape[grows] - first) // step))):
            at = first + number * step
            here = [np.arange(at, min(at + size, self.shape[grows])) if a == grows else x for a, x in enumerate(whole)]
            yield Piece(
                _numbered(mapping.file_name, number), _numbered(mapping.dset_name, number), here, mapping.src_space
            )

    def _open(self, piece: Piece) -> StoredArray | None:
        """The source of a piece; None where its file or dataset does not exist."""
        key = (piece.file, piece.name)
        if key not in self._arrays:
            self._arrays[key] = self._look_for(piece)
            if self._arrays[key] is None:
                self._missing[piece.file if piece.file != "." else piece.name] = None
        return self._arrays[key]

    def _look_for(self, piece: Piece) -> StoredArray | None:
        path = self.holder
        if piece.file != ".":
            path = self.source.files.locate(self.holder, piece.file, self.where)
        if path is None:
            return None
        node = self.source.get_in(path, piece.name)
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return None
        if node.dtype.kind not in "biufcV":
            raise InputError(f"{self.where}: its source {piece.file} {piece.name} holds {node.dtype}")
        return self.open_array(node, f"{path}: {piece.name}")

    def _fill(self, index: Index, result: np.ndarray, method: str) -> np.ndarray:
        """Put what the pieces have of a box into ``result``."""
        for piece in self.pieces:
            wanted = [_within(axis, part) for axis, part in zip(piece.here, index, strict=True)]
            if any(len(places) == 0 for places in wanted) or (array := self._open(piece)) is None:
                continue
            there = None if piece.there is None else _axes(piece.there, array.shape, self.where)
            if there is None:
                continue
            here, there, wanted = _matched(piece.here, there, wanted)
            if any(len(places) == 0 for places in wanted):
                continue
            values = _take(getattr(array, method), here, there, wanted, self.where, self.dtype.itemsize)
            places = [axis[places] - part.start for axis, places, part in zip(here, wanted, index, strict=True)]
            result[np.ix_(*places)] = values
        return result

    @property
    def missing(self) -> list[str]:
        return list(self._missing)

    def get(self, index: Index) -> np.ndarray:
        return self._fill(index, np.full(box_shape(index), self.fill, self.dtype), "get")

    def written(self, index: Index) -> np.ndarray:
        return self._fill(index, np.zeros(box_shape(index), bool), "written")

    @functools.cached_property
    def complete(self) -> bool:
        """Whether pieces with sources cover everything; pieces that overlap count as if they did not."""
        covered = 0
        for piece in self.pieces:
            if (array := self._open(piece)) is None or not array.complete:
                return False
            there = _axes(piece.there, array.shape, self.where) if piece.there is not None else None
            if there is None:
                return False
            here, _, _ = _matched(piece.here, there, [np.arange(len(axis)) for axis in piece.here])
            covered += math.prod(len(axis) for axis in here)
        return covered >= math.prod(self.shape)

    def present(self) -> np.ndarray:
        result = np.zeros(self.shape[0], bool)
        for piece in self.pieces:
            if (array := self._open(piece)) is None or piece.there is None:
                continue
            there = _axes(piece.there, array.shape, self.where)
            if there is None:
                continue
            here, there, _ = _matched(piece.here, there, [np.arange(len(axis)) for axis in piece.here])
            entries = array.present() if array.shape else np.ones(1, bool)
            same = there and len(there[0]) == len(here[0]) and len(here[0]) > 1
            result[here[0]] |= entries[there[0]] if same else bool(entries[there[0]].any() if there else True)
        return result


def _within(axis: np.ndarray, part: slice) -> np.ndarray:
    """Places along an axis whose index lies in a slice."""
    return np.flatnonzero((axis >= part.start) & (axis < part.stop))


def _matched(here: Axes, there: Axes, wanted: Axes) -> tuple[Axes, Axes, Axes]:
    """Both selections cut to what both have: sources that grow may have more or fewer frames than the dataset."""
    if len(here) != len(there):
        return here, there, wanted
    here, there, wanted = list(here), list(there), list(wanted)
    for axis, (own, other) in enumerate(zip(here, there, strict=True)):
        if len(own) != len(other) and min(len(own), len(other)) > 0 and _others_match(here, there, axis):
            most = min(len(own), len(other))
            here[axis], there[axis] = own[:most], other[:most]
            wanted[axis] = wanted[axis][wanted[axis] < most]
        elif len(other) == 0:
            wanted[axis] = wanted[axis][:0]
    return here, there, wanted


def _others_match(here: Axes, there: Axes, axis: int) -> bool:
    return all(len(here[a]) == len(there[a]) for a in range(len(here)) if a != axis)


def _take(read, here: Axes, there: Axes, wanted: Axes, where: str, item_bytes: int) -> np.ndarray:
    """Values of a source for the wanted places of a piece, in the shape of these places."""
    shape = tuple(len(places) for places in wanted)
    paired = _pairs(here, there)
    if paired is None:
        return _take_in_order(read, here, there, wanted, where, item_bytes)
    picked = [axis[wanted[paired[number]]] if number in paired else axis for number, axis in enumerate(there)]
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in picked)
    values = read(box)
    if any(len(axis) != part.stop - part.start for axis, part in zip(picked, box, strict=True)):
        values = values[np.ix_(*(axis - part.start for axis, part in zip(picked, box, strict=True)))]
    return values.reshape(shape)


def _pairs(here: Axes, there: Axes) -> dict[int, int] | None:
    """For every axis of the source longer than 1 that of the dataset which it fills; None where they do not pair up."""
    own = [number for number, axis in enumerate(here) if len(axis) > 1]
    other = [number for number, axis in enumerate(there) if len(axis) > 1]
    if [len(here[number]) for number in own] != [len(there[number]) for number in other]:
        return None
    return dict(zip(other, own, strict=True))


def _take_in_order(read, here: Axes, there: Axes, wanted: Axes, where: str, item_bytes: int) -> np.ndarray:
    """Values of a source of another shape, matched in the order of their elements."""
    count = math.prod(len(axis) for axis in here)
    if count != math.prod(len(axis) for axis in there):
        raise InputError(f"{where}: a virtual dataset and its source differ in size: damaged")
    check_size(tuple(len(axis) for axis in there), item_bytes, where)
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in there)
    values = read(box)[np.ix_(*(axis - part.start for axis, part in zip(there, box, strict=True)))]
    return values.reshape([len(axis) for axis in here])[np.ix_(*wanted)]
