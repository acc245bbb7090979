"""A crystal's displacement and strain against a simulated truth."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cdipipe.bragg import phase as phases
from cdipipe.bragg.fields import Fields, fields_of, strain_along
from cdipipe.errors import InputError
from cdipipe.measurement import Truth
from cdipipe.metrics.align import align_to


def judge(fields: Fields, truth: Truth) -> dict[str, float]:
    """How near a result is to the truth, after shift, twin, offset and mean ramp are undone.

    Parameters
    ----------
    fields : on the object's own grid
    truth : the crystal on the same grid; its phase is -Q.u

    Returns
    -------
    dict with
        ``shape_iou`` (voxels inside both over voxels inside either), ``displacement_rmse_planes`` (along Q, in spacings
        of the lattice planes, over the bulk of both), ``strain_rmse``, ``strain_correlation``, ``complex_correlation``,
        ``is_twin`` (1 where the twin is nearer to the truth: then all signs and places are those of the twin)

    Raises
    ------
    InputError   truth and result are of different shapes, or share no voxel
    """
    if truth.object.shape != fields.object.shape:
        raise InputError(f"truth of shape {truth.object.shape} does not fit a crystal of shape {fields.object.shape}")
    true_inside = truth.support
    ramp = phases.mean_ramp(truth.object, ndimage.binary_erosion(true_inside))
    true_object = phases.without_offset(phases.without_ramp(truth.object, ramp), true_inside)
    laid = align_to(true_object, fields.object, ndim=3)
    aligned = fields_of(laid.object, fields.frame)
    both, either = aligned.inside & true_inside, aligned.inside | true_inside
    bulk = aligned.bulk & ndimage.binary_erosion(true_inside)
    if not bulk.any():
        raise InputError("truth and result share no voxel")
    q = np.linalg.norm(fields.mean_q_per_nm)
    between = aligned.object * true_object.conj() * bulk
    between = phases.without_offset(phases.without_ramp(between, phases.mean_ramp(between, bulk)), bulk)
    error_nm = np.angle(between[bulk]) / q
    smooth = phases.away_from(phases.vortices(true_object, true_inside), true_inside)
    true_strain = strain_along(fields.mean_q_per_nm, true_object, smooth, fields.frame.voxels_nm)
    known = bulk & np.isfinite(aligned.strain) & np.isfinite(true_strain)
    own, reference = aligned.strain[known], true_strain[known]
    own, reference = own - own.mean(), reference - reference.mean()
    product = np.linalg.norm(own) * np.linalg.norm(reference)
    found = {
        "shape_iou": float(both.sum() / either.sum()),
        "displacement_rmse_planes": float(np.sqrt(np.mean(error_nm**2)) / (2 * np.pi / q)),
        "strain_rmse": float(np.sqrt(np.mean((own - reference) ** 2))),
        "complex_correlation": float(laid.correlation),
        "is_twin": float(laid.twin),
    }
    return found | ({"strain_correlation": float(own @ reference / product)} if product > 0 else {})
