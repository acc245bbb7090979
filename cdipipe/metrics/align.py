"""Undo what a diffraction pattern cannot know: shift, twin, global phase, and on request scale and phase ramp.

Two objects that explain one pattern equally well may differ by a shift, by the twin conj(u(-x)) and by a constant
phase; a pattern whose centre lies between pixels adds a phase ramp. Objects are compared only after this is undone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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
    if ramp:
        return _align_with_ramp(reference, moving, twin, upsample if subpixel else 1, upsample, scale)
    return align_many(reference[None], moving[None], twin=twin, subpixel=subpixel, scale=scale, upsample=upsample)[0]


def align_many(
    references: np.ndarray,
    moving: np.ndarray,
    *,
    twin: bool = True,
    subpixel: bool = True,
    scale: bool = False,
    upsample: int = 100,
) -> list[AlignedObject]:
    """Lay each object of a batch over its own reference, as :func:`align_to` does one.

    Parameters
    ----------
    references, moving : (B, H, W) or (B, D, H, W) complex or real, centred at ``N // 2``
    twin, subpixel, scale, upsample : as of :func:`align_to`

    Returns
    -------
    list of B AlignedObject

    Raises
    ------
    ValueError   the shapes differ
    """
    if references.shape != moving.shape:
        raise ValueError(f"cannot align shape {moving.shape} to {references.shape}")
    targets, movable = _complex_array(references), _complex_array(moving)
    shifts, twins = _best_shifts(_spectra(targets), _spectra(movable), twin, upsample if subpixel else 1)
    return [
        _finished(target, _shifted(_twin(item) if is_twin else item, shift), original, shift, is_twin, None, scale)
        for target, item, original, shift, is_twin in zip(targets, movable, moving, shifts, twins, strict=True)
    ]


def _align_with_ramp(reference, moving, twin, fineness, upsample, scale) -> AlignedObject:
    target, movable = _complex_array(reference), _complex_array(moving)
    spectra = _spectra(target[None])
    slope = _ramp_from_patterns(spectra[0], movable, upsample)
    shifts, twins = _best_shifts(spectra, _spectra((movable * _ramp_factor(movable, slope))[None]), twin, fineness)
    laid = _shifted(_twin(movable) if twins[0] else movable, shifts[0])
    slope = _sharpen_ramp(target, laid, slope, upsample)
    return _finished(target, laid * _ramp_factor(laid, slope), moving, shifts[0], twins[0], slope, scale)


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


def lay_over(reference: np.ndarray, moving: np.ndarray, freedom: str, twin: bool = True) -> np.ndarray:
    """The moving object where the reference lies, as far as its pattern leaves that open.

    Parameters
    ----------
    reference, moving : (*grid) complex, of one shape
    freedom : ``shift`` (and twin and phase), ``phase`` or ``none``, see ``ForwardModel.freedom``
    twin : whether the twin may be taken, too

    Returns
    -------
    (*grid), dtype of ``moving``
    """
    if freedom == "none":
        return moving
    if freedom == "phase":
        return (moving * np.exp(1j * np.angle(np.vdot(moving, reference)))).astype(moving.dtype)
    return align_to(reference, moving, twin=twin).object


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


def _spectra(arrays: np.ndarray) -> np.ndarray:
    from scipy import fft  # loads much: only what is compared waits for it

    return fft.fftn(arrays, axes=range(1, arrays.ndim), norm="ortho")


def _twin(array: np.ndarray) -> np.ndarray:
    return np.roll(np.flip(array).conj(), [1 - size % 2 for size in array.shape], tuple(range(array.ndim)))


def _best_shifts(spectra: np.ndarray, others: np.ndarray, twin: bool, upsample: int):
    """Shift of greatest correlation of each pair, and whether it belongs to the twin."""
    shifts, heights = _peaks(spectra * others.conj(), upsample)
    if not twin:
        return shifts, [False] * len(shifts)
    # conj(F) belongs to the twin about index 0; the twin about N // 2 lies 2 (N // 2) further
    mirrored, mirrored_heights = _peaks(spectra * others, upsample)
    twins = [bool(other > height) for other, height in zip(mirrored_heights, heights, strict=True)]
    back = [
        tuple(_wrap(s - 2 * (n // 2), n) for s, n in zip(shift, spectra.shape[1:], strict=True)) for shift in mirrored
    ]
    return [other if is_twin else own for own, other, is_twin in zip(shifts, back, twins, strict=True)], twins


def _peaks(cross: np.ndarray, upsample: int) -> tuple[list[tuple[float, ...]], np.ndarray]:
    """Place (px) and height of the greatest modulus of the inverse transforms (B, ...) of ``cross`` (FFT order)."""
    from scipy import fft

    grid = cross.shape[1:]
    surfaces = np.abs(fft.ifftn(cross, axes=range(1, cross.ndim), norm="ortho")).reshape(len(cross), -1)
    best = surfaces.argmax(1)
    places = np.stack(np.unravel_index(best, grid), 1)
    shifts = np.array([[_wrap(float(p), n) for p, n in zip(place, grid, strict=True)] for place in places])
    heights = np.take_along_axis(surfaces, best[:, None], 1)[:, 0]
    if upsample > 1:
        shifts, heights = _refine_twice(cross.astype(np.complex128), shifts, upsample)
        wrapped = [[_wrap(s, n) for s, n in zip(shift, grid, strict=True)] for shift in shifts]
        shifts = np.array([[round(s * upsample) / upsample for s in shift] for shift in wrapped])
    return [tuple(float(s) for s in shift) for shift in shifts], heights


def _refine_twice(cross: np.ndarray, shifts: np.ndarray, upsample: int):
    first = max(COARSE_STEP_PX, 1 / upsample)
    shifts, heights = _refine(cross, shifts, 0.7, first)
    if first > 1 / upsample:
        shifts, heights = _refine(cross, shifts, first, 1 / upsample)
    return shifts, heights


def _refine(cross: np.ndarray, shifts: np.ndarray, half_width_px: float, step_px: float):
    """Greatest modulus of the inverse DFTs (B, ...) on a fine grid around ``shifts`` (B, ndim), axis after axis."""
    count = round(half_width_px / step_px)
    offsets = np.arange(-count, count + 1) * step_px
    window = cross
    for axis, size in enumerate(cross.shape[1:]):
        places = shifts[:, axis, None] + offsets
        kernel = np.exp(2j * np.pi * np.fft.fftfreq(size)[:, None] * places[:, None])
        # the axis to transform is the first one, and goes to the back
        flat = np.moveaxis(window, 1, -1).reshape(len(cross), -1, size)
        window = (flat @ kernel).reshape(len(cross), *window.shape[2:], len(offsets))
    heights = np.abs(window).reshape(len(cross), -1) / (cross[0].size) ** 0.5
    best = heights.argmax(1)
    found = np.stack(np.unravel_index(best, (len(offsets),) * (cross.ndim - 1)), 1)
    return shifts + offsets[found], heights.max(1)


def _wrap(shift: float, size: int) -> float:
    return shift - size * math.floor(shift / size + 0.5)


def _shifted(array: np.ndarray, shift: tuple[float, ...]) -> np.ndarray:
    from scipy import fft

    whole = [round(s) for s in shift]
    rest = [s - w for s, w in zip(shift, whole, strict=True)]
    rolled = np.roll(array, whole, tuple(range(array.ndim)))
    if not any(rest):
        return rolled
    cycles = sum(_along(np.fft.fftfreq(size) * s, axis, array.ndim) for axis, (size, s) in _axes(array, rest))
    return fft.ifftn(fft.fftn(rolled) * np.exp(-2j * np.pi * cycles).astype(array.dtype))


def _axes(array: np.ndarray, values):
    return enumerate(zip(array.shape, values, strict=True))


def _along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Values of one axis, shaped to broadcast over a grid of ``ndim`` axes."""
    return values.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _ramp_from_patterns(spectrum: np.ndarray, moving: np.ndarray, upsample: int) -> tuple[float, ...]:
    """Ramp (rad / px) that centres the pattern of ``moving`` on the other; shift, twin and phase do not matter."""
    powers = np.abs(np.stack([spectrum, _spectra(moving[None])[0]])) ** 2
    there, here = _spectra(powers)
    pattern_shifts, _ = _peaks((there * here.conj())[None], upsample)
    return tuple(2 * np.pi * s / n for s, n in zip(pattern_shifts[0], moving.shape, strict=True))


def _sharpen_ramp(target: np.ndarray, laid: np.ndarray, slope: tuple[float, ...], upsample: int):
    """Ramp of greatest correlation near ``slope``: the peak of the transform of target conj(laid) beside it."""
    product = np.fft.ifftshift((target * laid.conj()).conj()).astype(np.complex128)
    start = np.array([a * n / (2 * np.pi) for a, n in zip(slope, laid.shape, strict=True)])
    found, _ = _refine_twice(product[None], start[None], upsample)
    return tuple(2 * np.pi * s / n for s, n in zip(found[0], laid.shape, strict=True))


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
        ramp=(0.0,) * laid.ndim if slope is None else tuple(float(a) for a in slope),
        scale=float(factor),
        correlation=correlation(target, laid),
    )
