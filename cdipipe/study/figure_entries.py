"""The entries of a study's figures: tables, galleries, curves and distributions; see ``cdipipe.study.config``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from cdipipe.study.entries import AS_WRITTEN, Count, Name, Positive, Section

Headed = WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array", "items": AS_WRITTEN}]})


def _number_if_it_is_one(heading: Any) -> Any:
    """Keys of a mapping that went through JSON are text."""
    try:
        return float(heading)
    except (TypeError, ValueError):
        return heading


Heading = Annotated[str | float, BeforeValidator(_number_if_it_is_one)]


class TableEntry(Section):
    """One metric of some methods over some measurements, as a table and, with ``axis``, as curves."""

    metric: str | Annotated[list[str], Field(min_length=1)]
    """of several the first that a result has: there are metrics that only some scenes have"""
    title: str = ""
    """over the table"""
    columns: Annotated[dict[Heading, Name | list[Name]], Headed] = Field(min_length=1)
    """heading -> the measurement, or several that are averaged; in a file also a list of names and patterns"""
    methods: list[Name] | None = None
    """its rows; left out: all that run on its measurements"""
    printed: dict[str, dict[Heading, float]] = Field({})
    """row -> heading -> value that the paper prints"""
    axis: str | None = None
    """the headings are numbers on this axis: curves are drawn, too"""
    ranking: bool = False
    """a heat map of places, and the mean place of every method with its spread over the columns"""

    @property
    def metrics(self) -> list[str]:
        """All that may be shown; the last gives the table its name."""
        return [self.metric] if isinstance(self.metric, str) else self.metric

    @model_validator(mode="after")
    def _numbers(self) -> TableEntry:
        if self.axis is not None and not all(isinstance(heading, (int, float)) for heading in self.columns):
            raise ValueError(
                f"axis '{self.axis}': the columns must be numbers; got {', '.join(map(str, self.columns))}"
            )
        for row, values in self.printed.items():
            for heading in values:
                if heading not in self.columns:
                    known = ", ".join(map(str, self.columns))
                    raise ValueError(f"printed.{row}: no column '{heading}'; there are {known}")
        return self

    def members(self, heading: str | float) -> list[str]:
        """Measurements of a column."""
        names = self.columns[heading]
        return [names] if isinstance(names, str) else names


class GalleryEntry(Section):
    """Amplitudes side by side: a row per measurement, a column per method, the truth first."""

    rows: Annotated[dict[str, Name], Headed] = Field(min_length=1)
    """label -> measurement; in a file also a list of names and patterns"""
    title: str = ""
    """over the pictures"""
    methods: list[Name] | None = None
    """its columns; left out: all that run on its measurements"""
    sample: Count = 0
    """which pattern of a stack"""
    phase: bool = False
    """the phase instead of the amplitude"""
    misfit: bool = False
    """beneath each object where it does not explain the pattern, and beside them how far they agree"""


class CurvesEntry(Section):
    """Curves of some methods, a panel per row: profiles, densities of two classes, or PRTF over draws of the noise."""

    show: Literal["profile", "densities", "prtf"]
    """profile: values along arcs or a line, and those of the truth; densities: of the phases of particles and of
    background in a frame of a movie in a known probe, told apart by Otsu's threshold; prtf: how far objects from other
    photons of the same sample agree on the phases"""
    rows: Annotated[dict[str, Name | list[Name]], Headed] = Field(min_length=1)
    """label -> measurement; of prtf: those that differ by their `noise_draw` only; a list may hold patterns"""
    title: str = ""
    """over the panels"""
    methods: list[Name] | None = None
    """one curve for each; left out: all that run on its measurements"""
    sample: Count = 0
    """which pattern of a stack; beyond its end: the last. A PRTF is the mean over all of them"""
    phase: bool = False
    """of a profile: the phase in rad instead of the amplitude"""
    arcs_px: list[Positive] = Field([])
    """of a profile: radii of arcs, pixels"""
    centre_px: tuple[float, float] = (0.0, 0.0)
    """of a profile: row and column of the middle of the arcs, pixels from the middle of the array"""
    degrees: tuple[float, float] = (0.0, 360.0)
    """of a profile: where the arcs begin and end; 0 along the columns' axis, 90 down the rows"""
    line_px: tuple[tuple[float, float], tuple[float, float]] | None = None
    """of a profile: ends of a line, each row and column in pixels from the middle of the array"""

    @model_validator(mode="after")
    def _fits(self) -> CurvesEntry:
        if self.show != "profile":
            of_profile = ("phase", "arcs_px", "centre_px", "degrees", "line_px")
            if extra := [key for key in of_profile if getattr(self, key) != type(self).model_fields[key].default]:
                raise ValueError(f"{', '.join(extra)}: for a profile, not for {self.show}")
        elif bool(self.arcs_px) == (self.line_px is not None):
            raise ValueError("a profile takes either arcs_px or line_px")
        if not self.degrees[0] < self.degrees[1]:
            raise ValueError(f"degrees {list(self.degrees)}: expected a larger number last")
        if self.line_px is not None and self.line_px[0] == self.line_px[1]:
            raise ValueError("line_px: both ends are the same")
        if self.show != "prtf" and any(isinstance(names, list) for names in self.rows.values()):
            raise ValueError(f"rows: {self.show} takes one measurement each; only prtf takes several")
        return self

    def members(self, label: str) -> list[str]:
        """Measurements of a row."""
        names = self.rows[label]
        return [names] if isinstance(names, str) else names


class DistributionEntry(Section):
    """One metric of every pattern as histograms, with the best and worst objects, and tests between the methods."""

    metric: str
    """of every pattern"""
    measurements: list[Name] = Field(min_length=1)
    """taken together"""
    title: str = ""
    """over the histograms"""
    methods: list[Name] | None = None
    """compared with each other; left out: all that run on its measurements"""
    shown: Count = 5
    """of the first method: how many of the best and of the worst objects are drawn"""
    phase: bool = False
    """the phase instead of the amplitude"""
