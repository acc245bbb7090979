"""Error bars in CXI files: the object in ``/entry_1/image_1``, its maps in ``/entry_1/uncertainty_1``.

Displacements are in metres in the file, as everywhere in CXI, and in nm in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi import layout
from cdipipe.io.cxi.geometry import read_geometry, write_geometry
from cdipipe.io.cxi.image import read_image, write_image
from cdipipe.io.hdf5 import create_file, open_source
from cdipipe.uncertainty.record import Uncertainty

GROUP = "/entry_1/uncertainty_1"
NM = 1e-9
UNITS = {"phase_90": "rad", "displacement_90": "m", "strain_noise": "1"}
AMPLITUDE_UNIT = "sqrt(photons)"


def write_uncertainty(path: str | Path, found: Uncertainty) -> None:
    """Write error bars, whole or not at all.

    Parameters
    ----------
    path : CXI file to write
    found : of :func:`cdipipe.uncertainty.estimate.estimate`

    Raises
    ------
    InputError, OSError   the place cannot be written, or the disk is full; nothing is left behind
    """
    with create_file(path) as file:
        entry = layout.write_header(file, "uncertainty", found.provenance)
        write_geometry(entry, found.geometry)
        write_image(entry, found.object, found.support, found.stack)
        group = layout.make_group(entry, "uncertainty_1", "NXdata")
        layout.write_attributes(group, signal="error_90")
        for name, values in found.maps.items():
            scale = NM if UNITS.get(name) == "m" else 1
            stored = layout.write_array(group, name, (values * scale).astype(np.float32))
            layout.write_attributes(stored, units=UNITS.get(name, AMPLITUDE_UNIT))
        layout.write_text(group, "freedom", found.freedom)
        layout.write_json(group, "choices", found.choices)


def read_uncertainty(path: str | Path) -> Uncertainty:
    """Read what :func:`write_uncertainty` wrote.

    Parameters
    ----------
    path : CXI file

    Raises
    ------
    InputError   any other file, or a damaged one
    """
    with open_source(path) as source:
        if (kind := layout.read_kind(source)) != "uncertainty":
            raise InputError(
                f"{path}: holds a {kind or 'file of another tool'}; `cdipipe uncertainty` writes what is needed"
            )
        image, support, stack = read_image(source)
        texts = ("freedom", "choices")
        maps = {name: source.array(f"{GROUP}/{name}") for name in source.group_names(GROUP) if name not in texts}
        maps = {name: values / NM if UNITS.get(name) == "m" else values for name, values in maps.items()}
        if any(values.shape != image.shape for values in maps.values()) or "error_90" not in maps:
            raise InputError(f"{path}: its maps do not fit its object; make it anew with `cdipipe uncertainty`")
        freedom = source.text(f"{GROUP}/freedom") or "shift"
        choices, geometry = layout.read_json(source, f"{GROUP}/choices"), read_geometry(source)
        return Uncertainty(image, support, stack, maps, freedom, choices, geometry, layout.read_provenance(source))
