"""Intervals of amplitude and phase of each pixel of a result."""

from __future__ import annotations

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.uncertainty import error_model
from cdipipe.uncertainty.choices import Choices
from cdipipe.uncertainty.record import MAP_OF, Uncertainty
from cdipipe.uncertainty.replicas import Replicator


def check(result: Reconstruction, measurement: Measurement, command: str = "uncertainty") -> None:
    """Refuse stacks and what does not fit together.

    Parameters
    ----------
    result, measurement : of one object or volume
    command : that asks, for the message

    Raises
    ------
    InputError   of one line
    """
    if result.stack not in ("single", "volume"):
        raise InputError(f"{command}: takes one pattern or volume; this is a stack of {result.stack}: phase one apart")
    if result.object.shape != measurement.intensity.shape:
        raise InputError(f"{command}: object {result.object.shape} and pattern {measurement.intensity.shape} differ")


def gather(result: Reconstruction, measurement: Measurement, choices: Choices):
    """The replicas of a result and the signs of error: ``(Replicator, noise, restarts, signs, typical amplitude)``.

    Of a result of a network alone, replicas are what the network makes of other counts, and of the pattern turned
    or from other starts; see ``error_model.SEEN_AGAIN``.

    Parameters
    ----------
    result, measurement : of one object or volume
    choices : how many replicas
    """
    replicator = _replicator_of(result)(result, measurement, choices.seed)
    make = (replicator.parametric, replicator.thinned)
    noise = np.concatenate([one(choices.noise, choices.iterations) for one in make])
    restarts = replicator.restarted(choices.restarts, choices.restart_iterations)
    photons = float((np.maximum(measurement.intensity, 0) * measurement.measured).sum(dtype=np.float64))
    signs, typical = error_model.signs_of(
        replicator.centred,
        result.support,
        noise,
        restarts,
        replicator.misfit(),
        photons,
        replicator.model.freedom,
        _is_rocking_curve(result),
    )
    return replicator, noise, restarts, signs, typical


def _replicator_of(result: Reconstruction) -> type[Replicator]:
    if error_model.kind_of(result.recipe, result.object.ndim) not in error_model.SEEN_AGAIN:
        return Replicator
    from cdipipe.uncertainty.network_replicas import NetworkReplicator

    return NetworkReplicator


def estimate(result: Reconstruction, measurement: Measurement, choices: Choices | None = None) -> Uncertainty:
    """Error bars of every pixel inside the support of a result.

    Parameters
    ----------
    result : one object or volume
    measurement : what it was made from
    choices : how many replicas

    Returns
    -------
    Uncertainty

    Raises
    ------
    InputError   a stack, or shapes that differ
    """
    choices, inside = choices or Choices(), result.support
    check(result, measurement)
    if not (np.abs(result.object) * inside).any():  # nothing was found, and nothing is known of it
        nothing = dict.fromkeys((*MAP_OF.values(), "noise", "restarts"), _map(np.nan, inside))
        return Uncertainty(result.object, inside, result.stack, nothing, "shift", choices.model_dump(), result.geometry)
    replicator, noise, restarts, signs, typical = gather(result, measurement, choices)
    model = error_model.shipped(error_model.kind_of(result.recipe, result.object.ndim))
    widths = {kind: error_model.predict(model, signs, kind) for kind in error_model.KINDS}
    maps = {
        "error_90": _map(widths["complex"] * typical, inside),
        "amplitude_90": _map(widths["amplitude"] * typical, inside),
        "phase_90": _map(widths["phase"], inside),
        "noise": _map(error_model.spread_of(noise, replicator.centred)[inside], inside),
        "restarts": _map(error_model.spread_of(restarts, replicator.centred)[inside], inside),
    }
    if _is_rocking_curve(result):
        maps |= _bragg(noise, maps["phase_90"], result)
    return Uncertainty(
        result.object, inside, result.stack, maps, replicator.model.freedom, choices.model_dump(), result.geometry
    )


def _is_rocking_curve(result: Reconstruction) -> bool:
    return result.geometry.scan is not None and result.stack == "volume"


def _map(values: np.ndarray | float, inside: np.ndarray) -> np.ndarray:
    full = np.full(inside.shape, np.nan, np.float32)
    full[inside] = values
    return full


def _bragg(noise: np.ndarray, phase: np.ndarray, result: Reconstruction) -> dict[str, np.ndarray]:
    """Displacement along Q from the interval of the phase, and the spread of the strain over replicas."""
    from cdipipe.bragg.fields import strain_along
    from cdipipe.optics.bragg_frame import bragg_frame

    try:
        frame = bragg_frame(result.geometry, result.object.shape)
    except InputError:  # the geometry does not tell all that strain needs
        return {}
    strains = [strain_along(frame.q_per_nm, one, result.support, frame.voxels_nm) for one in noise]
    spread = np.std(strains, axis=0).astype(np.float32)
    return {
        "displacement_90": phase / np.float32(np.linalg.norm(frame.q_per_nm)),
        "strain_noise": np.where(result.support, spread, np.float32(np.nan)),
    }
