"""Undo what a diffraction pattern cannot know: shift, twin, global phase, and on request scale and phase ramp.

Two objects that explain one pattern equally well may differ by a shift, by the twin conj(u(-x)) and by a constant
phase; a pattern whose centre lies between pixels adds a phase ramp. Objects are compared only after this is undone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

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
    target, movable = _complex_array(reference), _complex_array(moving)
    spectrum = _spectrum(target)
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
    return _twin(_complex_array(array))


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


def _complex_array(array: np.ndarray) -> np.ndarray:
    wide = array.dtype in (np.complex128, np.float64) or array.dtype.kind in "iub"
    return np.asarray(array, np.complex128 if wide else np.complex64)


def _spectrum(array: np.ndarray) -> np.ndarray:
    return fft.fftn(array, norm="ortho")


def _twin(array: np.ndarray) -> np.ndarray:
    return np.roll(np.flip(array).conj(), [1 - size % 2 for size in array.shape], tuple(range(array.ndim)))


def _best_shift(spectrum: np.ndarray, moving: np.ndarray, twin: bool, upsample: int):
    """Shift of greatest correlation and whether it belongs to the twin."""
    other = _spectrum(moving)
    shift, height = _peak(spectrum * other.conj(), upsample)
    if not twin:
        return shift, False
    # conj(F) belongs to the twin about index 0; the twin about N // 2 lies 2 (N // 2) further
    mirrored, mirrored_height = _peak(spectrum * other, upsample)
    if mirrored_height <= height:
        return shift, False
    extra = (2 * (size // 2) for size in moving.shape)
    return tuple(_wrap(s - e, n) for s, e, n in zip(mirrored, extra, moving.shape, strict=True)), True


def _peak(cross: np.ndarray, upsample: int) -> tuple[tuple[float, ...], float]:
    """Place (px) and height of the greatest modulus of the inverse transform of ``cross`` (FFT order)."""
    surface = np.abs(fft.ifftn(cross, norm="ortho"))
    place = np.unravel_index(int(surface.argmax()), surface.shape)
    shift = tuple(_wrap(float(p), n) for p, n in zip(place, cross.shape, strict=True))
    height = float(surface[place])
    if upsample <= 1:
        return shift, height
    shift, height = _refine_twice(cross.astype(np.complex128), shift, upsample)
    return tuple(round(_wrap(s, n) * upsample) / upsample for s, n in zip(shift, cross.shape, strict=True)), height


def _refine_twice(cross: np.ndarray, shift: tuple[float, ...], upsample: int):
    first = max(COARSE_STEP_PX, 1 / upsample)
    shift, height = _refine(cross, shift, 0.7, first)
    if first > 1 / upsample:
        shift, height = _refine(cross, shift, first, 1 / upsample)
    return shift, height


def _refine(cross: np.ndarray, shift: tuple[float, ...], half_width_px: float, step_px: float):
    """Greatest modulus of the inverse DFT on a fine grid around ``shift``, one axis after the other."""
    count = round(half_width_px / step_px)
    offsets = np.arange(-count, count + 1) * step_px
    window = cross
    for size, start in zip(cross.shape, shift, strict=True):
        kernel = np.exp(2j * np.pi * np.outer(fft.fftfreq(size), start + offsets))
        window = np.tensordot(window, kernel, axes=([0], [0]))  # the transformed axis goes to the back
    heights = np.abs(window) / cross.size**0.5
    place = np.unravel_index(int(heights.argmax()), heights.shape)
    refined = tuple(start + float(offsets[int(p)]) for start, p in zip(shift, place, strict=True))
    return refined, float(heights.max())


def _wrap(shift: float, size: int) -> float:
    return shift - size * math.floor(shift / size + 0.5)


def _shifted(array: np.ndarray, shift: tuple[float, ...]) -> np.ndarray:
    whole = [round(s) for s in shift]
    rest = [s - w for s, w in zip(shift, whole, strict=True)]
    rolled = np.roll(array, whole, tuple(range(array.ndim)))
    if not any(rest):
        return rolled
    cycles = sum(_along(fft.fftfreq(size) * s, axis, array.ndim) for axis, (size, s) in _axes(array, rest))
    return fft.ifftn(fft.fftn(rolled) * np.exp(-2j * np.pi * cycles).astype(array.dtype))


def _axes(array: np.ndarray, values):
    return enumerate(zip(array.shape, values, strict=True))


def _along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Values of one axis, shaped to broadcast over a grid of ``ndim`` axes."""
    return values.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _ramp_from_patterns(spectrum: np.ndarray, moving: np.ndarray, upsample: int) -> tuple[float, ...]:
    """Ramp (rad / px) that centres the pattern of ``moving`` on the other; shift, twin and phase do not matter."""
    there, here = _spectrum(np.abs(spectrum) ** 2), _spectrum(np.abs(_spectrum(moving)) ** 2)
    pattern_shift, _ = _peak(there * here.conj(), upsample)
    return tuple(2 * np.pi * s / n for s, n in zip(pattern_shift, moving.shape, strict=True))


def _sharpen_ramp(target: np.ndarray, laid: np.ndarray, slope: tuple[float, ...], upsample: int):
    """Ramp of greatest correlation near ``slope``: the peak of the transform of target conj(laid) beside it."""
    product = fft.ifftshift((target * laid.conj()).conj()).astype(np.complex128)
    start = tuple(a * n / (2 * np.pi) for a, n in zip(slope, laid.shape, strict=True))
    found, _ = _refine_twice(product, start, upsample)
    return tuple(2 * np.pi * s / n for s, n in zip(found, laid.shape, strict=True))


def _ramp_factor(like: np.ndarray, slope: tuple[float, ...]) -> np.ndarray:
    rises = (_along(rise * (np.arange(size) - size // 2), axis, like.ndim) for axis, (size, rise) in _axes(like, slope))
    return np.exp(1j * sum(rises)).astype(like.dtype)


def _finished(target, laid, moving, shift, is_twin, slope, scale) -> AlignedObject:
    overlap = complex(np.vdot(laid, target))
    phase = float(np.angle(overlap))
    power = float(np.vdot(laid, laid).real)
    factor = abs(overlap) / power if scale and power > 0 else 1.0
    kind = moving.dtype if moving.dtype.kind == "c" else laid.dtype
    return AlignedObject(
        object=(laid * (factor * np.exp(1j * phase))).astype(kind),
        shift_px=tuple(float(s) for s in shift),
        twin=is_twin,
        phase_rad=phase,
        ramp=tuple(float(a) for a in slope),
        scale=float(factor),
        correlation=correlation(target, laid),
    )
