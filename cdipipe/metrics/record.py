"""What a metric is.

The metrics of this package are declared in ``cdipipe/metrics/catalogue.py``; another package adds some by entry points
of the group ``cdipipe.metrics``, see ``cdipipe.plugins``. A record is all there is to say: ``cdipipe evaluate`` asks it
for the value; tables, figures, the report and the guide take its heading, its unit and its better end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Needs = Literal["truth", "runs", "withheld", "beam", "times"]


@dataclass(frozen=True)
class Metric:
    """One number that judges a reconstruction.

    Parameters
    ----------
    name : key in metrics.json
    label : what tables and figures call it, without its unit
    meaning : one line for the guide and the report
    judge : ``(case) -> value``; None or a value that is not finite: this case has none
        Of a ``pattern``: :class:`cdipipe.metrics.cases.PatternCase` to a number. Of ``frames``:
        :class:`cdipipe.metrics.cases.MovieCase` to one number per frame (or pair of frames), NaN where there is none.
        Of the ``whole``: :class:`cdipipe.metrics.cases.WholeCase` to a number or a text. Of a ``crystal``: what
        ``cdipipe strain`` found, as a mapping, to a number.
    of : ``pattern``, ``frames``, ``whole`` or ``crystal``; of several patterns ``NAME`` is the mean, of frames the
        ``middle``, and ``NAME_std`` the standard deviation
    unit : such as ``dB``
    good : which end is better, ``low`` or ``high``; None: neither
    needs : what must be known: the ``truth``, two or more ``runs``, ``withheld`` pixels, a movie in a known ``beam``,
        the ``times`` of its frames
    middle : ``mean`` or ``median`` of the frames
    format : of a value in tables
    shown : in the summary of a study and its heat map; else only where a study asks for it
    headline : in the line that ``cdipipe evaluate`` prints
    """

    name: str
    label: str
    meaning: str
    judge: Callable[[Any], Any]
    of: Literal["pattern", "frames", "whole", "crystal"] = "pattern"
    unit: str = ""
    good: Literal["low", "high"] | None = None
    needs: tuple[Needs, ...] = ()
    middle: Literal["mean", "median"] = "mean"
    format: str = ".4g"
    shown: bool = True
    headline: bool = False

    @property
    def heading(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: Any) -> str:
        """A value as tables show it; empty where there is none.

        Parameters
        ----------
        value : number, text or None
        """
        return format(value, self.format) if isinstance(value, (int, float)) else "" if value is None else str(value)
