"""The best iterate so far of every restart in a batch."""

from __future__ import annotations

import torch


class Best:
    """Copies of what scored lowest, item by item.

    Attributes
    ----------
    score : (B,) float64, infinite where nothing is kept
    kept_last_offer : bool
        Whether every item of the last offer was the best so far: right after it there is nothing to restore.
    """

    def __init__(self, count: int, device):
        self.score = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._kept: tuple[torch.Tensor, ...] = ()
        self.kept_last_offer = False

    def offer(self, score: torch.Tensor, *arrays: torch.Tensor) -> None:
        """Keep copies of the items (B, ...) of all arrays whose score is lower than what is kept."""
        better = score < self.score
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
        kept = torch.isfinite(self.score)
        if kept.any():
            _copy_items(arrays, self._kept, kept)

    def pick(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What is kept of each item, of others what the arrays hold; changes nothing. Not to be written to."""
        kept = torch.isfinite(self.score)
        if not kept.any():
            return arrays
        if kept.all():
            return self._kept
        pairs = zip(self._kept, arrays, strict=True)
        return tuple(torch.where(kept.reshape(-1, *(1,) * (b.ndim - 1)), a, b) for a, b in pairs)

    def forget(self, items: torch.Tensor | slice = slice(None)) -> None:
        """Begin anew, for some items or for all."""
        self.score[items] = torch.inf


def _copy_items(targets, sources, items) -> None:
    whole = bool(items.all())
    for target, source in zip(targets, sources, strict=True):
        if whole:
            target.copy_(source)
        else:
            target[items] = source[items]
