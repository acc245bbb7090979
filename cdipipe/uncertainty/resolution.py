"""How fine a result is, told without its truth.

Halves of the counts that are phased apart agree better with each other than with the truth: they fail alike. Here the
result is put to a test whose answer is known: it is taken for the truth, its own experiment is simulated (the same
photons, mask and light), phased anew from other starts by the same recipe, and compared with it. Such *twins* tell what
this phasing makes of an object of this kind, but not whether this one is right; how well other starts find the result
again from the measured counts tells that, and counting noise sets a limit that both do not see, since the result's own
noise is their signal. The worst of the three stands for the correlation with the truth, and is read where that would
be, at 0.5. ``cdipipe bench resolution`` compares both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics import fourier
from cdipipe.metrics.align import lay_over
from cdipipe.metrics.catalogue import FRC_THRESHOLD, PRTF_THRESHOLD
from cdipipe.metrics.trust import transfer_is_told
from cdipipe.optics.far_field import propagate
from cdipipe.optics.forward import ForwardModel
from cdipipe.optics.grid import pixel_axes
from cdipipe.optics.noise import poisson
from cdipipe.phasing.recipe import Recipe, recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.starts import Start, derive_seed
from cdipipe.uncertainty.choices import ResolutionChoices
from cdipipe.uncertainty.estimate import check

OF_TWINS, OF_STARTS = 0.5, 0.7
"""Shares of the errors of twins and of other starts that count, chosen on simulated objects: each start errs by itself,
and noise that the result has taken up makes its twins harder to phase than the truth."""
DARKEST = 0.02
"""Correlations below are as good as none."""
AXES = "zyx"
"""Cones of a volume are named by its axes, the first of the array first."""


@dataclass(frozen=True)
class Resolution:
    """What is known of the resolution of a result.

    Parameters
    ----------
    numbers : full periods in object pixels: ``resolution_px``; what it is made of, ``resolution_twins_px`` and
        ``resolution_starts_px``; ``resolution_noise_px``, the limit that counting noise sets; of a volume those of
        three cones, ``resolution_z_px`` and so on; ``resolution_nm`` where pixels are square and their length known;
        ``prtf_resolution_px`` with six runs or more
    curves : (rings,) by the same names, with ``frequency`` in cycles per object pixel and ``threshold``
    """

    numbers: dict[str, float]
    curves: dict[str, np.ndarray]


def recipe_of(result: Reconstruction) -> Recipe:
    """The recipe that a result was phased by.

    Parameters
    ----------
    result : of :func:`cdipipe.phasing.reconstruct.reconstruct`

    Raises
    ------
    InputError   the result does not tell it
    """
    if not result.recipe.get("steps"):
        raise InputError("resolution: the result does not tell its recipe, so it cannot be phased anew")
    known = {name: value for name, value in result.recipe.items() if name in Recipe.model_fields}
    return recipe_from_mapping(known, "recipe of the result")


def noise_limit(signal: np.ndarray, noise: float) -> np.ndarray:
    """FRC with the truth that a perfect phasing has, by counting noise alone: sqrt(S / (S + N)).

    A count tells a modulus to a variance of 1/4, and phases follow from moduli, which leaves twice as much in each of
    both parts of the wave; the support lets through its share of the array.

    Parameters
    ----------
    signal : (rings,) mean photons per pixel S of the object
    noise : N, the share of the array that the object fills, or half of it where the object is real

    Returns
    -------
    (rings,) float64
    """
    return np.sqrt(signal / (signal + noise))


def combine(twins: np.ndarray, starts: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The correlation that stands for the one with the truth: of the largest error, smoothed over three rings.

    Parameters
    ----------
    twins, starts, noise : (rings,) correlations of the result with its twins and with other starts; the limit by noise

    Returns
    -------
    (rings,) float64
    """
    error = np.maximum(OF_TWINS * _error(twins), OF_STARTS * _error(starts))
    return fourier.smooth_rings(1 / np.sqrt(1 + np.maximum(error, _error(noise))))


def _error(correlation: np.ndarray) -> np.ndarray:
    """Power of the error over that of the signal: 1 / C^2 - 1."""
    return 1 / np.clip(correlation, DARKEST, 1) ** 2 - 1


class _Phasing:
    """Phases counts by the recipe of a result, and lays what it finds over the result."""

    def __init__(self, result: Reconstruction, measurement: Measurement, seed: int, support, device: str):
        self.result, self.measurement, self.seed, self.device = result, measurement, seed, device
        self.recipe, self.start = recipe_of(result), Start(support=support)
        self.model = ForwardModel.from_dict({"ndim": result.object.ndim, **result.forward})
        self.random = np.random.default_rng([seed, 0xF4C])
        self.done = 0

    def found(self, counts: np.ndarray) -> np.ndarray:
        """The object (*grid) behind counts, from a start of its own, laid over the result."""
        self.done += 1
        found = reconstruct(
            replace(self.measurement, intensity=counts),
            self.recipe,
            seed=derive_seed(self.seed, self.done) % 2**31,
            device=self.device,
            start=self.start,
            free_fraction=float(self.result.recipe.get("free_fraction", 0.0)),
        )
        return lay_over(self.result.object, found.object, self.model.freedom)

    def twin(self) -> np.ndarray:
        """The object found from counts that the result itself would give."""
        mean = np.maximum(self.model.photons_of(self.result.object), 0)
        if self.model.freedom == "shift" and self.model.is_ideal:
            mean = mean * (fourier.intensity_scale(mean, self.measurement.intensity, self.measurement.measured) or 1.0)
        return self.found(poisson(mean, self.random))


def resolve(
    result: Reconstruction,
    measurement: Measurement,
    choices: ResolutionChoices | None = None,
    *,
    support: np.ndarray | None = None,
    device: str = "cpu",
    progress: Callable | None = None,
) -> Resolution:
    """The resolution of one object or volume, without its truth.

    Parameters
    ----------
    result : of :func:`cdipipe.phasing.reconstruct.reconstruct`; its recipe is run again
    measurement : what it was made from
    choices : how many twins and starts
    support : the one that was given to the phasing, if one was
    device : ``cpu`` or ``cuda``
    progress : callable that wraps an iterable, optional

    Returns
    -------
    Resolution

    Raises
    ------
    InputError   a stack, shapes that differ, or a result that does not tell its recipe
    """
    choices = choices or ResolutionChoices()
    check(result, measurement, "resolution")
    if not result.object.any():
        raise InputError("resolution: the object is zero everywhere")
    phasing = _Phasing(result, measurement, choices.seed, support, device)
    makers = [phasing.twin] * choices.twins + [lambda: phasing.found(measurement.intensity)] * choices.starts
    made = np.stack([make() for make in (makers if progress is None else progress(makers))])
    return judge(result, measurement, phasing.model, made[: choices.twins], made[choices.twins :])


def judge(result, measurement, model, twins: np.ndarray, starts: np.ndarray) -> Resolution:
    """Curves and numbers of objects that were found from simulated and from measured counts.

    Parameters
    ----------
    result, measurement : of the phasing
    model : ForwardModel of the result
    twins, starts : (R, *grid) complex, laid over the result
    """
    object_ = np.asarray(result.object, np.complex128)
    frequency = fourier.ring_frequencies(object_.shape)
    light = _light(object_, result, measurement, model)
    curves = _curves(object_, twins, starts, *light)
    if object_.ndim == 3:
        for axis, name in enumerate(AXES):
            pixels = cone(object_.shape, axis)
            curves[f"resolution_{name}"] = _curves(object_, twins, starts, *light, pixels)["resolution"]
    numbers = {f"{name}_px": fourier.resolution_px(frequency, curve, FRC_THRESHOLD) for name, curve in curves.items()}
    curves |= {"frequency": frequency, "threshold": np.array(FRC_THRESHOLD)}
    runs = result.runs if result.runs is not None and len(result.runs) > len(starts) else starts
    if transfer_is_told(len(runs)):
        curves |= _transfer(runs, measurement, model, object_)
        numbers["prtf_resolution_px"] = fourier.resolution_px(frequency, curves["prtf"], PRTF_THRESHOLD)
    numbers |= _in_nm(numbers["resolution_px"], result)
    return Resolution({name: float(value) for name, value in numbers.items() if value is not None}, curves)


def _light(object_, result, measurement, model) -> tuple[np.ndarray, float]:
    """Photons of the object alone in each pixel, and the noise per pixel in the wave that is found.

    The counts tell the photons without a bias where nothing else shines; elsewhere those of the object that was found
    are taken, less the noise in it.
    """
    noise = float(result.support.mean()) / (1 if np.any(object_.imag) else 2)
    power = np.abs(propagate(object_, object_.ndim)) ** 2 - noise
    alone = model.freedom == "shift" and model.is_ideal
    return np.where(measurement.measured & alone, measurement.intensity, power), noise


def _curves(object_, twins, starts, photons, noise, pixels=None) -> dict[str, np.ndarray]:
    """Median correlation of the object with its twins and with other starts, the limit by noise, and the estimate."""
    parts = {"noise": noise_limit(np.maximum(fourier.ring_means(photons, pixels), 0), noise)}
    for name, group in (("twins", twins), ("starts", starts)):
        found = [fourier.fourier_ring_correlation(object_, one, pixels=pixels) for one in group]
        parts[name] = np.median(found, axis=0)
    return {"resolution": combine(**parts)} | {f"resolution_{name}": curve for name, curve in parts.items()}


def cone(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Frequencies within 45 degrees of an axis, to both sides: (*shape) bool, centred.

    Parameters
    ----------
    shape : of a pattern
    axis : of the array
    """
    parts = [k / n for k, n in zip(pixel_axes(shape), shape, strict=True)]
    return 2 * parts[axis] ** 2 >= sum(part**2 for part in parts)


def _transfer(runs, measurement, model, object_) -> dict[str, np.ndarray]:
    laid = np.stack([lay_over(object_, run, model.freedom) for run in runs])
    waves = np.stack([model.waves_of(run) for run in laid])
    curve = fourier.phase_retrieval_transfer(waves, measurement.intensity, measurement.measured)
    return {"prtf": fourier.smooth_rings(curve), "prtf_threshold": np.array(PRTF_THRESHOLD)}


def _in_nm(pixels: float | None, result: Reconstruction) -> dict[str, float]:
    lengths = None if result.geometry.scan is not None else result.geometry.object_pixels_m(result.object.shape)
    if pixels is None or lengths is None or max(lengths) > 1.001 * min(lengths):
        return {}
    return {"resolution_nm": pixels * max(lengths) * 1e9}
