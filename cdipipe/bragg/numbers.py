"""Size, volume and strain of a crystal as numbers, with their spread over independent runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cdipipe.bragg.dislocations import lines_of
from cdipipe.bragg.fields import Fields
from cdipipe.bragg.grid import frame_axes


def numbers_of(fields: Fields, reference_d_nm: float | None = None) -> dict[str, float]:
    """What is told of a crystal.

    Parameters
    ----------
    fields : Fields
    reference_d_nm : distance of the lattice planes of the unstrained material, optional

    Returns
    -------
    dict of plain numbers; lengths in nm, strain without unit. ``surface`` is the outermost layer of voxels inside,
    ``bulk`` the rest. ``mean_strain_reference`` is that of the crystal's mean lattice against the reference.
    ``dislocations`` counts them; ``burgers_planes`` and ``dislocation_nm`` are Q.b / 2 pi and length of the longest.
    """
    inside, surface = fields.inside, fields.inside & ~fields.bulk
    places = fields.frame.places_nm(np.argwhere(inside))
    volume = float(inside.sum() * fields.frame.voxel_volume_nm3)
    q = np.linalg.norm(fields.mean_q_per_nm)
    found = {
        "voxels": float(inside.sum()),
        "volume_nm3": volume,
        "diameter_nm": float((6 * volume / np.pi) ** (1 / 3)),
        "extent_x_nm": float(np.ptp(places[:, 0])),
        "extent_y_nm": float(np.ptp(places[:, 1])),
        "extent_z_nm": float(np.ptp(places[:, 2])),
        "q_per_nm": float(q),
        "d_spacing_nm": float(2 * np.pi / q),
        "phase_range_rad": float(np.ptp(fields.phase[inside])),
        "displacement_range_nm": float(np.ptp(fields.displacement_nm[inside])),
        "vortex_voxels": float(fields.vortex.sum()),
    }
    for place, mask in (("bulk", fields.bulk), ("surface", surface)):
        strain = fields.strain[mask & np.isfinite(fields.strain)]
        if strain.size:
            found[f"mean_strain_{place}"] = float(strain.mean())
            found[f"rms_strain_{place}"] = float(np.sqrt(np.mean(strain**2)))
    lines = lines_of(fields.object, fields.inside, fields.frame, frame_axes(fields, "crystal"))
    found["dislocations"] = float(len(lines))
    if lines:
        found |= {"burgers_planes": lines[0].burgers_planes, "dislocation_nm": lines[0].length_nm}
    if reference_d_nm is not None:
        found["mean_strain_reference"] = float(2 * np.pi / q / reference_d_nm - 1)
    return found


def spread_of(runs: Sequence[Fields], reference_d_nm: float | None = None) -> dict[str, float]:
    """Standard deviation of every number over independent runs, and of the fields where all runs have a value.

    Parameters
    ----------
    runs : two or more, on one grid
    reference_d_nm : spacing of the lattice planes without strain, nm; None: the crystal's own mean

    Returns
    -------
    dict of ``NAME_std``; ``displacement_std_nm`` and ``strain_std`` are medians over voxels
    """
    rows = [numbers_of(fields, reference_d_nm) for fields in runs]
    names = set.intersection(*(set(row) for row in rows))
    spread = {f"{name}_std": float(np.std([row[name] for row in rows], ddof=1)) for name in sorted(names)}
    for name in ("displacement_nm", "strain"):
        values = np.stack([getattr(fields, name) for fields in runs])
        everywhere = np.isfinite(values).all(0)
        if everywhere.any():
            own = values[:, everywhere]
            key = "displacement_std_nm" if name == "displacement_nm" else "strain_std"
            spread[key] = float(np.median(np.std(own - np.median(own, 1, keepdims=True), axis=0, ddof=1)))
    return spread
