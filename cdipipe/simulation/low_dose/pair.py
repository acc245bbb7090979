"""A sample and a static structure put into one array, in the light that their doses say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.optics.grid import central_slices
from cdipipe.simulation.low_dose.dose import dose_gray, photons_per_pixel
from cdipipe.simulation.low_dose.parameters import LowDoseParameters
from cdipipe.simulation.registry import Sample

DEFAULT_PHOTONS_PER_PIXEL = 1.0
LIGHT = (
    "sample_photons_per_detector_pixel",
    "incident_photons_per_sample_pixel",
    "incident_photons_per_static_pixel",
    "total_photons",
    "sample_photons",
    "amplitude_ratio",
    "dose_sample_per_um2",
    "dose_static_per_um2",
    "dose_sample_gray",
)
"""Numbers that describe the light; in the truth and in the provenance of the measurement."""


@dataclass(frozen=True)
class Pair:
    """Amplitudes of at most 1: sample (sample_px, sample_px) complex, static structure (static_px, static_px) real.

    Of a movie the sample has its frames in front.
    """

    sample: np.ndarray
    static: np.ndarray


def expose_pair(parameters: LowDoseParameters, pair: Pair, more: dict[str, Any] | None = None) -> Sample:
    """Put both in the array, on the scale of the photons.

    Raises
    ------
    InputError   the sample or the static structure is zero everywhere
    """
    windows = parameters.windows()
    sample = _placed(pair.sample, windows[0], (0, 0))
    static = _placed(pair.static, windows[1], parameters.static_offset)
    for name, wave in (("sample", sample), ("static structure", static)):
        if not wave.any():
            raise InputError(f"the {name} is zero everywhere; take another image")
    probe = _probe(parameters)
    frames = len(sample) if sample.ndim > 2 else 1
    on_sample, on_static = _incident(parameters, _energy(sample, probe) / frames, _energy(static, probe))
    sample, static = sample * np.sqrt(on_sample), static * np.sqrt(on_static)
    numbers = _numbers(parameters, on_sample, on_static, _energy(sample, probe) / frames, _energy(static, probe))
    secret = {} if parameters.static_known else {"static_region": static.astype(np.complex64)}
    return Sample(
        sample,
        np.broadcast_to(windows[0], sample.shape),
        "single" if sample.ndim == 2 else "movie",
        probe_modes=None if probe is None else probe[None].astype(np.complex128),
        extra={**numbers, **secret, **(more or {})},
        photons_scaled=True,
        static_region=static,
        static_support=windows[1],
        static_known=parameters.static_known,
        object_support=parameters.known_support(),
        geometry=parameters.geometry(),
    )


def gives(parameters: LowDoseParameters) -> set[str]:
    """What such a measurement has, see ``Scene.gives``."""
    has = {"plane": True, "static_support": True, "object_support": True}
    has |= {"static_region": parameters.static_known, "movie": parameters.frames > 1}
    has |= {"probe_modes": parameters.probe != "plane"}
    return {name for name, there in has.items() if there}


def _placed(block: np.ndarray, window: np.ndarray, offset: tuple[int, int]) -> np.ndarray:
    whole = np.zeros((*block.shape[:-2], *window.shape), np.complex128)
    whole[(..., *central_slices(window.shape, block.shape[-2:], offset))] = block
    return whole * window


def _probe(parameters: LowDoseParameters) -> np.ndarray | None:
    """Amplitude of the illumination, 1 at its peak; None for a plane wave."""
    if parameters.probe == "plane":
        return None
    axis = np.arange(parameters.size) - parameters.size // 2
    shape = np.exp(-(axis**2) / (2 * (parameters.probe_sigma_px or parameters.sample_px) ** 2))
    return shape[:, None] * shape


def _energy(wave: np.ndarray, probe: np.ndarray | None) -> float:
    return float(np.sum(np.abs(wave if probe is None else wave * probe) ** 2))


def _incident(parameters: LowDoseParameters, sample: float, static: float) -> tuple[float, float]:
    """Photons that fall on a pixel of the sample, and of the static structure.

    ``sample``, ``static``: what each puts on the detector for one photon per pixel, sum |x|^2.
    """
    if parameters.dose_sample_per_um2 is not None:
        on_sample = photons_per_pixel(parameters.dose_sample_per_um2, parameters.object_pixel_m)
    else:
        per_pixel = parameters.sample_photons_per_pixel or DEFAULT_PHOTONS_PER_PIXEL
        on_sample = per_pixel * parameters.size**2 / sample
    if parameters.amplitude_ratio is not None:
        on_static = on_sample / parameters.amplitude_ratio**2
    else:
        on_static = photons_per_pixel(parameters.dose_static_per_um2, parameters.object_pixel_m)
    if not parameters.photons:
        return on_sample, on_static
    if not parameters.sample_is_fixed:
        scale = parameters.photons / (on_sample * sample + on_static * static)
        return on_sample * scale, on_static * scale
    if on_sample * sample >= parameters.photons:
        needed = f"{on_sample * sample:.4g} photons from the sample alone"
        raise InputError(f"photons {parameters.photons:g} in all leave none for the static structure: {needed}")
    return on_sample, (parameters.photons - on_sample * sample) / static


def _numbers(parameters, on_sample: float, on_static: float, sample: float, static: float) -> dict[str, float]:
    """All descriptions of the light, by the names of ``LIGHT``."""
    area_um2 = photons_per_pixel(1.0, parameters.object_pixel_m)
    gray = dose_gray(on_sample / area_um2, parameters.energy_ev, parameters.mass_attenuation_cm2_g)
    values = (
        sample / parameters.size**2,
        on_sample,
        on_static,
        sample + static,
        sample,
        float(np.sqrt(on_sample / on_static)),
        on_sample / area_um2,
        on_static / area_um2,
        gray,
    )
    return dict(zip(LIGHT, values, strict=True))
