"""The best iterate so far of every restart in a batch."""

from __future__ import annotations

import torch


class Best:
    """Copies of what scored lowest, item by item.

    On a CPU copies are left out where there is nothing to copy; on a GPU to ask would be to wait for it.

    Attributes
    ----------
    score : (B,) float64, infinite where nothing is kept
    kept_last_offer : bool
        Whether every item of the last offer was the best so far, as far as that is known without waiting: right after
        it there is nothing to restore.
    """

    def __init__(self, count: int, device):
        self.score = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._kept: tuple[torch.Tensor, ...] = ()
        self.kept_last_offer = False

    def offer(self, score: torch.Tensor, *arrays: torch.Tensor) -> None:
        """Keep copies of the items (B, ...) of all arrays whose score is lower than what is kept."""
        better = score < self.score
        if better.is_cpu:
            self.kept_last_offer = bool(better.all())
            if not better.any():
                return
        if not self._kept:
            self._kept = tuple(array.clone() for array in arrays)
        else:
            _copy_items(self._kept, arrays, better)
        self.score = torch.where(better, score, self.score)

    def restore(self, *arrays: torch.Tensor) -> None:
        """Write what is kept over the items of the arrays, as they were offered; others stay."""
        if self._kept:
            _copy_items(arrays, self._kept, torch.isfinite(self.score))

    def pick(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What is kept of each item, of others what the arrays hold; changes nothing. Not to be written to."""
        if not self._kept:
            return arrays
        kept = torch.isfinite(self.score)
        if kept.is_cpu and kept.all():
            return self._kept
        pairs = zip(self._kept, arrays, strict=True)
        return tuple(torch.where(_beside(kept, b), a, b) for a, b in pairs)

    def forget(self, items: torch.Tensor | slice = slice(None)) -> None:
        """Begin anew, for some items or for all."""
        if isinstance(items, torch.Tensor):
            self.score.masked_fill_(items, torch.inf)
        else:
            self.score[items] = torch.inf


def _beside(items: torch.Tensor, array: torch.Tensor) -> torch.Tensor:
    """(B,) shaped to broadcast over an array (B, ...)."""
    return items.reshape(-1, *(1,) * (array.ndim - 1))


def _copy_items(targets, sources, items) -> None:
    whole = items.is_cpu and bool(items.all())
    for target, source in zip(targets, sources, strict=True):
        if whole:
            target.copy_(source)
        elif items.is_cpu:
            target[items] = source[items]
        else:
            torch.where(_beside(items, target), source, target, out=target)
