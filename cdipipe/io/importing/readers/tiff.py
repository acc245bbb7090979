"""TIFF: one image, stacks of pages, and files that were written page by page."""

from __future__ import annotations

import math
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.readers.container import Container, Listed, RawArray, is_real, listed, why_not_real
from cdipipe.io.memory import check_size
from cdipipe.io.stored import Chained, HeldArray, Index, StoredArray, box_shape


class Pages(StoredArray):
    """A series whose pages are frames, unpacked one by one."""

    frames_first = True

    def __init__(self, series: Any, where: str):
        super().__init__(series.shape, np.dtype(series.dtype), where)
        self.pages, self.lead = series.pages, series.shape[:-2]

    def get(self, index: Index) -> np.ndarray:
        result = np.empty(box_shape(index), self.dtype)
        every = np.arange(math.prod(self.lead)).reshape(self.lead)
        frames = result.reshape(-1, *result.shape[-2:])
        for place, number in enumerate(every[index[:-2]].ravel()):
            page = np.squeeze(self.pages[int(number)].asarray())
            if page.shape != self.shape[-2:]:
                raise InputError(f"{self.where}: its pages differ in shape, {page.shape} and {self.shape[-2:]}")
            frames[place] = page[index[-2:]]
        return result


def open_tif(path: Path, label: str, stack: ExitStack) -> Container:
    """Image or multi-page stack; with several series, the key is the number of one, or ``0-4`` for a run of them."""
    import tifffile

    tif = stack.enter_context(tifffile.TiffFile(path, is_ome=False))
    container = Container("tif", label, {}, header=_header(tif))
    for number, series in enumerate(tif.series):
        what = _refusal(series)
        if what:
            container.refused[str(number)] = what
        else:
            container.arrays[str(number)] = _list_series(tif, series, path, label)
    _join_runs(container)
    return container


def _refusal(series: Any) -> str:
    if series.axes.endswith("S") and series.shape[-1] > 1:  # S first: writers take three frames for colours
        return f"a colour image of shape {series.shape}; photon counts have one channel"
    dtype = np.dtype(series.dtype)
    return "" if is_real(dtype) else why_not_real(dtype)


def _list_series(tif: Any, series: Any, path: Path, label: str) -> Listed:
    dtype = np.dtype(series.dtype)
    if series.dataoffset is not None:
        array = RawArray(series.shape, dtype.newbyteorder(tif.byteorder), label, str(path), series.dataoffset)
        if array.nbytes + series.dataoffset > path.stat().st_size:
            check_size(array.shape, dtype.itemsize, label)
            raise InputError(f"{label}: cut off, declares {array.nbytes} bytes of values")
        array.frames_first = True
        return listed(array)
    if len(series.shape) >= 2 and len(series.pages) == math.prod(series.shape[:-2]):
        check_size(series.shape[-2:], dtype.itemsize, label)
        return listed(Pages(series, label))
    return Listed(series.shape, dtype, lambda: _load(series, label))


def _load(series: Any, label: str) -> HeldArray:
    """A series that is no sequence of frames, whole."""
    check_size(series.shape, np.dtype(series.dtype).itemsize, label)
    return HeldArray(series.asarray(), label)


def _join_runs(container: Container) -> None:
    """Images of one shape and type that follow each other were written page by page: they are one stack."""
    by_kind = groupby(container.arrays.items(), key=lambda item: (item[1].shape, item[1].dtype))
    for members in [dict(run) for _, run in by_kind]:
        if len(members) > 1 and len(next(iter(members.values())).shape) == 2:
            names = list(members)
            name = f"{names[0]}-{names[-1]}"
            container.arrays[name] = listed(Chained([each.open() for each in members.values()], container.label))
            container.groups[name] = tuple(names)


def _header(tif: Any) -> dict[str, Any]:
    """Texts of the first page's tags."""
    tags = tif.pages[0].tags if len(tif.pages) else ()
    return {tag.name: tag.value for tag in tags if isinstance(tag.value, str)}
