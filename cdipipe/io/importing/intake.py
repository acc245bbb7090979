"""What flows through the steps of an import, and how the steps are applied to a part of the stack."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from cdipipe.io.importing import photons
from cdipipe.io.importing.account import Account
from cdipipe.io.importing.found import Found
from cdipipe.io.importing.frames import Frames, Part
from cdipipe.io.importing.options import ImportOptions
from cdipipe.io.importing.sources import PatternSource
from cdipipe.io.importing.survey import Survey, make_survey
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.measurement import Geometry, Stack

Apply = Callable[[Frames, Part], None]
Step = Callable[["Intake"], Apply | None]
BLOCK_BYTES = 2**25


@dataclass
class Intake:
    """One import on its way.

    Parameters
    ----------
    options, account : what was asked for, and what was done
    parts : what was found in each file, in order; :attr:`found` is the first
    source : all patterns, lazily: (N, H, W) in the numbers of the file; ``single`` has N = 1, ``volume`` N slices
    stack : what the first axis means
    numbers : (N,) numbers of the frames in the files, before ``--frames`` picked some of them
    geometry : as decided so far
    """

    options: ImportOptions
    account: Account
    parts: Sequence[Found]
    source: PatternSource
    stack: Stack
    numbers: np.ndarray
    geometry: Geometry = field(default_factory=Geometry)
    marks: photons.Marks | None = None
    applied: list[Apply] = field(default_factory=list)
    tally: float = 0.0
    masked: Counter = field(default_factory=Counter)

    @property
    def found(self) -> Found:
        return self.parts[0]

    @property
    def rank(self) -> int:
        """Axes of one pattern."""
        return 3 if self.stack == "volume" else 2

    @property
    def is_corner(self) -> bool:
        """Whether the zero frequency is at the corner of the arrays: by the option, or as the file says."""
        return self.options.corner or bool(self.found.hints.get("shifted"))

    @property
    def where(self) -> str:
        """The first file, for messages."""
        return str(self.found.path)

    @functools.cached_property
    def survey(self) -> Survey:
        """A first look over the frames, made when first asked for, after the steps prepared by then."""
        return make_survey(self)

    def prepare(self, steps: Sequence[Step]) -> None:
        """Prepare steps, in order; those that have something to do are applied to whatever is read from now on."""
        self.marks = self.marks or photons.find_marks(self)
        for step in steps:
            if (apply := step(self)) is not None:
                self.applied.append(apply)

    def read(self, part: Part) -> Frames:
        """A part of the stack after all steps prepared so far."""
        frames = self.marks.to_frames(self.source.read(part), part)
        for apply in self.applied:
            apply(frames, part)
        return frames

    def fit_mask(self, mask: np.ndarray, what: str) -> np.ndarray:
        """A mask of one pattern, of the first file's array or of all frames, as (H, W) or (N, H, W).

        Raises
        ------
        InputError   it has another shape
        """
        total = sum(found.source.shape[0] for found in self.parts)
        mask = np.squeeze(mask) if len(self.parts) > 1 else self.found.arrangement.fit(mask, what)
        if mask.shape not in ((total, *self.source.shape[1:]), self.source.shape[1:]):
            mask = self.found.arrangement.fit(mask, what)
        return mask[self.numbers] if mask.ndim == 3 else mask

    def join_masks(self, masks: Sequence[np.ndarray | None], what: str) -> np.ndarray:
        """Masks of the single files, None for those without, as (H, W) or (N, H, W)."""
        if len(masks) == 1:
            return self.fit_mask(masks[0], what)
        shapes = [found.source.shape for found in self.parts]
        fitted = [
            np.ones(shape[1:], bool) if mask is None else found.arrangement.fit(mask, what)
            for mask, shape, found in zip(masks, shapes, self.parts, strict=True)
        ]
        if all(mask.ndim == 2 and np.array_equal(mask, fitted[0]) for mask in fitted):
            return fitted[0]
        return np.concatenate([np.broadcast_to(m, s) for m, s in zip(fitted, shapes, strict=True)])[self.numbers]

    def take_tally(self) -> float:
        """Photons read since this was last asked for."""
        photons_read, self.tally = self.tally, 0.0
        return photons_read

    def blocks(self, frames: np.ndarray, multiple: int = 1) -> Iterator[np.ndarray]:
        """Frame numbers cut into blocks that are read at once; each a ``multiple`` of so many frames."""
        budget = min(BLOCK_BYTES, memory_limit_bytes() // 16)
        size = max(1, budget // self.source.frame_bytes)
        together = self.source.frames_together
        size = size // together * together if size > together else size
        size = max(multiple, size // multiple * multiple)
        for start in range(0, len(frames), size):
            yield frames[start : start + size]
