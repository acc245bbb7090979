"""The patterns of all files of an import as one stack, nothing read yet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from cdipipe.io.importing.account import Account
from cdipipe.io.importing.arrange import arrange, choose_frames, choose_stack
from cdipipe.io.importing.files import expand_all
from cdipipe.io.importing.find import find
from cdipipe.io.importing.found import Found
from cdipipe.io.importing.intake import Intake
from cdipipe.io.importing.options import ImportOptions
from cdipipe.io.importing.sources import PatternSource, Picked, Remembered, join
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.io.stored import Index, StoredArray
from cdipipe.measurement import Stack
from cdipipe.progress import progress

MOST_OPEN = 64
"""With more files than these each is closed again and opened whenever it is read."""
REMEMBERED_BYTES = 2**28


def open_intake(files: Sequence[str | Path], options: ImportOptions, stack: ExitStack) -> Intake:
    """Find the patterns of all files, put their axes in order and pick the frames.

    Raises
    ------
    InputError   a file, an array or an axis that does not fit, or is not said plainly enough
    """
    account = Account()
    names, renumbered = expand_all([str(file) for file in files], options.as_given)
    if renumbered:
        account.note("the files are taken in the order of their numbers, not as given; --as-given takes them as given")
    parts = _find_all(names, options, stack)
    source = join([part.source for part in parts], names)
    lead = parts[0].arrangement.lead if len(parts) == 1 else (source.shape[0],)
    numbers, one = choose_frames(options.frames, source.shape, single=not lead)
    kept = lead if options.frames is None else () if one else numbers.shape
    meaning = _meaning(parts, options, (*kept, *source.shape[1:]))
    picked: PatternSource = Picked(source, numbers)
    if picked.shape[0] * picked.frame_bytes <= min(REMEMBERED_BYTES, memory_limit_bytes() // 8):
        picked = Remembered(picked)
    intake = Intake(options, account, parts, picked, meaning, numbers)
    _tell(intake, names, lead)
    return intake


def _meaning(parts: list[Found], options: ImportOptions, shape: tuple[int, ...]) -> Stack:
    """What the first axis means, as asked for or as the file says."""
    in_file = parts[0].hints.get("stack") if len(shape) == 3 and parts[0].arrangement.lead else None
    return choose_stack(shape, options.stack or in_file, parts[0].array.where)


def _find_all(names: Sequence[str], options: ImportOptions, stack: ExitStack) -> list[Found]:
    many = len(names) > MOST_OPEN
    found: list[Found] = []
    for number, name in enumerate(progress(names, "opening") if len(names) > 1 else names):
        keep = not many or number == 0
        found.append(_find_one(name, options, stack) if keep else _find_and_close(name, options))
        _share_mask(found)
    return found


def _find_one(name: str, options: ImportOptions, stack: ExitStack) -> Found:
    found = find(name, options.dataset, stack)
    found.arrangement = arrange(found.array, options.axis, found.kind)
    return found


def _find_and_close(name: str, options: ImportOptions) -> Found:
    """One of many files, which is opened again whenever it is read."""
    with ExitStack() as own:
        found = find(name, options.dataset, own)
        found.array = Reopened(found.array, name, options.dataset)
    found.hdf5, found.others = None, {}
    found.arrangement = arrange(found.array, options.axis, found.kind)
    return found


class Reopened(StoredArray):
    """The patterns of a file that is open only while they are read."""

    def __init__(self, array: StoredArray, name: str, dataset: str | None):
        super().__init__(array.shape, array.dtype, array.where)
        self.name, self.dataset = name, dataset
        self.frames_together, self.frames_first = array.frames_together, array.frames_first
        self._complete, self._missing = array.complete, array.missing

    @property
    def complete(self) -> bool:
        return self._complete

    @property
    def missing(self) -> list[str]:
        return self._missing

    def get(self, index: Index) -> np.ndarray:
        with ExitStack() as stack:
            return find(self.name, self.dataset, stack).array.get(index)

    def written(self, index: Index) -> np.ndarray:
        if self._complete:
            return super().written(index)
        with ExitStack() as stack:
            return find(self.name, self.dataset, stack).array.written(index)

    def present(self) -> np.ndarray:
        if self._complete:
            return super().present()
        with ExitStack() as stack:
            return find(self.name, self.dataset, stack).array.present()


def _share_mask(found: list[Found]) -> None:
    """Keep one copy of a mask that lies in every file."""
    masks = [one.beside.get("mask") for one in (found[0], found[-1])]
    if len(found) > 1 and None not in masks and np.array_equal(masks[0].values, masks[1].values):
        found[-1].beside["mask"] = found[0].beside["mask"]


def _tell(intake: Intake, names: Sequence[str], lead: tuple[int, ...]) -> None:
    """What is read from where and why, and every order of axes that was guessed."""
    account, found, shape = intake.account, intake.found, intake.source.shape
    what = f"{found.key} of {found.path}" if found.key else str(found.path)
    files = f" and {len(names) - 1} more files, up to {names[-1]}" if len(names) > 1 else ""
    why = found.reason if found.key else ""
    account.say("read", f"{what}{files}, {found.array.dtype}", why=why, shape=str(tuple(found.array.shape)))
    if guess := found.arrangement.guess:
        account.say("read", guess, guess=True)
    if len(lead) > 1:
        account.say("read", f"a raster of {' x '.join(map(str, lead))} patterns, row by row", raster=list(lead))
    if intake.options.frames is not None:
        account.say("read", f"{shape[0]} frames picked by --frames {intake.options.frames}", shape=str(shape))
    account.say("read", _stack_in_words(intake), shape=str(shape if intake.stack != "single" else shape[1:]))
    for part in intake.parts:
        for note in part.notes:
            account.note(note)


def _stack_in_words(intake: Intake) -> str:
    count, height, width = intake.source.shape
    if intake.stack == "single":
        return f"one pattern of {height} x {width}"
    kind = {"shots": "independent patterns", "movie": "frames in time", "volume": "slices of one volume"}
    return f"{count} {kind[intake.stack]} of {height} x {width}"
