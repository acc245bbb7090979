"""What was measured and what was made of it. Plain frozen records, numpy only.

Arrays follow the public convention everywhere: zero frequency and object centre at index ``N // 2``,
``(..., H, W)`` for patterns and ``(..., D, H, W)`` for volumes; shots, frames and modes in front.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import PLANCK_TIMES_C_EV_M, Geometry

__all__ = ["PLANCK_TIMES_C_EV_M", "Geometry", "Measurement", "Reconstruction", "Stack", "Truth"]

Stack = Literal["single", "shots", "movie", "volume"]


class Shown:
    """What a notebook shows of a record: its line and a picture, drawn by ``cdipipe.api``."""

    def _repr_html_(self) -> str:
        import importlib

        return importlib.import_module("cdipipe.api").html_of(self)  # whoever draws stands above the records


def _shown_geometry(record: Measurement | Truth | Reconstruction, shape: tuple[int, ...]) -> str:
    """Energy, distance, pixels and the object's pixels as far as they are known, after a comma."""
    g = record.geometry
    pixels = dict.fromkeys(pixel for pixel in (g.pixel_y_m, g.pixel_x_m) if pixel is not None)
    parts = [
        f"{g.energy_ev / 1e3:.4g} keV" if g.energy_ev is not None else "",
        f"{g.distance_m:.4g} m" if g.distance_m is not None else "",
        "detector pixel " + " x ".join(f"{pixel * 1e6:.4g}" for pixel in pixels) + " um" if pixels else "",
        f"rocking curve of {g.scan.motor}" if g.scan is not None else "",
    ]
    lengths = g.object_pixels_m(shape)
    if lengths is not None:
        parts.append("object pixel " + " x ".join(dict.fromkeys(f"{x * 1e9:.4g}" for x in lengths)) + " nm")
    known = [part for part in parts if part]
    return ", " + ", ".join(known) if known else ", no geometry"


@dataclass(frozen=True, repr=False)
class Measurement(Shown):
    """Photon counts on a detector, and which of its pixels can be trusted.

    Parameters
    ----------
    intensity : (..., H, W) float32
        Photons (background or read noise may make values negative), zero frequency at ``N // 2``.
    measured : bool, the shape of one pattern or of ``intensity``
        True: the pixel was measured and can be trusted.
    stack : what the first axis means
        ``single``: there is none, (H, W); ``shots``: independent patterns (N, H, W);
        ``movie``: frames in time (T, H, W); ``volume``: one 3D pattern (D, H, W).
    geometry : Geometry
    probe_modes : (M, H, W) complex64, optional
        Incoherent illumination modes on the object grid; a Fresnel chirp is part of them.
    static_region : (H, W) complex64, optional; (N, H, W) where it differs between shots
        Known structure beside the sample, on the scale of the photons; the patterns are of both together.
    static_support : bool, shape of ``static_region``; None: where that is not zero
        May be given without ``static_region``: a structure of known place and unknown content.
    object_support : (H, W) bool, optional; (N, H, W) where it differs between shots
        Support of the object (of the sample alone beside a static region) that was known before the experiment.
    frame_times_s : (T,) float64, optional
        When each frame of a movie was taken; increasing.
    provenance : dict
        How the file came to be; written into every file.
    """

    intensity: np.ndarray
    measured: np.ndarray
    stack: Stack = "single"
    geometry: Geometry = field(default_factory=Geometry)
    probe_modes: np.ndarray | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    static_region: np.ndarray | None = None
    static_support: np.ndarray | None = None
    frame_times_s: np.ndarray | None = None
    object_support: np.ndarray | None = None

    def __post_init__(self) -> None:
        rank = 2 if self.stack == "single" else 3
        if self.intensity.ndim != rank:
            raise InputError(f"a measurement of stack '{self.stack}' has {rank} axes; got shape {self.intensity.shape}")
        if self.measured.shape not in (self.intensity.shape, self.pattern_shape):
            raise InputError(
                f"mask of shape {self.measured.shape} does not fit patterns of shape {self.intensity.shape}; "
                f"allowed: {self.pattern_shape} or {self.intensity.shape}"
            )
        self._check_extras()

    def _check_extras(self) -> None:
        shapes = (self.pattern_shape, self.intensity.shape)
        for name in ("static_region", "static_support", "object_support"):
            array = getattr(self, name)
            if array is not None and array.shape not in shapes:
                raise InputError(f"{name} of shape {array.shape} does not fit patterns of shape {self.intensity.shape}")
        self._check_apart()
        if self.probe_modes is not None and self.probe_modes.shape[1:] != self.pattern_shape:
            raise InputError(f"probe_modes {self.probe_modes.shape} do not fit patterns of shape {self.pattern_shape}")
        times = self.frame_times_s
        if times is not None and times.shape != (self.pattern_count,):
            raise InputError(f"frame_times_s has shape {times.shape}; there are {self.pattern_count} frames")
        if times is not None and not (np.diff(times) > 0).all():
            late = int(np.argmin(np.diff(times) > 0)) + 1
            raise InputError(
                f"frame_times_s must increase; frame {late} is at {times[late]:g} s, the one before at "
                f"{times[late - 1]:g} s"
            )

    def _check_apart(self) -> None:
        support, static = self.object_support, self.known_static_support
        if support is not None and static is not None and (shared := int((support & static).sum())):
            raise InputError(f"the static region overlaps the object's support in {shared} pixels; they must be apart")

    def __repr__(self) -> str:
        photons = float(np.where(self.measured, self.intensity, 0).sum(dtype=np.float64)) / self.pattern_count
        each = " each" if self.pattern_count > 1 else ""
        extras = ("probe_modes", "static_region", "static_support", "object_support", "frame_times_s")
        known = "".join(f", {name}" for name in extras if getattr(self, name) is not None)
        return (
            f"Measurement({self.stack} {self.intensity.shape}, {photons:.4g} photons{each}, "
            f"{100 * float(self.measured.mean()):.4g} % measured"
            f"{_shown_geometry(self, self.pattern_shape)}{known})"
        )

    @property
    def known_static_support(self) -> np.ndarray | None:
        """Where the static structure is: as given, or where the static region is not zero; None without one."""
        if self.static_support is not None or self.static_region is None:
            return self.static_support
        return self.static_region != 0

    @property
    def pattern_shape(self) -> tuple[int, ...]:
        """Shape of one pattern: (H, W), or (D, H, W) of a volume."""
        return self.intensity.shape[1:] if self.stack in ("shots", "movie") else self.intensity.shape

    @property
    def pattern_count(self) -> int:
        """Patterns in the stack; 1 for one pattern or volume."""
        return self.intensity.shape[0] if self.stack in ("shots", "movie") else 1

    def pattern(self, index: int) -> Measurement:
        """One pattern of a stack as a measurement of its own (``single``); others return themselves.

        Parameters
        ----------
        index : of the pattern, from 0

        Raises
        ------
        IndexError   the stack has no such pattern
        """
        if self.stack not in ("shots", "movie"):
            return self
        times = None if self.frame_times_s is None else self.frame_times_s[index : index + 1]
        return replace(self, stack="single", frame_times_s=times, **self._arrays_of(index))

    def part(self, some: slice | list[int]) -> Measurement:
        """Some patterns of a stack as a stack; others return themselves.

        Parameters
        ----------
        some : numbers of patterns, from 0; of a slice nothing is copied
        """
        if self.stack not in ("shots", "movie"):
            return self
        times = None if self.frame_times_s is None else self.frame_times_s[some]
        return replace(self, frame_times_s=times, **self._arrays_of(some))

    def _arrays_of(self, some: int | slice | list[int]) -> dict[str, Any]:
        """The counts of some patterns, and all that may differ between patterns, by name."""
        own = ("measured", "static_region", "static_support", "object_support")
        arrays = {name: getattr(self, name) for name in own}
        arrays = {name: a[some] if a is not None and a.ndim == 3 else a for name, a in arrays.items()}
        return {"intensity": self.intensity[some], **arrays}


@dataclass(frozen=True, repr=False)
class Truth(Shown):
    """A simulated object; only ``simulate`` writes it and only ``evaluate`` reads it.

    ``object`` is the sample alone, without a static region. ``extra`` holds what else the scene knows of it, arrays or
    plain data by name: positions, velocities, residual strain; one entry per sample in front where there are several.
    """

    object: np.ndarray
    support: np.ndarray
    stack: Stack = "single"
    geometry: Geometry = field(default_factory=Geometry)
    provenance: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        shape = self.object.shape[1:] if self.stack in ("shots", "movie") else self.object.shape
        return f"Truth({self.stack} {self.object.shape} complex{_shown_geometry(self, shape)})"


@dataclass(frozen=True, repr=False)
class Reconstruction(Shown):
    """An object that explains a measurement, and everything needed to judge or repeat it.

    Parameters
    ----------
    object : (..., H, W) complex64
        On the measurement's grid, centred at ``N // 2``; sum |object|^2 is in photons (orthonormal FFT).
        The first axis of a stack of shots or frames is kept.
    support : bool, shape of ``object``
    stack : as in Measurement
    method, recipe : name, and the steps with all parameters
    error_trace : (iterations,) or (R, iterations) float32
        R-factor of the iterate of each restart, per iteration.
    runs : (R, ...) complex64, optional
        The independent runs, aligned to ``object``; of shots (R, N, H, W), the runs of every shot best first.
    run_scores : dict of name -> (R,) float arrays, best run first like ``runs``; ``seed`` is the number of the start.
        Of a stack (N,), those of the best run of each pattern.
    free_pixels : bool, optional
        Measured pixels that were withheld from the reconstruction.
    forward : dict
        ``ForwardModel`` as plain data (see ``cdipipe.optics.forward``).
    """

    object: np.ndarray
    support: np.ndarray
    stack: Stack = "single"
    method: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    geometry: Geometry = field(default_factory=Geometry)
    error_trace: np.ndarray | None = None
    runs: np.ndarray | None = None
    run_scores: dict[str, np.ndarray] = field(default_factory=dict)
    free_pixels: np.ndarray | None = None
    forward: dict[str, Any] = field(default_factory=lambda: {"kind": "far_field"})
    modes: np.ndarray | None = None
    mode_weights: np.ndarray | None = None
    seconds: float | None = None
    device: str = "cpu"
    backend: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def choice(self) -> dict[str, Any] | None:
        """What a method that chooses among others tells: ``chosen``, ``because`` and more; None of other methods."""
        told = (value for value in self.recipe.values() if isinstance(value, dict))
        return next((value for value in told if "because" in value), None)

    def __repr__(self) -> str:
        shape = self.object.shape[1:] if self.stack in ("shots", "movie") else self.object.shape
        r_factor = self.run_scores.get("r_factor", np.empty(0))
        many = self.stack in ("shots", "movie")
        found = r_factor[np.isfinite(r_factor)] if many else r_factor[:1]
        score = f", {'median ' if many else ''}R-factor {np.median(found):.4f}" if found.size else ""
        starts = "" if many or r_factor.size < 2 else f", best of {r_factor.size} starts"
        took = "" if self.seconds is None else f", {self.seconds:.3g} s"
        return (
            f"Reconstruction({self.method or 'unknown method'}, {self.stack} {self.object.shape} complex{score}"
            f"{starts}{took}{_shown_geometry(self, shape)})"
        )
