"""From files of any format to a Measurement: stack, correct, mask, bin, centre, crop and fill, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.counts import check_usable
from cdipipe.io.importing import detector, window
from cdipipe.io.importing.detector import Frames
from cdipipe.io.importing.formats import LoadedPatterns, load_patterns, read_array, read_mask
from cdipipe.io.importing.probes import fit_probe_modes
from cdipipe.measurement import Geometry, Measurement, Stack


@dataclass(frozen=True)
class ImportOptions:
    """What ``cdipipe import`` may be told; None and False leave things as they are.

    Parameters
    ----------
    stack : meaning of the first axis of a 3D array
    dataset : name of the array inside npz, mat and HDF5 files
    axes : the stack axis, or the whole order of the file's axes
    frames : which of the first axis to take: a number or first:last:step, as Python counts
    mask, mask_bad : file (``FILE::KEY``) with nonzero = measured, or with ``mask_bad`` nonzero = bad
    corner : the zero frequency is at index 0
    amplitude : values are square roots of counts
    saturation, threshold : counts; at least this is masked, below this is set to 0
    dark, whitefield, roi : correction files, and row and column of the frames on them
    bin : block sizes (one for both detector axes, or one per axis)
    crop : size of the result (one number for both detector axes, or one per axis)
    centre : ``peak``, ``middle``, ``file`` (where a CXI file says it is) or the indices (after binning) that go to
        ``N // 2`` when cropping
    friedel : give unmeasured pixels the counts of their centrosymmetric mates, last of all
    probe : file (``FILE::KEY``) of the probe modes, on the grid of the result
    exposure_s : exposure of one frame, if the probe is given per second
    frame_interval_s : time between the frames of a movie
    """

    stack: Stack | None = None
    dataset: str | None = None
    axes: tuple[int, ...] | None = None
    frames: str | None = None
    mask: str | None = None
    mask_bad: bool = False
    corner: bool = False
    amplitude: bool = False
    saturation: float | None = None
    threshold: float | None = None
    dark: str | None = None
    whitefield: str | None = None
    roi: tuple[int, int] = (0, 0)
    bin: tuple[int, ...] | None = None
    crop: tuple[int, ...] | None = None
    centre: str | tuple[int, ...] = "peak"
    friedel: bool = False
    probe: str | None = None
    exposure_s: float | None = None
    frame_interval_s: float | None = None
    geometry: Geometry = field(default_factory=Geometry)


def _join(files: Sequence[str | Path], dataset: str | None) -> LoadedPatterns:
    """Load the files; several are stacked (2D) or put one after another (3D) in the order given."""
    from cdipipe.progress import progress

    loaded = [load_patterns(file, dataset) for file in (progress(files, "reading") if len(files) > 1 else files)]
    if len(loaded) == 1:
        return loaded[0]
    arrays = [np.squeeze(part.values) for part in loaded]
    for file, array in zip(files, arrays, strict=True):
        if array.ndim not in (2, 3) or array.shape[-2:] != arrays[0].shape[-2:] or array.ndim != arrays[0].ndim:
            raise InputError(
                f"{file}: shape {array.shape} does not go with {arrays[0].shape} of {files[0]}; "
                "several files must hold patterns of one shape"
            )
    measured = loaded[0].measured
    if any(part.measured is not None for part in loaded):
        measured = np.stack([_full_mask(part) for part in loaded])
        measured = measured if arrays[0].ndim == 2 else np.concatenate(list(measured))
    values = np.stack(arrays) if arrays[0].ndim == 2 else np.concatenate(arrays)
    return replace(loaded[0], values=values, measured=measured, stack=loaded[0].stack if arrays[0].ndim == 3 else None)


def _full_mask(part: LoadedPatterns) -> np.ndarray:
    shape = np.squeeze(part.values).shape
    return np.ones(shape, bool) if part.measured is None else np.broadcast_to(part.measured, shape)


def _arrange(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """Put the axes into the order (stack, H, W) and drop those of length 1."""
    if axes is not None:
        if len(axes) not in (1, array.ndim) or any(not -array.ndim <= axis < array.ndim for axis in axes):
            raise InputError(f"--axis {','.join(map(str, axes))}: does not fit an array of shape {array.shape}")
        order = tuple(axis % array.ndim for axis in axes)
        if len(order) == array.ndim and len(set(order)) != array.ndim:
            raise InputError(f"--axis {','.join(map(str, axes))}: names an axis twice")
        array = np.moveaxis(array, order[0], 0) if len(order) == 1 else array.transpose(order)
    return np.squeeze(array)


def choose_frames(wanted: str | None, shape: tuple[int, ...]):
    """What ``--frames`` picks of an array's first axis: ``48`` one frame, ``40:60:5`` every fifth of these."""
    if wanted is None:
        return ...
    try:
        numbers = [int(part) if part else None for part in wanted.split(":")]
        chosen = slice(*numbers) if len(numbers) > 1 else numbers[0]
        found = np.arange(shape[0])[chosen]
    except (ValueError, TypeError, IndexError):
        raise InputError(f"--frames {wanted}: expected a frame such as 48, or first:last:step, of {shape[0]}") from None
    if len(shape) != 3 or found.size == 0:
        raise InputError(f"--frames {wanted}: picks nothing from an array of shape {shape}")
    return chosen


def choose_stack(shape: tuple[int, ...], stack: Stack | None, where: str) -> Stack:
    """Meaning of the first axis for an array of this shape, or an InputError that says what to give."""
    if len(shape) == 2:
        if stack == "volume":
            raise InputError(f"{where}: one 2D pattern of shape {shape} is not a volume")
        return stack or "single"
    if len(shape) != 3:
        raise InputError(f"{where}: patterns have 2 or 3 axes; got shape {shape} (axes of length 1 are dropped)")
    if stack in (None, "single"):
        raise InputError(
            f"{where}: shape {shape} has three axes; say what the first is: --stack shots, movie or volume"
        )
    return stack


def _fit_mask(mask: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...] | None, rank: int) -> np.ndarray:
    mask = _arrange(mask, axes if mask.ndim == rank else None)
    if mask.shape not in (shape, shape[-2:]):
        raise InputError(f"mask of shape {mask.shape} does not fit patterns {shape}; allowed: {shape[-2:]} or {shape}")
    return mask


def _load_frames(
    files: Sequence[str | Path], options: ImportOptions
) -> tuple[Frames, Stack, Geometry, bool, tuple[int, ...] | None]:
    loaded = _join(files, options.dataset)
    rank = loaded.values.ndim
    values = _arrange(loaded.values, options.axes)
    whole = values.shape
    chosen = choose_frames(options.frames, whole)
    values = values[chosen]
    stack = choose_stack(values.shape, options.stack or (loaded.stack if values.ndim == 3 else None), str(files[0]))
    with np.errstate(over="ignore", invalid="ignore"):
        counts = np.array(values, dtype=np.float32, order="C")
    frames = Frames(counts, np.ones(counts.shape, dtype=bool))
    masks = {} if loaded.measured is None else {"file_mask": loaded.measured}
    if options.mask is not None:
        masks["mask"] = read_mask(options.mask, options.mask_bad)
    for reason, mask in masks.items():
        mask = _fit_mask(mask, whole, options.axes, rank)
        frames.mask(~(mask[chosen] if mask.shape == whole else mask), reason)
    if counts.ndim == 2 and stack != "single":
        frames = Frames(frames.counts[None], frames.measured[None], frames.masked)
    return frames, stack, loaded.geometry, loaded.keep_negative, loaded.centre


def _correct(frames: Frames, options: ImportOptions, keep_negative: bool) -> np.ndarray | None:
    """Masks and detector corrections in place; returns the saturated pixels."""
    detector.mask_unphysical(frames, keep_negative)
    if options.amplitude:
        np.square(frames.counts, out=frames.counts)
        detector.mask_unphysical(frames)
    saturated = None if options.saturation is None else detector.mask_saturated(frames, options.saturation)
    for name, correct in (("dark", detector.subtract_dark), ("whitefield", detector.divide_whitefield)):
        if (file := getattr(options, name)) is not None:
            part = detector.cut_region(read_array(file), frames.counts.shape[-2:], options.roi, f"--{name} {file}")
            correct(frames, part)
    if options.threshold is not None:
        detector.cut_low_counts(frames, options.threshold)
    return saturated


def per_axis(numbers: tuple[int, ...], rank: int, fill: tuple[int, ...], option: str) -> tuple[int, ...]:
    """One number per pattern axis: one stands for both detector axes, two for them, ``fill`` for a volume's first."""
    if any(number < 1 for number in numbers):
        raise InputError(f"{option} {','.join(map(str, numbers))}: sizes must be at least 1")
    numbers = numbers * 2 if len(numbers) == 1 else numbers
    if len(numbers) == 2 and rank == 3:
        numbers = (fill[0], *numbers)
    if len(numbers) != rank:
        raise InputError(f"{option} {','.join(map(str, numbers))}: patterns have {rank} axes")
    return numbers


def _centre(frames: Frames, saturated: np.ndarray | None, rank: int, wanted: str | tuple[int, ...]) -> tuple[int, ...]:
    spatial = frames.counts.shape[-rank:]
    if wanted == "middle":
        return tuple(size // 2 for size in spatial)
    if not isinstance(wanted, str):
        centre = wanted if len(wanted) == rank else (spatial[0] // 2, *wanted)
        if len(centre) != rank or any(not 0 <= c < size for c, size in zip(centre, spatial, strict=True)):
            raise InputError(f"--centre {','.join(map(str, wanted))}: not inside patterns of shape {spatial}")
        return centre
    stacked = frames.counts.ndim > rank
    pattern = (frames.counts * frames.measured).sum(0) if stacked else frames.counts * frames.measured
    return window.find_centre(pattern, saturated.any(0) if stacked and saturated is not None else saturated)


def _centre_of_file(centre: tuple[int, ...] | None, options: ImportOptions, where: str) -> tuple[int, ...]:
    """The stored centre's row and column after binning."""
    if centre is None or options.corner or options.axes is not None:
        raise InputError(
            f"{where}: --centre file needs an 'image_center' beside the data, and neither --corner nor --axis"
        )
    bins = (options.bin or (1,))[-2:]
    return tuple(place // size for place, size in zip(centre[-2:], bins * 2 if len(bins) == 1 else bins, strict=True))


def _bin_all(frames: Frames, saturated: np.ndarray | None, geometry: Geometry, factors: tuple[int, ...]) -> tuple:
    if factors[-1] != factors[-2]:
        raise InputError(f"--bin {','.join(map(str, factors))}: the two detector axes must be binned alike")
    if saturated is not None:
        saturated = window.bin_frames(Frames(saturated.astype(np.float32), np.ones_like(saturated)), factors).counts > 0
    return (
        window.bin_frames(frames, factors),
        saturated,
        geometry.binned(factors),
    )


def import_files(files: Sequence[str | Path], options: ImportOptions) -> tuple[Measurement, dict[str, Any]]:
    """Make a measurement of one or several files.

    Returns
    -------
    measurement : Measurement
        Without provenance; the caller knows the command.
    account : dict
        ``photons_read``, ``photons_kept`` (on measured pixels), ``masked`` (pixels by reason), ``centre`` (index, in
        the binned array, of the pixel taken for the zero frequency) and ``centred`` (whether it was moved to N // 2).

    Raises
    ------
    InputError
        The files, a correction or an option do not fit; nothing usable is left.
    """
    frames, stack, in_file, keep_negative, centre_in_file = _load_frames(files, options)
    wanted = options.centre
    if wanted == "file":
        wanted = _centre_of_file(centre_in_file, options, str(files[0]))
    given = {name: value for name, value in vars(options.geometry).items() if value != getattr(Geometry(), name)}
    geometry = replace(in_file, **given)
    rank = 3 if stack == "volume" else 2
    account: dict[str, Any] = {"photons_read": _photons_read(frames.counts, options.amplitude)}
    saturated = _correct(frames, options, keep_negative)
    if options.corner:
        axes = tuple(range(-rank, 0))
        frames = Frames(*(np.fft.fftshift(a, axes) for a in (frames.counts, frames.measured)), frames.masked)
        saturated = None if saturated is None else np.fft.fftshift(saturated, axes)
    if options.bin is not None:
        factors = per_axis(options.bin, rank, (1,), "--bin")
        frames, saturated, geometry = _bin_all(frames, saturated, geometry, factors)
    check_usable(frames.counts, frames.measured, str(files[0]))
    account["centre"] = centre = _centre(frames, saturated, rank, wanted)
    if options.crop is not None:
        size = per_axis(options.crop, rank, frames.counts.shape[-rank:], "--crop")
        frames = window.crop_frames(frames, centre, size)
        check_usable(frames.counts, frames.measured, f"{files[0]} after --crop")
    account["centred"] = options.crop is not None
    if options.friedel:
        account["friedel_filled"] = window.fill_friedel(frames, rank)
    account["masked"] = {reason: count for reason, count in frames.masked.items() if count}
    account["photons_kept"] = _photons(frames.counts * frames.measured)
    return Measurement(
        frames.counts,
        _shared_mask(frames.measured, stack),
        stack,
        geometry,
        probe_modes=fit_probe_modes(options.probe, options.exposure_s, frames.counts.shape[-rank:]),
        frame_times_s=_frame_times_s(options.frame_interval_s, stack, frames.counts.shape[0]),
    ), account


def _frame_times_s(interval_s: float | None, stack: Stack, count: int) -> np.ndarray | None:
    if interval_s is None:
        return None
    if stack != "movie":
        raise InputError(f"--frame-interval-s is for movies; this is a stack of '{stack}'")
    return interval_s * np.arange(count)


def _photons_read(values: np.ndarray, amplitude: bool) -> float:
    counts = np.where(np.isfinite(values) & (values > 0), values, 0)
    return _photons(np.square(counts) if amplitude else counts)


def _photons(counts: np.ndarray) -> float:
    return float(counts.sum(dtype=np.float64))


def _shared_mask(measured: np.ndarray, stack: Stack) -> np.ndarray:
    """One mask for all patterns of a stack where they agree."""
    if stack in ("shots", "movie") and (measured == measured[:1]).all():
        return measured[0]
    return measured
