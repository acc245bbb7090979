"""Which axes of an array count frames, rows and columns, and what a stack of patterns means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.sources import Order, Stacked
from cdipipe.io.stored import StoredArray
from cdipipe.measurement import Stack

PLAUSIBLE_ASPECT = 4.0
"""A frame that is longer than wide by more is questioned, where counting the last axis would give a squarer one."""


@dataclass(frozen=True)
class Arrangement:
    """An array's axes in the order (frames, rows, columns).

    Parameters
    ----------
    source : the array as a stack (n, H, W)
    lead : sizes of the axes that count frames: none for one pattern, two for a raster
    guess : what was guessed of the order, empty where nothing was
    """

    source: Stacked
    lead: tuple[int, ...]
    guess: str = ""

    @property
    def is_swapped(self) -> bool:
        """Whether rows of the array became columns."""
        return self.source.order.row > self.source.order.column

    def fit(self, mask: np.ndarray, what: str) -> np.ndarray:
        """A mask of one pattern or of all, as (H, W) or (n, H, W). Raises InputError where it is neither."""
        shape, order = self.source.shape, self.source.order
        if mask.ndim == len(self.source.array.shape) and mask.shape == self.source.array.shape:
            rest = [a for a in range(mask.ndim) if a not in (*order.frames, order.row, order.column)]
            mask = mask.transpose(*rest, *order.frames, order.row, order.column).reshape(shape)
        mask = np.squeeze(mask) if mask.shape not in (shape, shape[1:]) else mask
        if mask.shape == self.lead + shape[1:]:
            mask = mask.reshape(shape)
        if mask.shape not in (shape, shape[1:]):
            patterns = self.lead + shape[1:]
            allowed = f"{shape[1:]} or {patterns}" if self.lead else str(shape[1:])
            raise InputError(f"{what} of shape {mask.shape} does not fit patterns {patterns}; allowed: {allowed}")
        return mask


def arrange(array: StoredArray, axis: tuple[int, ...] | None, kind: str = "") -> Arrangement:
    """Put the axes of an array into the order (frames, rows, columns) and drop those of length 1.

    Parameters
    ----------
    axis : ``--axis``: the axis that counts frames, or the whole order of the axes
    kind : format of the file; MATLAB's stacks have their frames last

    Raises
    ------
    InputError   the axes do not fit, there are too few or too many, or it is not clear which of them counts frames
    """
    shape, guess = array.shape, ""
    order = list(range(len(shape))) if axis is None else _wanted_order(shape, axis)
    order = [number for number in order if shape[number] > 1]
    if len(order) < 2:
        raise InputError(f"{array.where}: patterns have 2 or 3 axes; got shape {shape} (axes of length 1 are dropped)")
    if len(order) > 4:
        raise InputError(f"{array.where}: patterns have 2 or 3 axes, rasters 4; got shape {shape}")
    if axis is None and len(order) > 2 and not array.frames_first:
        order, guess = _frames_first(order, shape, kind, array.where)
    *frames, row, column = order
    source = Stacked(array, Order(tuple(frames), row, column))
    return Arrangement(source, source.lead, guess)


def _frames_first(order: list[int], shape: tuple[int, ...], kind: str, where: str) -> tuple[list[int], str]:
    """The axes with those that count frames in front, judged by their sizes; and what was guessed.

    A frame is square more often than not, and longer than wide by less than four. Where both ends of the shape could
    be the frame, the first axis counts frames; in MATLAB's files nothing is taken for granted.
    """
    sizes = [shape[number] for number in order]
    last, first = order[2:] + order[:2], order
    if len(order) == 4:
        if kind == "mat" or min(sizes[:2]) > max(sizes[2:]):
            raise InputError(_ask(shape, order, where))
        return first, f"the last two of its axes {shape} are the pattern"
    if sizes[-2] == sizes[-1] and sizes[0] != sizes[1]:
        return first, ""
    if sizes[0] == sizes[1] and sizes[-2] != sizes[-1]:
        if kind == "mat":
            return last, f"the last of its axes {shape} counts frames, as MATLAB has it; else --axis 0"
        raise InputError(_ask(shape, order, where))
    squarer = _aspect(sizes[-2:]) > max(PLAUSIBLE_ASPECT, 2 * _aspect(sizes[:2]))
    if kind == "mat" or squarer:
        raise InputError(_ask(shape, order, where))
    return first, ""


def _aspect(sizes: list[int]) -> float:
    return max(sizes) / min(sizes)


def _ask(shape: tuple[int, ...], order: list[int], where: str) -> str:
    if len(order) == 3:
        return (
            f"{where}: shape {shape}: which axis counts frames? --axis {order[2]} for the last (as MATLAB has it), "
            f"--axis {order[0]} for the first"
        )
    turned = ",".join(map(str, order[2:] + order[:2]))
    return (
        f"{where}: shape {shape}: which two axes are the pattern? --axis {turned} for the first two, "
        f"--axis {','.join(map(str, order))} for the last two"
    )


def _wanted_order(shape: tuple[int, ...], axis: tuple[int, ...]) -> list[int]:
    rank, text = len(shape), ",".join(map(str, axis))
    if len(axis) not in (1, rank) or any(not -rank <= number < rank for number in axis):
        raise InputError(f"--axis {text}: does not fit an array of shape {shape}")
    order = [number % rank for number in axis]
    if len(order) == rank and len(set(order)) != rank:
        raise InputError(f"--axis {text}: names an axis twice")
    return order if len(order) == rank else [order[0], *(number for number in range(rank) if number != order[0])]


def choose_stack(shape: tuple[int, ...], stack: str | None, where: str) -> Stack:
    """Meaning of the first axis for patterns of this shape, or an InputError that says what to give.

    Parameters
    ----------
    shape : (H, W), (N, H, W), or a raster (rows, columns, H, W)
    stack : ``shots``, ``movie``, ``volume``, ``raster`` (shots in rows and columns) or None
    """
    if len(shape) == 2:
        if stack in ("volume", "raster"):
            raise InputError(f"{where}: one 2D pattern of shape {shape} is not a {stack}")
        return stack or "single"
    if stack in (None, "single"):
        if len(shape) == 4:
            raise InputError(f"{where}: shape {shape} has four axes; for a raster of patterns: --stack raster")
        raise InputError(
            f"{where}: shape {shape} has three axes; say what the first is: --stack shots, movie or volume"
        )
    if len(shape) == 4 and stack in ("movie", "volume"):
        raise InputError(f"{where}: shape {shape} has four axes, which is a raster of shots: --stack raster")
    return "shots" if stack == "raster" else stack


def choose_frames(wanted: str | None, shape: tuple[int, ...], single: bool) -> tuple[np.ndarray, bool]:
    """Numbers that ``--frames`` picks of the frames, and whether that is one frame: ``48``, or ``40:60:5``."""
    every = np.arange(shape[0])
    if wanted is None:
        return every, single
    try:
        numbers = [int(part) if part else None for part in wanted.split(":")]
        found = every[slice(*numbers) if len(numbers) > 1 else numbers[0]]
    except (ValueError, TypeError, IndexError):
        raise InputError(f"--frames {wanted}: expected a frame such as 48, or first:last:step, of {shape[0]}") from None
    if single or found.size == 0:
        raise InputError(f"--frames {wanted}: picks nothing from an array of shape {shape[1:] if single else shape}")
    return np.atleast_1d(found), found.ndim == 0
