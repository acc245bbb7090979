"""The whole analysis of a phased rocking curve: fields, an orthogonal grid, numbers, and what to be careful about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdipipe.bragg.fields import HALF, Fields, fields_of
from cdipipe.bragg.grid import Orthogonal, read_known, to_orthogonal
from cdipipe.bragg.numbers import numbers_of, spread_of
from cdipipe.bragg.reference import Reference
from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import twin_of
from cdipipe.optics.bragg_frame import BraggFrame, bragg_frame

CUT, CLEARLY_CUT = 0.02, 0.3
"""Share of the peak's maximum on an edge of the rocking curve: above the first it is said, above the second refused."""


@dataclass(frozen=True)
class Choices:
    """What may be chosen.

    Parameters
    ----------
    surface : share of the amplitude inside where the crystal ends
    twin : take the conjugated, inverted object, which explains the pattern as well
    keep_ramp : leave the mean phase ramp in the fields
    frame, voxel_nm, toward : of the orthogonal grid, see ``cdipipe.bragg.grid``
    reference : unstrained lattice, optional
    hkl : reflection, which names the facets; default that of the reference
    """

    surface: float = HALF
    twin: bool = False
    keep_ramp: bool = False
    frame: str = "crystal"
    voxel_nm: float | None = None
    toward: tuple[float, float, float] | None = None
    reference: Reference | None = None
    hkl: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Strain:
    """Displacement and strain of a crystal, and how they came to be.

    Parameters
    ----------
    fields : on the object's own grid
    orthogonal : on an orthogonal grid
    numbers : name to plain number, see ``cdipipe.bragg.numbers``
    facets : plain data of each facet, largest first, see ``cdipipe.bragg.facets.Facet``
    notes : sentences for the reader
    geometry : of the rocking curve
    choices : plain data
    """

    fields: Fields
    orthogonal: Orthogonal
    numbers: dict[str, float]
    facets: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    geometry: Geometry
    choices: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def analyse(reconstruction: Reconstruction, choices: Choices = Choices()) -> Strain:
    """Displacement and strain in nanometres of a phased rocking curve.

    Parameters
    ----------
    reconstruction : of stack ``volume``, whose geometry tells circles, scan and detector
    choices : Choices

    Raises
    ------
    InputError   no volume, an incomplete geometry, a peak that is cut, a reference that does not fit, or no crystal
    """
    if reconstruction.stack != "volume":
        raise InputError(f"strain needs a volume that was phased from a rocking curve; this is {reconstruction.stack}")
    if not 0 < choices.surface < 1:
        raise InputError(f"--surface {choices.surface:g}: expected a share between 0 and 1; 0.5 is where an edge lies")
    frame = bragg_frame(reconstruction.geometry, reconstruction.object.shape)
    notes = _peak_notes(reconstruction.object)
    fields = _fields(reconstruction.object, frame, choices)
    reference_d = None
    if choices.reference is not None:
        choices.reference.check(float(2 * np.pi / np.linalg.norm(fields.mean_q_per_nm)))
        reference_d = choices.reference.d_nm
        notes += _reference_notes(choices.reference, frame)
    numbers = numbers_of(fields, reference_d)
    runs = [_fields(run, frame, choices) for run in ([] if reconstruction.runs is None else reconstruction.runs)]
    if len(runs) > 1:
        numbers |= spread_of(runs, reference_d)
        numbers["runs"] = float(len(runs))
    grid = to_orthogonal(fields, choices.frame, choices.voxel_nm, choices.toward)
    return Strain(
        fields=fields,
        orthogonal=grid,
        numbers=numbers,
        facets=_facets(fields, grid, choices, runs if len(runs) > 1 else []),
        notes=(*notes, *_field_notes(fields, numbers, choices)),
        geometry=reconstruction.geometry,
        choices=_plain(choices),
    )


def _facets(fields: Fields, grid: Orthogonal, choices: Choices, runs: list[Fields]) -> tuple[dict[str, Any], ...]:
    from cdipipe.bragg.facets import facets_of, mean_strain_std
    from cdipipe.bragg.surface import LEAST_KNOWN, surface_of

    q = grid.axes @ fields.mean_q_per_nm
    hkl = choices.hkl or (None if choices.reference is None else choices.reference.hkl)
    surface = surface_of(grid, choices.surface)
    at = fields.frame.indices(surface.beneath_nm @ grid.axes).T
    strains = [read_known(run.strain, at, LEAST_KNOWN) for run in runs]
    names = ("hkl", "off_deg", "area_nm2", "mean_strain", "std_strain", "mean_displacement_nm")
    told = []
    for facet in facets_of(surface, q / np.linalg.norm(q), hkl):
        row = {"normal": facet.normal.tolist(), **{name: getattr(facet, name) for name in names}}
        told.append(row | ({"mean_strain_std": mean_strain_std(facet, surface, strains)} if strains else {}))
    return tuple(told)


def _fields(object_: np.ndarray, frame: BraggFrame, choices: Choices) -> Fields:
    chosen = twin_of(object_) if choices.twin else object_
    return fields_of(chosen, frame, choices.surface, remove_ramp=not choices.keep_ramp)


def _peak_notes(object_: np.ndarray) -> list[str]:
    """Is the whole peak within the rocking curve that the object explains?"""
    pattern = np.abs(np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(object_)))) ** 2
    notes = []
    what = ("the scan", "the detector's rows", "the detector's columns")
    cure = ("take more rocking positions", "import a larger --crop", "import a larger --crop")
    for axis in range(3):
        profile = pattern.max(axis=tuple(other for other in range(3) if other != axis))
        share = float(max(profile[0], profile[-1]) / profile.max())
        if share > CLEARLY_CUT:
            raise InputError(
                f"the peak is cut by {what[axis]}: {share:.0%} of its maximum is left at the edge; {cure[axis]}"
            )
        if share > CUT:
            notes.append(f"the peak is cut by {what[axis]}: {share:.1%} of its maximum is left at the edge")
    return notes


def _reference_notes(reference: Reference, frame: BraggFrame) -> list[str]:
    """Would the unstrained lattice have its peak within the rocking curve?"""
    least, largest = frame.spacings_nm
    if least <= reference.d_nm <= largest:
        return []
    shown = "".join(map(str, reference.hkl))
    return [
        f"the peak of unstrained {reference.lattice.name} {shown} ({reference.d_nm:.5g} nm) lies outside scan and "
        f"detector, which saw planes of {least:.5g} to {largest:.5g} nm: trust the mean strain against it only "
        "where energy, angles and the beam's place are known that well"
    ]


def _field_notes(fields: Fields, numbers: dict[str, float], choices: Choices) -> list[str]:
    notes = []
    if fields.vortex.any():
        notes.append(
            f"the phase winds around {_wound(numbers)}: no strain beside it, and the displacement has a cut there"
        )
    elif fields.wraps:
        notes.append("the phase wraps: the displacement was unwrapped; the strain does not depend on that")
    if choices.keep_ramp:
        notes.append("the mean phase ramp was kept: strain is against the lattice at the centre of the pattern")
    taken = "was taken" if choices.twin else "was not taken (--twin takes it)"
    notes.append(f"the conjugated, inverted twin explains the pattern as well and {taken}")
    return notes


def _wound(numbers: dict[str, float]) -> str:
    """What the phase winds around, in words."""
    if not numbers["dislocations"]:
        return f"{numbers['vortex_voxels']:.0f} voxels that make no line through the crystal, more likely noise"
    several = "" if numbers["dislocations"] == 1 else f" and {numbers['dislocations'] - 1:.0f} more"
    return (
        f"a dislocation of {numbers['dislocation_nm']:.3g} nm, Q.b/2pi = {numbers['burgers_planes']:+.0f}{several} "
        "(or, where the phasing failed, a line that only looks like one)"
    )


def _plain(choices: Choices) -> dict[str, Any]:
    from dataclasses import asdict

    return {name: value for name, value in asdict(choices).items() if value is not None}
