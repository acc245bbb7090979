"""From files of any format to a Measurement: the steps of an import, in order.

Find the arrays, arrange their axes, decide what is no photon, mask, correct, look over the frames, centre, and then
read block by block what is wanted: bin, crop, fill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.counts import check_range, check_usable
from cdipipe.io.hdf5 import following
from cdipipe.io.importing import background, centre, detector, geometry, hot, masks, monitor, photons, window
from cdipipe.io.importing.account import Account
from cdipipe.io.importing.frames import Frames, Part
from cdipipe.io.importing.gather import open_intake
from cdipipe.io.importing.intake import Intake, Step
from cdipipe.io.importing.options import ImportOptions
from cdipipe.io.importing.probes import fit_probe_modes
from cdipipe.io.importing.scene import scene_of_file
from cdipipe.io.memory import check_size
from cdipipe.measurement import Measurement, Stack
from cdipipe.progress import progress

BEFORE_SURVEY: tuple[Step, ...] = (
    detector.amplitude,
    detector.tally,
    detector.unwritten,
    masks.beside,
    masks.from_file,
    detector.saturation,
    detector.dark,
    detector.whitefield,
)
MUCH_BEYOND = 0.1
"""Share of the result beyond the detector that is worth a note."""
AFTER_SURVEY: tuple[Step, ...] = (
    photons.tell_plateau,
    hot.prepare,
    background.prepare,
    monitor.prepare,
    detector.threshold,
)
"""Steps in the order in which they are done; those after the survey may use it."""


def import_files(files: Sequence[str | Path], options: ImportOptions) -> tuple[Measurement, Account]:
    """Make a measurement of one or several files.

    Returns
    -------
    measurement : Measurement
        Without provenance; the caller knows the command.
    account : Account
        What was done. Its facts: ``photons_read``, ``photons_kept`` (on measured pixels), ``masked`` (pixels by
        reason), ``centre`` (index, in the binned array, of the pixel taken for the zero frequency) and ``centred``
        (whether it was moved to N // 2).

    Raises
    ------
    InputError
        The files, a correction or an option do not fit; nothing usable is left.
    """
    with ExitStack() as stack:
        intake = _begin(files, options, stack)
        intake.prepare(AFTER_SURVEY)
        return _measure(intake, *choose_window(intake)), intake.account


def _begin(files: Sequence[str | Path], options: ImportOptions, stack: ExitStack) -> Intake:
    """All that can be decided from a few frames and the headers."""
    stack.enter_context(following(options.follow_links))
    intake = open_intake(files, options, stack)
    intake.prepare(BEFORE_SURVEY)
    intake.geometry = geometry.decide(intake)
    if intake.found.arrangement.is_swapped:
        intake.geometry = intake.geometry.swapped()
    return intake


def explain_files(files: Sequence[str | Path], options: ImportOptions) -> list[tuple[str, str, str, str]]:
    """What an import would read and do, without doing it: step, choice, reason and shape.

    Raises
    ------
    InputError   as :func:`import_files`, as far as the headers and a few frames tell
    """
    with ExitStack() as stack:
        intake = _begin(files, options, stack)
        return [line.row() for line in intake.account.lines] + _later_steps(intake)


LATER = ("hot_pixels", "background", "monitor", "threshold", "friedel", "probe", "keep_shots")
"""Options whose steps come after the look over all frames."""


def _later_steps(intake: Intake) -> list[tuple[str, str, str, str]]:
    """Rows of the steps that need all frames."""
    options, rank = intake.options, intake.rank
    given = options.model_dump(exclude_none=True)
    rows = [
        (name.replace("_", " "), str(given[name]), "", "") for name in LATER if given.get(name) not in (None, False)
    ]
    factors = _factors(intake)
    shape = tuple(size // factor for size, factor in zip(intake.source.shape, factors, strict=True))
    if options.bin is not None:
        rows.append(("bin", ",".join(map(str, factors[-rank:])), "as asked", str(shape)))
    wanted = options.wanted_centre
    found = "found when all frames are looked at" if wanted == "peak" else "as asked"
    rows.append(("centre", wanted if isinstance(wanted, str) else ",".join(map(str, wanted)), found, ""))
    if options.crop is not None:
        sizes = window.per_axis(options.crop, rank, (shape[0],), "--crop")
        rows.append(("crop", ",".join(map(str, sizes)), "as asked", str((*shape[: 3 - rank], *sizes))))
    return rows


@dataclass(frozen=True)
class Window:
    """What is kept of frames (of a volume or of a stack), rows and columns."""

    frames: window.AxisWindow
    rows: window.AxisWindow
    columns: window.AxisWindow

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frames.size, self.rows.size, self.columns.size

    @property
    def inside_px(self) -> int:
        """Pixels of the result that lie on the detector."""
        return math.prod(axis.inside.stop - axis.inside.start for axis in (self.frames, self.rows, self.columns))

    @property
    def factors(self) -> tuple[int, int, int]:
        return self.frames.factor, self.rows.factor, self.columns.factor

    def is_whole(self, shape: tuple[int, int, int]) -> bool:
        """Whether it keeps every pixel where it was."""
        return self.factors == (1, 1, 1) and all(
            axis.offset == 0 and axis.size == size and np.array_equal(axis.order, np.arange(size))
            for axis, size in zip((self.frames, self.rows, self.columns), shape, strict=True)
        )


def _factors(intake: Intake) -> tuple[int, int, int]:
    if intake.options.bin is None:
        return 1, 1, 1
    factors = window.per_axis(intake.options.bin, intake.rank, (1,), "--bin")
    if factors[-1] != factors[-2]:
        raise InputError(f"--bin {','.join(map(str, factors))}: the two detector axes must be binned alike")
    spatial = intake.source.shape[-intake.rank :]
    if any(factor > size for factor, size in zip(factors, spatial, strict=True)):
        shown = ",".join(map(str, factors))
        raise InputError(f"--bin {shown}: blocks are larger than patterns of shape {spatial}")
    intake.geometry = intake.geometry.binned(factors)
    return factors if len(factors) == 3 else (1, *factors)


def choose_window(intake: Intake) -> tuple[Window, Part]:
    """Where the patterns are centred and what is kept of them."""
    options, rank = intake.options, intake.rank
    factors = _factors(intake)
    is_corner = (options.corner and rank == 3, intake.is_corner, intake.is_corner)
    orders = [window.axis_order(*each) for each in zip(intake.source.shape, is_corner, factors, strict=True)]
    spatial = tuple(len(order) // factor for order, factor in zip(orders, factors, strict=True))[-rank:]
    found = _centre(intake, orders, factors, spatial)
    sizes = (None,) * rank if options.crop is None else window.per_axis(options.crop, rank, (spatial[0],), "--crop")
    whole = (None,) * (3 - rank)
    windows = [
        window.crop_axis(*each)
        for each in zip(orders, factors, (0,) * (3 - rank) + found.index, whole + sizes, strict=True)
    ]
    kept = Window(*windows)
    starts = tuple(0 if size is None else at - size // 2 for at, size in zip(found.index, sizes, strict=True))
    intake.geometry = intake.geometry.cropped(starts, kept.shape[-rank:])
    _tell_centre(intake, found, kept)
    return kept, Part(kept.frames.order, kept.rows.order, kept.columns.order)


def _centre(intake: Intake, orders: list, factors: tuple, spatial: tuple[int, ...]) -> centre.Centre:
    """The pixel of the binned patterns that is taken for the zero frequency."""
    wanted, rank = intake.options.wanted_centre, intake.rank
    if wanted == "file":
        wanted = _centre_of_file(intake)
    check_survey(intake)
    if wanted == "middle":
        return centre.Centre(tuple(size // 2 for size in spatial), "the middle of the array, as asked")
    if not isinstance(wanted, str):
        chosen = wanted if len(wanted) == rank else (spatial[0] // 2, *wanted)
        if len(chosen) != rank or any(not 0 <= c < size for c, size in zip(chosen, spatial, strict=True)):
            raise InputError(f"--centre {','.join(map(str, wanted))}: not inside patterns of shape {spatial}")
        return centre.Centre(tuple(chosen), f"as {'the file' if intake.options.centre == 'file' else '--centre'} says")
    found = centre.find(intake)
    places = zip(orders[-rank:], factors[-rank:], found.index, strict=True)
    return replace(found, index=tuple(window.binned_place(*each) for each in places))


def _tell_centre(intake: Intake, found: centre.Centre, kept: Window) -> None:
    """What was taken for the centre and why, where it is now, and how much of the result has no detector there."""
    account, options, shape = intake.account, intake.options, kept.shape[-intake.rank :]
    middle = tuple(size // 2 for size in shape)
    account.facts |= {"centre": found.index, "centred": options.crop is not None, "centre_from": found.how}
    if found.note:
        account.note(found.note)
    if options.crop is not None:
        account.say("centre", f"index {found.index} of the pattern is now at {middle}: {found.how}", not found.sure)
    else:
        account.say("centre", f"index {found.index}: {found.how}", not found.sure)
        if found.sure and max(abs(a - b) for a, b in zip(found.index, middle, strict=True)) > 1:
            account.note(f"the centre is at {found.index}, not at {middle}; --crop SIZE centres it")
    beyond = 1 - kept.inside_px / math.prod(kept.shape)
    if beyond > MUCH_BEYOND:
        account.note(
            f"{100 * beyond:.0f} % of the result lie beyond the detector, for {found.index} is near its edge; "
            "if that is not the centre, --centre ROW,COLUMN"
        )


def check_survey(intake: Intake) -> None:
    """Raise InputError where the frames looked at have no measured pixel, or no photon on those."""
    survey = intake.survey
    if survey.complete:
        check_usable(survey.total, survey.times > 0, intake.where)


def _centre_of_file(intake: Intake) -> tuple[int, ...]:
    """The stored centre's row and column after binning."""
    place, options = intake.found.hints.get("centre"), intake.options
    if place is None or options.corner or options.axis is not None:
        raise InputError(
            f"{intake.where}: --centre file needs an 'image_center' beside the data, and neither --corner nor --axis"
        )
    bins = (options.bin or (1,))[-2:]
    return tuple(at // size for at, size in zip(place[-2:], bins * 2 if len(bins) == 1 else bins, strict=True))


def _collect(intake: Intake, kept: Window, part: Part) -> Frames:
    """Read the wanted part block by block into arrays of the result's shape."""
    check_size(kept.shape, 5, f"{intake.where}: the result")
    frames = Frames(np.zeros(kept.shape, np.float32), np.zeros(kept.shape, bool), {})
    place = (slice(None), kept.rows.inside, kept.columns.inside)
    at = kept.frames.offset
    with progress(len(part.frames), "reading") as bar:
        for block in intake.blocks(part.frames, kept.frames.factor):
            piece = intake.read(part.of_frames(block))
            _book(frames, piece)
            binned = piece if kept.factors == (1, 1, 1) else window.bin_frames(piece, kept.factors)
            check_range(binned.counts, f"{intake.where}: after the corrections and --bin")
            here = slice(at, at + len(binned.counts))
            frames.counts[here][place], frames.measured[here][place] = binned.counts, binned.measured
            at = here.stop
            bar.update(len(block))
    frames.masked["beyond_detector"] = frames.measured.size - kept.inside_px
    return frames


def _book(frames: Frames, piece: Frames) -> None:
    for reason, count in piece.masked.items():
        frames.masked[reason] = frames.masked.get(reason, 0) + count


def _measure(intake: Intake, kept: Window, part: Part) -> Measurement:
    options, account = intake.options, intake.account
    survey = intake.survey
    intake.take_tally()
    frames = _collect(intake, kept, part)
    in_window = intake.take_tally()
    check_usable(frames.counts, frames.measured, f"{intake.where}{'' if options.crop is None else ' after --crop'}")
    if frames.masked.get("never_written") and intake.source.present().all():
        account.note("parts of the frames were never written; they are unmeasured")
    account.facts["photons_read"] = survey.photons_read if survey.complete else in_window
    if options.friedel:
        account.facts["friedel_filled"] = window.fill_friedel(frames, intake.rank)
    account.facts["masked"] = {reason: count for reason, count in frames.masked.items() if count}
    account.facts["photons_kept"] = float(np.sum(frames.counts, where=frames.measured, dtype=np.float64))
    if intake.stack == "single":
        frames = Frames(frames.counts[0], frames.measured[0])
    pattern = frames.counts.shape[-intake.rank :]
    given = {
        "probe_modes": fit_probe_modes(options.probe, options.exposure_s, pattern),
        "frame_times_s": _frame_times_s(options.frame_interval_s, intake.stack, frames.counts.shape[0]),
    }
    known = scene_of_file(intake, pattern, kept.is_whole(intake.source.shape) and not options.corner)
    known |= {name: values for name, values in given.items() if values is not None}
    shared = _shared_mask(frames.measured, intake.stack)
    return Measurement(frames.counts, shared, intake.stack, intake.geometry, **known)


def _frame_times_s(interval_s: float | None, stack: Stack, count: int) -> np.ndarray | None:
    if interval_s is None:
        return None
    if stack != "movie":
        raise InputError(f"--frame-interval-s is for movies; this is a stack of '{stack}'")
    return interval_s * np.arange(count)


def _shared_mask(measured: np.ndarray, stack: Stack) -> np.ndarray:
    """One mask for all patterns of a stack where they agree."""
    if stack in ("shots", "movie") and (measured == measured[:1]).all():
        return measured[0]
    return measured
