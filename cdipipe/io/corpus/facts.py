"""What the records of a corpus say of its samples beyond light and phase: ranges of numbers, counts of words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

TENSOR = ("xx", "yy", "zz", "xy", "xz", "yz")
"""Names of the components of six numbers."""


def gather_facts(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Ranges and counts of what the scene told of each sample (``extra`` of its record).

    Returns
    -------
    dict
        ``numbers``: name -> ``min``, ``mean``, ``max``, and ``known``, of how many samples; six numbers are a tensor's.
        ``words``: name -> word -> how many samples have it; triples of whole numbers count as words.
    """
    numbers: dict[str, list[float]] = {}
    words: dict[str, Counter] = {}
    for record in records:
        for name, value in record.get("extra", {}).items():
            for key, number in _numbers(name, value):
                numbers.setdefault(key, []).append(number)
            for word in _words(value):
                words.setdefault(name, Counter())[word] += 1
    return {
        "numbers": {name: _range(values) for name, values in numbers.items()},
        "words": {name: dict(counter.most_common()) for name, counter in words.items()},
    }


def _numbers(name: str, value: Any) -> Iterable[tuple[str, float]]:
    if isinstance(value, list) and len(value) == len(TENSOR):
        pairs = [(f"{name}_{part}", entry) for part, entry in zip(TENSOR, value, strict=True)]
    else:
        pairs = [(name, value)]
    return [(key, float(number)) for key, number in pairs if _is_number(number) and math.isfinite(number)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        return []
    if all(isinstance(entry, str) for entry in value):
        return sorted(set(value))
    if len(value) == 3 and all(isinstance(entry, int) for entry in value):
        return [" ".join(map(str, value))]
    return []


def _range(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "mean": sum(values) / len(values), "max": max(values), "known": len(values)}
