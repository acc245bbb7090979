"""Images continued beyond their edges."""

from __future__ import annotations

import torch
from torch import Tensor


def pad_mirrored(image: Tensor, before: int, after: tuple[int, int]) -> Tensor:
    """An image (H, W) with ``before`` rows and columns in front and ``after`` behind, mirrored as often as needed."""
    rows, columns = (_mirrored(size, before, end, image.device) for size, end in zip(image.shape, after, strict=True))
    return image[rows][:, columns].contiguous()


def _mirrored(size: int, before: int, after: int, device) -> Tensor:
    index = torch.arange(-before, size + after, device=device) % (2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)
