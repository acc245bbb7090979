"""Opening a dataset, of whatever storage, as an array that is read piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from cdipipe.errors import InputError
from cdipipe.io.hdf5.arrays import Hdf5Array
from cdipipe.io.hdf5.virtual import VirtualArray
from cdipipe.io.stored import StoredArray

if TYPE_CHECKING:
    from cdipipe.io.hdf5.source import Source

MAX_VIRTUAL_DEPTH = 8
OWN_FILTERS = 255
"""Numbers of filters that come with HDF5 end here; those of detectors are in hdf5plugin."""


def open_array(source: Source, dataset: h5py.Dataset, where: str, depth: int = 0) -> StoredArray:
    """A dataset of one of the files of a source.

    Parameters
    ----------
    depth : how many virtual datasets led here

    Raises
    ------
    InputError
        Its values lie in a raw file, it declares more than is stored, its filter is unknown, or virtual datasets lead
        in a circle.
    """
    if depth > MAX_VIRTUAL_DEPTH:
        raise InputError(f"{where}: virtual datasets lead in a circle")
    if dataset.external:
        raise InputError(
            f"{where} keeps its values in another file (raw storage): refused; `h5repack` makes one file of both"
        )
    if dataset.is_virtual:
        return VirtualArray(source, dataset, where, lambda node, name: open_array(source, node, name, depth + 1))
    _load_filters(dataset, where)
    return Hdf5Array(dataset, where)


def _load_filters(dataset: h5py.Dataset, where: str) -> None:
    """Load the filters of detectors where one is needed."""
    properties = dataset.id.get_create_plist()
    needed = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    if any(number > OWN_FILTERS for number, *_ in needed):
        import hdf5plugin  # noqa: F401  registers the filters of detectors
    for number, _, _, name in needed:
        if not h5py.h5z.filter_avail(number):
            shown = name.decode("ascii", "replace").strip() if isinstance(name, bytes) else ""
            raise InputError(
                f"{where} is compressed by filter {number} {shown[:60]}, which neither HDF5 nor hdf5plugin has: "
                "write it anew without, `h5repack -f NONE IN OUT`, where that filter is installed"
            )
