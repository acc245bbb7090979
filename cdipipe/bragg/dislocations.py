"""Lines around which the phase winds: dislocations, with the part of their Burgers vector that a reflection sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cdipipe.bragg.phase import windings
from cdipipe.optics.bragg_frame import BraggFrame

SHORTEST_SHARE = 0.3
"""Of the diameter of a sphere of equal volume: what winds around shorter lines is noise, not a dislocation."""


@dataclass(frozen=True)
class Line:
    """One dislocation.

    Parameters
    ----------
    burgers_planes : Q.b / 2 pi, a whole number of lattice planes: b is the integral of du around the line, right-handed
        about ``direction``
    direction : (3,) unit vector from end to end in the lab frame, its largest component in the crystal frame (x near
        the beam, z along Q) positive
    length_nm : from end to end
    middle_nm : (3,) mean place in the lab frame
    """

    burgers_planes: float
    direction: np.ndarray
    length_nm: float
    middle_nm: np.ndarray


def lines_of(object_: np.ndarray, inside: np.ndarray, frame: BraggFrame, axes: np.ndarray) -> list[Line]:
    """Dislocations, longest first; the phase of the object is -Q.u.

    Turns of the phase around squares are a current that neither begins nor ends inside, so that its sum over connected
    squares is the way from one end of a line to the other, times the turns; closed loops of noise sum to nothing.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool
    axes : (3, 3), rows x, y, z of the crystal frame in the lab
    frame : of the object's grid, for lengths in nm
    """
    turns = windings(object_, inside)
    parts, count = ndimage.label(_cubes(turns), np.ones((3, 3, 3)))
    numbers = np.arange(1, count + 1)
    totals = np.stack([ndimage.sum_labels(turns[normal], parts, numbers) for normal in range(3)], axis=1)
    ways = totals.reshape(-1, 3) @ frame.voxels_nm.T * np.sign(np.linalg.det(frame.voxels_nm))
    volume = inside.sum() * frame.voxel_volume_nm3
    shortest = SHORTEST_SHARE * (6 * volume / np.pi) ** (1 / 3)
    found = []
    for part in np.flatnonzero(np.linalg.norm(ways, axis=1) >= shortest):
        line = _line(turns * (parts == part + 1), int(np.argmax(np.abs(totals[part]))), ways[part], frame, axes)
        if line.length_nm >= shortest:
            found.append(line)
    return sorted(found, key=lambda line: -line.length_nm)


def _cubes(turns: np.ndarray) -> np.ndarray:
    """Cubes of eight voxels, by their lowest corners, that have a wound square."""
    cubes = np.zeros(turns.shape[1:], bool)
    for normal in range(3):
        wound = turns[normal] != 0
        cubes |= wound | np.roll(wound, -1, normal)
    return cubes


def _line(turns: np.ndarray, along: int, way: np.ndarray, frame: BraggFrame, axes: np.ndarray) -> Line:
    """A line of connected squares, from its sum and the axis of the array that it is nearest to."""
    through = turns[along].sum(tuple(axis for axis in range(3) if axis != along), dtype=int)
    wound = float(max(1, np.median(np.abs(through[through != 0]))))
    in_crystal = axes @ way
    sense = float(np.sign(in_crystal[np.argmax(np.abs(in_crystal))]))
    length = float(np.linalg.norm(way))
    middle = frame.places_nm(np.argwhere((turns != 0).any(0)) + 0.5).mean(0)
    return Line(-sense * wound, sense * way / length, length / wound, middle)
