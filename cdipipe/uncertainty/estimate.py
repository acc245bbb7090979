"""Intervals of amplitude and phase of each pixel of a result, and how they compare with the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.measurement import Measurement, Reconstruction, Truth
from cdipipe.uncertainty import error_model
from cdipipe.uncertainty.choices import Choices
from cdipipe.uncertainty.replicas import Replicator, lay_over


@dataclass(frozen=True)
class Uncertainty:
    """Error bars of a result, on its grid; maps are float32 and NaN outside the support.

    Parameters
    ----------
    object, support : of the result
    maps : name -> (*grid)
        ``error_90``: the true value lies in a disc of this radius about the result's in 90 % of the pixels, in
        sqrt(photons); ``amplitude_90`` likewise and ``phase_90`` in rad: half widths of 90 % intervals; ``noise`` and
        ``restarts``: root mean square spread of the replicas, in sqrt(photons). Of a rocking curve
        ``displacement_90`` in nm, and ``strain_noise``, the spread of the strain along Q over replicas.
    freedom : what the pattern leaves open: ``shift``, ``phase`` or ``none``
    """

    object: np.ndarray
    support: np.ndarray
    stack: str
    maps: dict[str, np.ndarray]
    freedom: str
    choices: dict[str, Any]
    geometry: Geometry = field(default_factory=Geometry)
    provenance: dict[str, Any] = field(default_factory=dict)

    def medians(self) -> dict[str, float]:
        """The median of each map inside the support; those of amplitudes are relative to the typical amplitude."""
        own, found = ("phase_90", "displacement_90", "strain_noise"), {}
        for name, values in self.maps.items():
            known = values[np.isfinite(values)]
            if known.size and name in own:
                found[name] = float(np.median(known))
            elif known.size:
                typical = np.sqrt(np.mean(np.abs(self.object[self.support]) ** 2))
                found[f"{name}_relative"] = float(np.median(known) / typical)
        return found


def check(result: Reconstruction, measurement: Measurement) -> None:
    """Refuse stacks and what does not fit together.

    Parameters
    ----------
    result, measurement : of one object or volume

    Raises
    ------
    InputError   of one line
    """
    if result.stack not in ("single", "volume"):
        raise InputError(
            f"uncertainty: takes one pattern or volume; this is a stack of {result.stack}: phase one apart"
        )
    if result.object.shape != measurement.intensity.shape:
        raise InputError(f"uncertainty: object {result.object.shape} and pattern {measurement.intensity.shape} differ")


def gather(result: Reconstruction, measurement: Measurement, choices: Choices):
    """The replicas of a result and the signs of error: ``(Replicator, noise, restarts, signs, typical amplitude)``.

    Parameters
    ----------
    result, measurement : of one object or volume
    choices : how many replicas
    """
    replicator = Replicator(result, measurement, choices.seed)
    make = (replicator.parametric, replicator.thinned)
    noise = np.concatenate([one(choices.noise, choices.iterations) for one in make])
    restarts = replicator.restarted(choices.restarts, choices.restart_iterations)
    photons = float((np.maximum(measurement.intensity, 0) * measurement.measured).sum(dtype=np.float64))
    signs, typical = error_model.signs_of(
        replicator.centred, result.support, noise, restarts, replicator.misfit(), photons, replicator.model.freedom
    )
    return replicator, noise, restarts, signs, typical


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
    model = error_model.shipped(result.object.ndim)
    widths = {kind: error_model.predict(model, signs, kind) for kind in error_model.KINDS}
    maps = {
        "error_90": _map(widths["complex"] * typical, inside),
        "amplitude_90": _map(widths["amplitude"] * typical, inside),
        "phase_90": _map(widths["phase"], inside),
        "noise": _map(error_model.spread_of(noise, replicator.centred)[inside], inside),
        "restarts": _map(error_model.spread_of(restarts, replicator.centred)[inside], inside),
    }
    if result.geometry.scan is not None and result.stack == "volume":
        maps |= _bragg(noise, maps["phase_90"], result)
    return Uncertainty(
        result.object, inside, result.stack, maps, replicator.model.freedom, choices.model_dump(), result.geometry
    )


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


def errors_of(object_: np.ndarray, support: np.ndarray, freedom: str, truth: np.ndarray) -> dict[str, np.ndarray]:
    """True absolute errors of the pixels inside the support, kind -> (pixels,): sqrt(photons), and rad of the phase.

    The truth is laid over the object, and its scale fitted.

    Parameters
    ----------
    object_, truth : (*grid) complex
    support : (*grid) bool
    freedom : what the pattern leaves open, see ``ForwardModel.freedom``
    """
    laid = lay_over(object_, truth, freedom).astype(np.complex128)
    laid = laid * (np.vdot(laid, object_).real / (np.vdot(laid, laid).real or 1.0))
    there, found = laid[support], object_[support].astype(np.complex128)
    phase = np.abs(np.angle(found * there.conj()))
    return {"complex": np.abs(found - there), "amplitude": np.abs(np.abs(found) - np.abs(there)), "phase": phase}


def judge(found: Uncertainty, truth: Truth) -> dict[str, float]:
    """How many of the true values the intervals hold, and whether the map is large where the error is.

    Parameters
    ----------
    found : of :func:`estimate`
    truth : of the same grid

    Returns
    -------
    dict with ``coverage_90``, ``coverage_90_amplitude``, ``coverage_90_phase``: shares of the pixels in the support;
    ``error_rank_correlation``: Spearman's, of ``error_90`` and the true absolute error

    Raises
    ------
    InputError   shapes differ
    """
    if truth.object.shape != found.object.shape:
        raise InputError(f"truth of shape {truth.object.shape} does not fit an object of shape {found.object.shape}")
    if not np.isfinite(found.maps["error_90"]).any():
        return {}
    errors = errors_of(found.object, found.support, found.freedom, truth.object)
    stated = {kind: found.maps[name][found.support] for kind, name in MAP_OF.items()}
    shares = {kind: float(np.mean(errors[kind] <= stated[kind])) for kind in MAP_OF}
    return {
        "coverage_90": shares["complex"],
        "coverage_90_amplitude": shares["amplitude"],
        "coverage_90_phase": shares["phase"],
        "error_rank_correlation": rank_correlation(stated["complex"], errors["complex"]),
    }


MAP_OF = {"complex": "error_90", "amplitude": "amplitude_90", "phase": "phase_90"}


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of the arrays is constant.

    Parameters
    ----------
    first, second : (pixels,) real
    """
    from scipy.stats import rankdata

    one, two = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two) / norm if norm > 0 else 0.0
