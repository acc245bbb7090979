"""Rules that say which shots of a stack to keep: ``single``, ``hits``, comparisons such as ``score > 0.3``."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement

ALL = "all"
WORDS = ("all", "single", "hits")
COLUMNS = {"score": "score", "photons": "photons", "photons_per_pixel": "per_pixel", "beyond": "beyond"}
"""Names in rules and in the table of shots, and those of :class:`cdipipe.metrics.hits.Hits`."""
SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
CONDITION = re.compile(r"([a-z_]+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Rule:
    """A rule that was read.

    Parameters
    ----------
    word : one of ``WORDS``
    conditions : (name, sign, number) that a shot must meet as well
    """

    word: str
    conditions: tuple[tuple[str, str, float], ...] = ()


def read_rule(text: str) -> Rule:
    """A rule from its text: words and conditions, joined by ``and``.

    Parameters
    ----------
    text : of the rule

    Raises
    ------
    ValueError   says what was not understood, and what is allowed

    Examples
    --------
    >>> read_rule("single and photons > 1e4")
    Rule(word='single', conditions=(('photons', '>', 10000.0),))
    """
    word, conditions = ALL, []
    for part in re.split(r"\s+and\s+", text.strip()):
        found = CONDITION.fullmatch(part)
        if part in WORDS:
            word = part
        elif found and found[1] in COLUMNS:
            conditions.append((found[1], found[2], float(found[3])))
        else:
            raise ValueError(
                f"'{part}' is no rule; expected {', '.join(WORDS)}, or a comparison (< <= > >=) of "
                f"{', '.join(COLUMNS)} with a number, joined by 'and', such as 'single and score > 0.3'"
            )
    return Rule(word, tuple(conditions))


def choose(measurement: Measurement, text: str) -> np.ndarray:
    """Which shots a rule keeps, judged by their patterns.

    Parameters
    ----------
    measurement : Measurement
    text : of the rule

    Returns
    -------
    (N,) bool

    Raises
    ------
    InputError   shots cannot be judged, or none is kept
    """
    from cdipipe.metrics.hits import find_hits

    rule, hits = read_rule(text), find_hits(measurement)
    if hits is None:
        what = f"a {measurement.stack}" if measurement.stack != "shots" else "beside a known probe or structure"
        raise InputError(f"keep_shots: shots are judged in a stack of single objects; this measurement is {what}")
    kept = {"all": True, "single": hits.kind == "single", "hits": hits.kind != "blank"}[rule.word]
    kept = np.broadcast_to(kept, hits.kind.shape).copy()
    for name, sign, number in rule.conditions:
        kept &= SIGNS[sign](getattr(hits, COLUMNS[name]), number)
    if not kept.any():
        counts = ", ".join(f"{count} {kind}" for kind, count in hits.count.items() if count)
        raise InputError(f"keep_shots: {text}: none of {len(kept)} shots fits ({counts})")
    return kept
