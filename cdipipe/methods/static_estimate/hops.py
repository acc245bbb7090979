"""How long the search for another start iterates, hop after hop."""

from __future__ import annotations

HOPS = (35, 55, 95, 175)
HOP_ER_ITERATIONS = 15
"""Iterations of the hops in turn, and of their closing blocks of error reduction."""


def hop_lengths(count: int) -> list[int]:
    """Iterations of each of so many hops, two of each length: as the best is, and striped."""
    return [HOPS[hop // 2 % len(HOPS)] for hop in range(count)]
