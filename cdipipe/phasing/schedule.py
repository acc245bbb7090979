"""Schedules of a step: values that change a few times while its iterations run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FILTER_WIDTHS = tuple(2 * (10 - stage) / 10 for stage in range(10))
"""Ten stages from twice the array to a fifth of it: standard deviation of a Fourier filter over the array's size."""


@dataclass(frozen=True)
class Block:
    """Values that hold for some iterations in a row."""

    iterations: int
    values: tuple


def cut_into_blocks(iterations: int, *schedules: tuple[Sequence, Sequence[float] | None]) -> list[Block]:
    """Lay schedules over each other.

    Parameters
    ----------
    iterations : of the whole step
    schedules : (values, starts) each
        ``starts`` are the shares of the iterations at which a value begins, the first 0; None: equal parts.

    Returns
    -------
    list of Block, one entry of ``values`` per schedule; blocks too short for one iteration are left out
    """
    begins = [_first_iterations(iterations, len(values), starts) for values, starts in schedules]
    cuts = sorted({begin for row in begins for begin in row if begin < iterations})
    blocks = []
    for begin, end in zip(cuts, [*cuts[1:], iterations], strict=True):
        chosen = tuple(
            values[max(index for index, first in enumerate(row) if first <= begin)]
            for (values, _), row in zip(schedules, begins, strict=True)
        )
        blocks.append(Block(end - begin, chosen))
    return blocks


def _first_iterations(iterations, count, starts) -> list[int]:
    shares = [index / count for index in range(count)] if starts is None else starts
    return [round(share * iterations) for share in shares]


def walk(blocks: list[Block]) -> Iterator[tuple[int, Block, bool]]:
    """(iteration, its block, whether that is the block's last), one iteration after another."""
    iteration = 0
    for block in blocks:
        for index in range(block.iterations):
            yield iteration, block, index == block.iterations - 1
            iteration += 1
