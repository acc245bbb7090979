"""When each start of a batch ends a step, and the mean of its last estimates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

EARLY_STOP_WINDOW = 20


class Ends:
    """Where the starts of a batch end a step: each after all iterations, or once it has settled by itself.

    A start has settled when its R-factor changed by less than a share over the last iterations. It then goes on for as
    many iterations as are averaged, and its result stays as it is there while others go on, so that no start depends on
    which others it is computed with.

    Parameters
    ----------
    count : starts in the batch
    planned : iterations of the step
    averaged : how many of its last estimates are averaged; 0: none
    stop_below : relative change of the R-factor over EARLY_STOP_WINDOW iterations; 0: all go to the end
    """

    def __init__(self, count: int, planned: int, averaged: int, stop_below: float):
        self.planned, self.averaged, self.stop_below = planned, min(averaged, planned), stop_below
        self.ends = [planned] * count
        self._sum: Tensor | None = None
        self._ended: Tensor | None = None

    def without_ended(self, r_factor: Tensor) -> Tensor:
        """An iteration's R-factors (B,), NaN for the starts that have ended."""
        return r_factor if self._ended is None else torch.where(self._ended, torch.nan, r_factor)

    def average(self, iteration: int, estimate: Callable[[], Tensor]) -> None:
        """Add this iteration's estimate for the starts that are near their ends."""
        if not self.averaged:
            return
        wanted = [end - self.averaged <= iteration < end for end in self.ends]
        if not any(wanted):
            return
        found = estimate()
        if not all(wanted):
            mask = torch.tensor(wanted, device=found.device).reshape(-1, *(1,) * (found.ndim - 1))
            found = torch.where(mask, found, 0)
        self._sum = found.clone() if self._sum is None else self._sum.add_(found)

    def mean(self) -> Tensor | None:
        """(B, *grid) mean of the last estimates; None where that is not asked for."""
        return None if self._sum is None else self._sum / self.averaged

    def settle(self, iteration: int, state, hold: Callable[[Tensor], None]) -> None:
        """See which starts have settled; ``hold`` those (B,) bool that end here before the others do."""
        if not self.stop_below:
            return
        done = iteration + 1
        if done > EARLY_STOP_WINDOW and done % EARLY_STOP_WINDOW == 0:
            last = [state.done - 1 - EARLY_STOP_WINDOW, state.done - 1]
            before, now = state.error_trace[:, last].double().unbind(1)
            for item, settled in enumerate(((before - now).abs() < self.stop_below * before).tolist()):
                if settled and self.ends[item] == self.planned:
                    self.ends[item] = min(self.planned, done + self.averaged)
        ending = [end == done for end in self.ends]
        if done < self.planned and any(ending):
            items = torch.tensor(ending, device=state.error_trace.device)
            self._ended = items if self._ended is None else self._ended | items
            hold(items)

    def all_settled(self, iteration: int) -> bool:
        """Whether all starts have ended before the step has: none goes on after this iteration."""
        return max(self.ends) <= iteration + 1 < self.planned
