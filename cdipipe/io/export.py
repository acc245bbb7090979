"""Objects for other programs. Phases in radians, amplitudes in square roots of photons.

A format is one record of :data:`EXPORTS`: `cdipipe export` takes it by the suffix of the file, a study by its name, and
other packages add theirs through entry points of the group ``cdipipe.exports``. Nothing here is heavy to import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.plugins import Registry, in_list

if TYPE_CHECKING:
    import numpy as np

    from cdipipe.measurement import Reconstruction


@dataclass(frozen=True)
class Exporter:
    """One format.

    Parameters
    ----------
    name : what its files end in, without the dot
    summary : which programs read it and what is in it
    write : ``(path, reconstruction)``; writes the file whole or not at all
    """

    name: str
    summary: str
    write: Callable[[Path, Reconstruction], None]


def object_fields(reconstruction: Reconstruction) -> dict[str, np.ndarray]:
    """``amplitude`` and ``phase_rad`` (float32) and ``support`` (uint8), each of the object's shape.

    The phase is zero outside the support; its mean inside, weighted by the squared amplitude, is zero.

    Parameters
    ----------
    reconstruction : its object (..., H, W) complex with its support

    Raises
    ------
    InputError   an amplitude is no number, or beyond what float32 holds
    """
    import numpy as np

    values, inside = reconstruction.object.astype(np.complex128), reconstruction.support
    amplitude = np.abs(values)
    if not (amplitude <= np.finfo(np.float32).max).all():
        raise InputError("the object has amplitudes that are NaN or beyond 3.4e+38, which no export format can hold")
    mean = np.sum((amplitude / max(float(amplitude.max(initial=0)), 1e-300) * values)[inside])
    turned = values * np.exp(-1j * np.angle(mean))
    return {
        "amplitude": amplitude.astype(np.float32),
        "phase_rad": np.where(inside, np.angle(turned), 0).astype(np.float32),
        "support": inside.astype(np.uint8),
    }


def write_npz(path: str | Path, reconstruction: Reconstruction) -> None:
    """The fields and the complex ``object`` as a compressed npz.

    Parameters
    ----------
    path : ``.npz`` to write; replaced whole or not at all
    reconstruction : its fields are those of :func:`object_fields`

    Raises
    ------
    InputError   the place cannot be written, or see :func:`object_fields`
    """
    import numpy as np

    with atomic_path(path) as part:
        np.savez_compressed(part, object=reconstruction.object, **object_fields(reconstruction))


def write_tif(path: str | Path, reconstruction: Reconstruction) -> None:
    """Pages of float32: amplitude, phase, support one after the other along the first axis (ImageJ: TZCYX).

    Parameters
    ----------
    path : ``.tif`` to write; replaced whole or not at all
    reconstruction : its fields are those of :func:`object_fields`

    Raises
    ------
    InputError   the place cannot be written, or see :func:`object_fields`
    """
    import numpy as np
    import tifffile

    fields = object_fields(reconstruction)
    stacked = np.stack([field.astype(np.float32) for field in fields.values()])
    channel_last = np.moveaxis(stacked, 0, -3)  # (frames or depth, 3, H, W), as viewers expect channels
    with atomic_path(path) as part:
        tifffile.imwrite(part, channel_last, imagej=True, metadata={"Labels": list(fields)})


def write_vti(path: str | Path, reconstruction: Reconstruction) -> None:
    """VTK image data: fields on points, x fastest; spacing in metres where the geometry tells it, else in pixels.

    The origin puts the object's centre ``N // 2`` at zero. ``unit`` and, for a rocking curve, a note that the axes are
    the detector's conjugates (not orthogonal) are stored as field data.

    Parameters
    ----------
    path : ``.vti`` to write; replaced whole or not at all
    reconstruction : one object, its fields are those of :func:`object_fields`

    Raises
    ------
    InputError   pyvista is not installed, or the object is a stack of shots or frames
    """
    pyvista = extras.load("pyvista", "export to .vti")
    if reconstruction.stack in ("shots", "movie"):
        raise InputError(f"{path}: VTI holds one object, not a stack of {reconstruction.stack}; export .tif or .npz")
    shape = reconstruction.object.shape
    pixels_m = reconstruction.geometry.object_pixels_m(shape)
    spacing, unit = (pixels_m, "m") if pixels_m else ((1.0,) * len(shape), "px")
    grid = pyvista.ImageData(
        dimensions=(*reversed(shape), *(1,) * (3 - len(shape))),
        spacing=(*reversed(spacing), *(1.0,) * (3 - len(shape))),
        origin=(*(-(n // 2) * s for n, s in zip(reversed(shape), reversed(spacing), strict=True)), 0.0)[:3],
    )
    for name, field in object_fields(reconstruction).items():
        grid.point_data[name] = field.ravel()
    grid.field_data["unit"] = [unit]
    if reconstruction.geometry.rocking_step_rad is not None:
        grid.field_data["note"] = ["axes are conjugate to the detector and the rocking angle, not orthogonal"]
    with atomic_path(path) as part:
        grid.save(part, binary=True)


OWN = (
    Exporter("vti", "for ParaView: one object as image data, its pixel in metres", write_vti),
    Exporter("npz", "for NumPy: the complex object, too", write_npz),
    Exporter("tif", "for ImageJ: pages of amplitude, phase and support", write_tif),
)
EXPORTS = Registry("export format", "cdipipe.exports", Exporter, in_list(OWN))


def exporter_of(path: str | Path) -> Exporter:
    """The format of a file by its suffix.

    Parameters
    ----------
    path : file to write; only its name counts

    Raises
    ------
    InputError   it has none, or an unknown one
    """
    kind = Path(path).suffix.removeprefix(".")
    known = EXPORTS.all()
    if kind not in known:
        raise InputError(f"{path}: export writes {', '.join(f'.{name}' for name in known)}; got '{Path(path).suffix}'")
    return known[kind]
