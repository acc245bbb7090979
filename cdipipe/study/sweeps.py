"""``sweep:`` of a method: one of its keys over a list or a range of values, ending in pictures and a curve.

    methods:
      hio: {method: hio, iterations: 400, sweep: {beta: {from: 0.5, to: 1.0, count: 6}}}

is six methods, ``hio_0p5`` to ``hio_1``, a gallery ``hio_beta_pictures``, and a curve ``hio_beta`` of the likelihood of
withheld pixels. Works on plain data, before anything is checked: the methods are those of a ``grid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdipipe.errors import InputError
from cdipipe.settings import merge, validate
from cdipipe.study.entries import Name, Section
from cdipipe.study.grids import PLACE, called, filled, pattern_of

FREE_FRACTION, FREE_BLOCK_PX = 0.05, 0
"""What reconstructions of a sweep withhold where the study says nothing: a twentieth, in blocks of about a speckle."""
SIGNIFICANT = 4
"""Digits of the values of a range, which are in the names of its methods."""


class SweepEntry(Section):
    """Methods that differ by the value of one key, as the ``sweep`` of a method makes them."""

    key: str
    """of the recipe"""
    methods: list[Name] = Field(min_length=2)
    """one for each value"""
    values: list[float | str] = Field(min_length=2)
    """numbers, or what others are called"""
    title: str = ""
    """over the curve"""

    @model_validator(mode="after")
    def _as_many(self) -> SweepEntry:
        if len(self.methods) != len(self.values):
            raise ValueError(f"{len(self.methods)} methods and {len(self.values)} values; expected one value for each")
        return self


class Range(BaseModel):
    """Values from one end to the other; whole numbers at both ends give whole numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: int | float = Field(alias="from")
    to: int | float
    count: int = Field(ge=2, le=200)
    spacing: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.from_ < self.to:
            raise ValueError(f"from {self.from_:g} to {self.to:g}: expected a larger number last")
        if self.spacing == "log" and self.from_ <= 0:
            raise ValueError(f"from {self.from_:g}: a logarithmic range begins above 0")
        return self

    def values(self) -> list[int | float]:
        """The values in order, each once."""
        spaced = np.geomspace if self.spacing == "log" else np.linspace
        found = [float(f"{value:.{SIGNIFICANT}g}") for value in spaced(self.from_, self.to, self.count)]
        if isinstance(self.from_, int) and isinstance(self.to, int):
            return sorted({round(value) for value in found})
        return found


def expand_sweeps(study: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The study with a ``grid`` for every ``sweep`` of a method, and the figures that show it.

    Raises
    ------
    InputError   a sweep of several keys, beside a grid, of one value, or a range that is none
    """
    if not isinstance(study.get("methods"), Mapping):
        return dict(study)
    methods, sweeps, galleries = dict(study["methods"]), {}, {}
    for name, entry in study["methods"].items():
        if not isinstance(entry, Mapping) or "sweep" not in entry:
            continue
        place = f"{where}: methods.{name}.sweep"
        if "grid" in entry:
            raise InputError(f"{place}: a method takes a grid or a sweep, not both")
        key, values = _key_and_values(entry["sweep"], place)
        choices, pattern = called(values, f"{place}.{key}"), pattern_of(str(name), [key])
        swept = [filled(pattern, {key: label}, place) for label, _ in choices]
        if len(set(swept)) < 2:
            raise InputError(f"{place}.{key}: {len(choices)} values; a sweep has two or more, each once")
        methods[name] = {k: v for k, v in entry.items() if k != "sweep"} | {"grid": {key: values}}
        figure = PLACE.sub(key.rpartition(".")[2], pattern)
        headings = [value if _is_number(value) else label for label, value in choices]
        sweeps[figure] = {"key": key, "methods": swept, "values": headings}
        galleries[f"{figure}_pictures"] = {"rows": ["*"], "methods": swept, "title": f"{key} of {name}"}
    if not sweeps:
        return dict(study)
    made = {"methods": methods, "sweeps": sweeps, "galleries": galleries}
    return {**study, "methods": methods} | {
        kind: merge(made[kind], study.get(kind) or {}) for kind in ("sweeps", "galleries")
    }


def _key_and_values(sweep: Any, where: str) -> tuple[str, Any]:
    """The key that is swept, and its values as a list or with labels."""
    if not isinstance(sweep, Mapping) or len(sweep) != 1:
        raise InputError(f"{where}: expected one key with its values, such as {{beta: [0.7, 0.9]}}; got {sweep!r:.80}")
    key, values = next(iter(sweep.items()))
    if isinstance(values, Mapping) and {"from", "to"} & set(values):
        values = validate(Range, values, f"{where}.{key}").values()
    return str(key), values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
