"""Where the fit of a crystal to several reflections begins: each was phased by itself, and the phases are combined.

The objects are carried to a grid fixed to the sample and laid over each other by their shapes. Where shapes do not tell
an object from its twin, there are several beginnings.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cdipipe.bragg.fields import Fields, fields_of
from cdipipe.bragg.several import Peak, SampleGrid
from cdipipe.errors import InputError
from cdipipe.metrics.align import twin_of

FAILED_SHAPE = 0.5
"""Correlation of a peak's shape with the first one's, below which its own phases are not used to begin with."""

DAMPING = 0.01
"""Of the least squares that combine the phases: what only an untrustworthy reflection tells begins small."""

TWIN_MARGIN = 0.1
"""Where a peak's object and its twin fit the shape of the first one as well to within this, both are tried."""


def carried(values: np.ndarray, frame, grid: SampleGrid, order: int = 1) -> np.ndarray:
    """A field on the grid of a rocking curve, read at every voxel of the sample's grid."""
    axis = (np.arange(grid.size) - grid.size // 2) * grid.voxel_nm
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) @ frame.sample_to_lab.T
    return ndimage.map_coordinates(values, np.moveaxis(frame.indices(places), -1, 0), order=order)


@dataclass(frozen=True)
class Begin:
    """What separate phasing tells, with one choice of the twins: density, and displacement along each Q, in nm."""

    density: np.ndarray
    along: dict[int, np.ndarray]

    def displacement(self, peaks: list[Peak], trust: dict[int, float]) -> np.ndarray:
        """Least squares of the components (3, n, n, n), in nm."""
        rows = np.array([peaks[index].q_per_nm.numpy().astype(float) for index in self.along])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        weights = np.array([trust[index] for index in self.along])
        normal = rows.T @ (weights[:, None] * rows) + DAMPING * np.eye(3)
        inverse = np.linalg.solve(normal, rows.T * weights)
        return np.einsum("ij,j...->i...", inverse, np.array(list(self.along.values())))


def begins_of(first: Fields, objects, frames, trust: dict[int, float], grid: SampleGrid) -> list[Begin]:
    """Every choice of twins that the shapes allow, the one that fits them best in front."""
    reference = _normalised(_centred(carried(np.abs(first.object) * first.inside, first.frame, grid)))
    choices = {}
    for number, index in enumerate(trust):
        found = _laid_over(objects[index], frames[index], reference, grid, twins=number > 0)
        if found:
            choices[index] = found
    begins = []
    for picked in itertools.product(*choices.values()):
        density = np.median([shape for _, shape, _ in picked] or [reference], axis=0)
        along = {index: along for index, (_, _, along) in zip(choices, picked, strict=True)}
        begins.append((sum(score for score, _, _ in picked), Begin(density, along)))
    return [begin for _, begin in sorted(begins, key=lambda pair: -pair[0])]


def _centred(shape: np.ndarray) -> np.ndarray:
    middle = ndimage.center_of_mass(shape)
    return ndimage.shift(shape, [n // 2 - place for n, place in zip(shape.shape, middle, strict=True)], order=1)


def _normalised(shape: np.ndarray) -> np.ndarray:
    """Typical value inside: 1."""
    return shape / np.median(shape[shape > 0.5 * shape.max()])


def _laid_over(object_: np.ndarray, frame, reference: np.ndarray, grid: SampleGrid, twins: bool):
    """Score, shape and displacement along Q on the sample's grid, of the object and of its twin, best first.

    What fits the reference clearly worse is left out; nothing fits where the phasing failed.
    """
    found = []
    for candidate in (object_, twin_of(object_)) if twins else (object_,):
        try:
            fields = fields_of(candidate, frame)
        except InputError:
            return []
        shape = carried(np.abs(fields.object) * fields.inside, frame, grid)
        shift, score = register(reference, shape)
        known = np.isfinite(fields.displacement_nm)
        weight = ndimage.shift(carried(known.astype(float), frame, grid), shift, order=1)
        total = ndimage.shift(carried(np.where(known, fields.displacement_nm, 0.0), frame, grid), shift, order=1)
        along = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-3)
        found.append((score, _normalised(ndimage.shift(shape, shift, order=1)), along))
    least = max(FAILED_SHAPE, max(score for score, _, _ in found) - TWIN_MARGIN)
    return sorted((each for each in found if each[0] >= least), key=lambda each: -each[0])


def register(reference: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, float]:
    """Shift that lays one real volume over another, to a tenth of a voxel, and their correlation then."""
    from skimage.registration import phase_cross_correlation

    shift, _, _ = phase_cross_correlation(reference, moving, upsample_factor=10, normalization=None)
    moved = ndimage.shift(moving, shift, order=1)
    product = np.linalg.norm(reference) * np.linalg.norm(moved)
    return shift, float((reference * moved).sum() / max(product, 1e-20))
