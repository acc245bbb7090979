"""A crystal of several reflections against a simulated truth: displacement vectors and the strain tensor."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cdipipe.bragg.multipeak import COMPONENTS, Crystal, affine, gradient
from cdipipe.bragg.multipeak_start import carried, register
from cdipipe.errors import InputError
from cdipipe.measurement import Truth
from cdipipe.optics.bragg_frame import bragg_frame

EDGE = 2
"""Voxels that are taken off all around: there the truth, too, is interpolated across the surface."""


def judge_crystal(crystal: Crystal, truth: Truth) -> dict[str, float]:
    """How near a crystal is to the truth, after shift, twin, and mean and mean gradient of the displacement are undone.

    Parameters
    ----------
    crystal : of :func:`cdipipe.bragg.multipeak.fit_crystal`
    truth : of scene ``bragg`` with ``displacement: vector``, of any of its reflections

    Returns
    -------
    dict with
        ``shape_iou``, ``displacement_rmse_nm`` (length of the vectors' difference), ``strain_rmse`` (over all six
        components), ``strain_rms`` (of the truth, to compare with), and ``is_twin``

    Raises
    ------
    InputError   the truth tells no displacement vectors, or shares no voxel with the crystal
    """
    vectors = truth.extra.get("displacement_vectors_nm")
    if vectors is None:
        raise InputError("the truth has no displacement vectors: simulate `bragg` with displacement=vector")
    frame = bragg_frame(truth.geometry, truth.support.shape)
    inside = carried(truth.support.astype(float), frame, crystal.grid)
    true = np.stack([carried(vectors[..., i].astype(float), frame, crystal.grid, 3) for i in range(3)])
    own = np.nan_to_num(crystal.displacement_nm).astype(float), crystal.inside.astype(float)
    turned = tuple(_inverted(array, sign) for array, sign in zip(own, (-1, 1), strict=True))
    found = [_compare(*candidate, true, inside, crystal.grid.voxel_nm) for candidate in (own, turned)]
    if not all(found):
        raise InputError("truth and crystal share no voxel")
    best = min(found, key=lambda row: row["displacement_rmse_nm"])
    return best | {"is_twin": float(best is found[1])}


def _inverted(array: np.ndarray, sign: int) -> np.ndarray:
    """The field at -x, times a sign; the origin is at ``N // 2``."""
    axes = tuple(range(array.ndim - 3, array.ndim))
    return sign * np.roll(np.flip(array, axes), [1 - array.shape[a] % 2 for a in axes], axes)


def _compare(displacement, shape, true, inside, voxel_nm: float) -> dict[str, float]:
    shift, _ = register(inside, shape)
    own = np.stack([ndimage.shift(component, shift, order=1) for component in displacement])
    moved = ndimage.shift(shape, shift, order=1) > 0.5
    both, either = moved & (inside > 0.5), moved | (inside > 0.5)
    bulk = ndimage.binary_erosion(both, iterations=EDGE)
    if not bulk.any():
        return {}
    kept = ndimage.binary_erosion(both, iterations=EDGE - 1)
    own, true = (np.where(kept, u - affine(u, bulk), np.nan) for u in (own, true))
    tensors = [gradient(u, voxel_nm) for u in (own, true)]
    own_strain, true_strain = ((t + np.swapaxes(t, 0, 1))[:, :, bulk] / 2 for t in tensors)
    parts = tuple(zip(*COMPONENTS.values(), strict=True))
    error = own_strain[parts] - true_strain[parts]
    return {
        "shape_iou": float(both.sum() / either.sum()),
        "displacement_rmse_nm": float(np.sqrt(np.mean(((own - true) ** 2).sum(0)[bulk]))),
        "strain_rmse": float(np.sqrt(np.nanmean(error**2))),
        "strain_rms": float(np.sqrt(np.nanmean(true_strain[parts] ** 2))),
    }
