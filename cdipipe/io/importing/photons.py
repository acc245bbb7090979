"""Which numbers of the files are no photon counts, decided once for all frames of an import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io import marks
from cdipipe.io.importing.frames import Frames, Part, whole_frames

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake

FRAMES_SAMPLED = 3
PLATEAU_COUNTS, PLATEAU_PIXELS = 1000, 3
"""So many pixels do not have the same large count by chance."""
DUMMY_NAMES = ("dummy", "nodata")
TOLERANCE_NAMES = ("ddummy",)


@dataclass(frozen=True)
class Marks:
    """What is no photon count in a whole stack.

    Parameters
    ----------
    numbers : the marks, dummies and the sign, in terms of the file's own numbers
    where : the first file, for messages
    """

    numbers: marks.Marks
    where: str = ""

    def to_frames(self, raw: np.ndarray, part: Part) -> Frames:
        """Counts in float32, with all that is no photon count masked by its reason and set to 0.

        Raises
        ------
        InputError   the numbers have a unit that float32 cannot hold
        """
        try:
            reasons = self.numbers.reasons(raw)
        except InputError as error:
            raise InputError(f"{self.where}: {error}") from None
        counts = marks.to_counts(raw, reasons)
        frames = Frames(counts, np.ones(counts.shape, dtype=bool))
        for reason, bad in reasons.items():
            frames.mask(bad, reason)
        return frames


def find_marks(intake: Intake) -> Marks:
    """The marks of a stack, from its type, its headers and a few of its frames."""
    hints = _texts(intake.found.header) | intake.found.hints
    if hints.get("own"):
        return Marks(marks.Marks(keep_negative=bool(hints.get("signed"))), intake.where)
    source = intake.source
    written = np.flatnonzero(source.present())
    written = written if len(written) else np.arange(source.shape[0])
    sample = written[np.unique(np.linspace(0, len(written) - 1, FRAMES_SAMPLED).round().astype(int))]
    values = (source.read(whole_frames(source.shape, np.array([frame]))) for frame in sample)
    numbers = marks.choose_marks(np.dtype(source.dtype), values, _dummies(hints), bool(hints.get("signed")))
    return Marks(numbers, intake.where)


def tell_plateau(intake: Intake) -> None:
    """Note that many pixels have the same largest count, as a counter that is full."""
    peak, seen = intake.survey.peak, intake.survey.times > 0
    top = float(np.max(peak, where=seen, initial=0))
    number = int(np.count_nonzero((peak == top) & seen))
    if intake.options.saturation is None and top >= PLATEAU_COUNTS and number >= PLATEAU_PIXELS:
        intake.account.note(
            f"{number} pixels have the same largest count, {top:.10g}: full counters? --saturation {top:.10g} masks "
            "them"
        )


def unmarked(values: np.ndarray) -> np.ndarray:
    """A correction's values in float64, NaN where they are no counts."""
    reasons = marks.choose_marks(values.dtype, [values], keep_negative=True).reasons(values)
    result = values.astype(np.float64)
    for where in reasons.values():
        result[where] = np.nan
    return result


def _texts(header: dict[str, Any]) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in header.items()}


def _dummies(hints: dict[str, Any]) -> tuple[marks.Dummy, ...]:
    """The dummy value of an EDF header, with its tolerance."""
    values = [_number(hints.get(name)) for name in DUMMY_NAMES]
    tolerance = next((found for name in TOLERANCE_NAMES if (found := _number(hints.get(name))) is not None), 0.0)
    return tuple(marks.Dummy(value, abs(tolerance)) for value in values if value)  # 0: there is none


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
