"""Rules that say which shots of a stack to keep: ``single``, ``hits``, comparisons such as ``score > 0.3``, or several.

Here they are only read; ``cdipipe.metrics.keep_shots`` judges the shots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ALL = "all"
WORDS = ("all", "single", "hits")
COLUMNS = ("score", "photons", "photons_per_pixel", "beyond")
"""Of the table of shots, what the patterns alone tell."""
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


def checked_rule(text: str) -> str:
    """The text of a rule that can be read.

    Parameters
    ----------
    text : of the rule

    Raises
    ------
    ValueError   as :func:`read_rule`
    """
    read_rule(text)
    return text
