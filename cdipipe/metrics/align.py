"""Undo what a diffraction pattern cannot know: shift, twin, global phase, and on request scale and phase ramp.

Two objects that explain one pattern equally well may differ by a shift, by the twin conj(u(-x)) and by a constant
phase; a pattern whose centre lies between pixels adds a phase ramp. Objects are compared only after this is undone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.optics import fourier

COARSE_STEP_PX = 0.1
"""First sub-pixel grid; the second has the step 1 / upsample and spans one step of the first to both sides."""


@dataclass(frozen=True)
class AlignedObject:
    """A moving object laid over its reference.

    ``object(x) = scale * exp(i (phase_rad + ramp . (x - N//2))) * shifted(twin(moving))(x)``.

    Parameters
    ----------
    object : complex, shape and dtype of the moving object
    shift_px : (ndim,) tuple of float
        Applied after the twin; positive moves content to higher indices; within -N/2 .. N/2.
    twin : bool, whether conj(u(-x)) was taken
    phase_rad : float, added global phase
    ramp : (ndim,) tuple of float, added phase in rad per pixel
    scale : float, 1 unless asked for
    correlation : float, |sum conj(reference) object| / (|reference| |object|); 0 if one of them is zero
    """

    object: np.ndarray
    shift_px: tuple[float, ...]
    twin: bool
    phase_rad: float
    ramp: tuple[float, ...]
    scale: float
    correlation: float


def align_to(
    reference: np.ndarray,
    moving: np.ndarray,
    *,
    ndim: int | None = None,
    twin: bool = True,
    subpixel: bool = True,
    ramp: bool = False,
    scale: bool = False,
    upsample: int = 100,
) -> AlignedObject:
    """Lay one object over another.

    Parameters
    ----------
    reference, moving : (H, W) or (D, H, W) complex or real, centred at ``N // 2``
    ndim : number of axes, only checked; None takes the reference's
    twin : also try conj(moving(-x)) and keep the candidate of greater \\|correlation\\|
    subpixel : refine the shift to 1 / ``upsample`` pixels, else whole pixels
    ramp : remove a linear phase: first centre \\|F moving\\|^2 on \\|F reference\\|^2, then take the ramp of greatest
        correlation near it. Use where a pattern was not centred to a pixel; off, a ramp counts as a difference.
    scale : multiply by the real factor of least squares, sum Re(conj(m) r) / sum \\|m\\|^2
    upsample : a subpixel shift is found to 1 / ``upsample`` pixels

    Returns
    -------
    AlignedObject

    Raises
    ------
    ValueError   the shapes differ, or do not have ``ndim`` axes

    Notes
    -----
    The shift is the peak of the complex cross-correlation, refined with a matrix-multiplied DFT in double precision.
    A whole-pixel shift is undone by moving pixels, without a transform, and so exactly.

    References
    ----------
    Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33, 156 (2008), doi:10.1364/OL.33.000156
    """
    ndim = reference.ndim if ndim is None else ndim
    if reference.shape != moving.shape or reference.ndim != ndim:
        raise ValueError(f"cannot align shape {moving.shape} to {reference.shape} over {ndim} axes")
    target, movable = _complex_tensor(reference), _complex_tensor(moving)
    spectrum = fourier.forward_corner(target, ndim)
    slope = _ramp_from_patterns(spectrum, movable, upsample) if ramp else (0.0,) * ndim
    straightened = movable * _ramp_factor(movable, slope) if ramp else movable
    shift, is_twin = _best_shift(spectrum, straightened, twin, upsample if subpixel else 1)
    laid = _shifted(_twin(movable) if is_twin else movable, shift)
    if ramp:
        slope = _sharpen_ramp(target, laid, slope, upsample)
        laid = laid * _ramp_factor(laid, slope)
    return _finished(target, laid, moving, shift, is_twin, slope, scale)


def twin_of(array: np.ndarray) -> np.ndarray:
    """conj(u(-x)) about the centre ``N // 2`` of every axis; for even N that is flip and roll by one.

    Parameters
    ----------
    array : (H, W) or (D, H, W), complex or real

    Returns
    -------
    array of the same shape, complex
    """
    return _twin(_complex_tensor(array)).numpy()


def match_phase(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The moving object with the global phase that fits the reference best.

    Parameters
    ----------
    reference, moving : complex arrays of one shape

    Returns
    -------
    array of the shape and dtype of ``moving``
    """
    return (moving * np.exp(1j * np.angle(np.vdot(moving, reference)))).astype(moving.dtype)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """|sum conj(a) b| / (|a| |b|), blind to a global phase and to scale; 0 if one of them is zero everywhere.

    Parameters
    ----------
    first, second : complex or real arrays of one shape

    Returns
    -------
    float, 0 to 1
    """
    one, two = np.asarray(first, np.complex128), np.asarray(second, np.complex128)
    norm = float(np.linalg.norm(one)) * float(np.linalg.norm(two))
    return 0.0 if norm == 0 else min(1.0, float(abs(np.vdot(one, two))) / norm)


def _complex_tensor(array: np.ndarray) -> torch.Tensor:
    wide = array.dtype in (np.complex128, np.float64) or array.dtype.kind in "iub"
    kind = np.complex128 if wide else np.complex64
    # a copy where torch could not share the memory: wrong type, negative strides, read-only
    return torch.from_numpy(np.require(array, dtype=kind, requirements=["C", "W"]))


def _twin(array: torch.Tensor) -> torch.Tensor:
    axes = tuple(range(array.ndim))
    flipped = torch.flip(array, axes).conj().resolve_conj()
    return torch.roll(flipped, [1 - size % 2 for size in array.shape], axes)


def _best_shift(spectrum: torch.Tensor, moving: torch.Tensor, twin: bool, upsample: int):
    """Shift of greatest correlation and whether it belongs to the twin."""
    other = fourier.forward_corner(moving, moving.ndim)
    shift, height = _peak(spectrum * other.conj(), upsample)
    if not twin:
        return shift, False
    # conj(F) belongs to the twin about index 0; the twin about N // 2 lies 2 (N // 2) further
    mirrored, mirrored_height = _peak(spectrum * other, upsample)
    if mirrored_height <= height:
        return shift, False
    extra = (2 * (size // 2) for size in moving.shape)
    return tuple(_wrap(s - e, n) for s, e, n in zip(mirrored, extra, moving.shape, strict=True)), True


def _peak(cross: torch.Tensor, upsample: int) -> tuple[tuple[float, ...], float]:
    """Place (px) and height of the greatest modulus of the inverse transform of ``cross`` (FFT order)."""
    surface = fourier.inverse_corner(cross, cross.ndim).abs()
    place = np.unravel_index(int(surface.argmax()), surface.shape)
    shift = tuple(_wrap(float(p), n) for p, n in zip(place, cross.shape, strict=True))
    height = float(surface[tuple(int(p) for p in place)])
    if upsample <= 1:
        return shift, height
    shift, height = _refine_twice(cross.to(torch.complex128), shift, upsample)
    return tuple(round(_wrap(s, n) * upsample) / upsample for s, n in zip(shift, cross.shape, strict=True)), height


def _refine_twice(cross: torch.Tensor, shift: tuple[float, ...], upsample: int):
    first = max(COARSE_STEP_PX, 1 / upsample)
    shift, height = _refine(cross, shift, 0.7, first)
    if first > 1 / upsample:
        shift, height = _refine(cross, shift, first, 1 / upsample)
    return shift, height


def _refine(cross: torch.Tensor, shift: tuple[float, ...], half_width_px: float, step_px: float):
    """Greatest modulus of the inverse DFT on a fine grid around ``shift``, one axis after the other."""
    count = round(half_width_px / step_px)
    offsets = torch.arange(-count, count + 1, dtype=torch.float64) * step_px
    window = cross
    for size, start in zip(cross.shape, shift, strict=True):
        frequencies = fourier.frequencies_corner((size,))[0].to(torch.float64) / size
        kernel = torch.exp(2j * torch.pi * torch.outer(frequencies, start + offsets))
        window = torch.tensordot(window, kernel, dims=([0], [0]))  # the transformed axis goes to the back
    window = window.abs() / cross.numel() ** 0.5
    place = np.unravel_index(int(window.argmax()), window.shape)
    refined = tuple(start + float(offsets[int(p)]) for start, p in zip(shift, place, strict=True))
    return refined, float(window.max())


def _wrap(shift: float, size: int) -> float:
    return shift - size * math.floor(shift / size + 0.5)


def _shifted(array: torch.Tensor, shift: tuple[float, ...]) -> torch.Tensor:
    whole = [round(s) for s in shift]
    rest = tuple(s - w for s, w in zip(shift, whole, strict=True))
    rolled = torch.roll(array, whole, tuple(range(array.ndim)))
    return fourier.shift_subpixel(rolled, rest).to(array.dtype) if any(rest) else rolled


def _ramp_from_patterns(spectrum: torch.Tensor, moving: torch.Tensor, upsample: int) -> tuple[float, ...]:
    """Ramp (rad / px) that centres the pattern of ``moving`` on the other; shift, twin and phase do not matter."""
    ndim = moving.ndim
    there = fourier.forward_corner(spectrum.abs().square().to(spectrum.dtype), ndim)
    here = fourier.forward_corner(fourier.forward_corner(moving, ndim).abs().square().to(moving.dtype), ndim)
    pattern_shift, _ = _peak(there * here.conj(), upsample)
    return tuple(2 * np.pi * s / n for s, n in zip(pattern_shift, moving.shape, strict=True))


def _sharpen_ramp(target: torch.Tensor, laid: torch.Tensor, slope: tuple[float, ...], upsample: int):
    """Ramp of greatest correlation near ``slope``: the peak of the transform of target conj(laid) beside it."""
    product = fourier.to_corner((target * laid.conj()).conj(), laid.ndim).to(torch.complex128)
    start = tuple(a * n / (2 * np.pi) for a, n in zip(slope, laid.shape, strict=True))
    found, _ = _refine_twice(product, start, upsample)
    return tuple(2 * np.pi * s / n for s, n in zip(found, laid.shape, strict=True))


def _ramp_factor(like: torch.Tensor, slope: tuple[float, ...]) -> torch.Tensor:
    phase = torch.zeros(1, dtype=torch.float64)
    for axis, (size, rise) in enumerate(zip(like.shape, slope, strict=True)):
        view = [size if i == axis else 1 for i in range(like.ndim)]
        phase = phase + rise * (torch.arange(size, dtype=torch.float64) - size // 2).reshape(view)
    return torch.exp(1j * phase).to(like.dtype)


def _finished(target, laid, moving, shift, is_twin, slope, scale) -> AlignedObject:
    fixed, free = target.numpy(), laid.numpy()
    overlap = complex(np.vdot(free, fixed))
    phase = float(np.angle(overlap))
    power = float(np.vdot(free, free).real)
    factor = abs(overlap) / power if scale and power > 0 else 1.0
    kind = moving.dtype if moving.dtype.kind == "c" else free.dtype
    return AlignedObject(
        object=(free * (factor * np.exp(1j * phase))).astype(kind),
        shift_px=tuple(float(s) for s in shift),
        twin=is_twin,
        phase_rad=phase,
        ramp=tuple(float(a) for a in slope),
        scale=float(factor),
        correlation=correlation(fixed, free),
    )
