"""What the hexplane kernels compute, in plain PyTorch: the definition that compiled code is tested against.

Any float dtype and device. Samples broadcast against each other: points are ``(batch, N, channels)`` for each plane,
blocks ``(batch, [T], X, Y, Z, channels)`` with 1 for the axes that a plane lacks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PLANE_AXES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # xy xz yz xt yt zt: axes of rows and columns
PAIRS = ((0, 5), (1, 4), (2, 3))  # xy zt, xz yt, yz xt: a plane and the one of the two other axes


def _sample_plane(plane: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Bilinear samples (batch, count, channels) of a plane (batch, n, m, channels) at ``count`` positions."""
    batch, channels = plane.shape[0], plane.shape[-1]
    if plane.numel() == 0 or rows.numel() == 0:
        return plane.new_zeros(batch, rows.numel(), channels) + 0 * plane.sum()
    grid = torch.stack((columns, rows), -1).nan_to_num(nan=-1).detach().expand(batch, 1, -1, 2)
    sampled = F.grid_sample(plane.movedim(-1, 1), grid, padding_mode="border", align_corners=True)
    return sampled[:, :, 0].transpose(1, 2)


def fuse(samples: Sequence[Tensor], fusion: str) -> Tensor:
    """Fuse plane samples that broadcast against each other; channels last."""
    if fusion == "concatenation":
        return torch.cat(torch.broadcast_tensors(*samples), -1)
    if fusion in ("pairs", "pair_sum"):
        products = [samples[a] * samples[b] for a, b in PAIRS]
        return torch.cat(products, -1) if fusion == "pairs" else sum(products)
    total = samples[0]
    for sample in samples[1:]:
        total = total * sample if fusion == "product" else total + sample
    return total


def _fuse_backward(samples: Sequence[Tensor], fusion: str, grad: Tensor) -> list[Tensor]:
    """Gradients of :func:`fuse` with respect to each plane's samples."""
    if fusion in ("sum", "concatenation"):
        parts = grad.chunk(len(samples), -1) if fusion == "concatenation" else [grad] * len(samples)
    elif fusion == "product":
        others = [[other for other in samples if other is not sample] for sample in samples]
        parts = [grad * fuse(rest, "product") for rest in others]
    else:
        of_pair = grad.chunk(3, -1) if fusion == "pairs" else [grad] * 3
        partner = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
        parts = [of_pair[min(k, partner[k])] * samples[partner[k]] for k in range(6)]
    return [part.sum_to_size(sample.shape) for part, sample in zip(parts, samples, strict=True)]


def _taps(coordinates: Tensor, cells: int) -> list[tuple[Tensor, Tensor]]:
    """The two neighbouring cells of each position and their weights."""
    position = ((coordinates.nan_to_num(nan=-1) + 1) / 2 * (cells - 1)).clamp(0, cells - 1)
    near = position.floor().long()
    return [(near, 1 - (position - near)), ((near + 1).clamp(max=cells - 1), position - near)]


def _scatter(plane: Tensor, rows: Tensor, columns: Tensor, grad: Tensor) -> Tensor:
    """The adjoint of :func:`_sample_plane`: gradient of the plane from (batch, count, channels)."""
    out = torch.zeros_like(plane, memory_format=torch.contiguous_format)
    for (row, row_weight), (column, column_weight) in itertools.product(
        _taps(rows, plane.shape[1]), _taps(columns, plane.shape[2])
    ):
        weighted = (row_weight * column_weight)[None, :, None] * grad
        for item, values in zip(out, weighted, strict=True):
            item.index_put_((row, column), values, accumulate=True)
    return out


def _point_positions(planes: Sequence[Tensor], coordinates: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Rows and columns of the points on every plane."""
    return [(coordinates[:, a], coordinates[:, b]) for a, b in PLANE_AXES[: len(planes)]]


def reference_sample_points(planes: Sequence[Tensor], coordinates: Tensor, fusion: str) -> Tensor:
    """Plain PyTorch version of :func:`cdipipe.ops.hexplane.sample_points`; planes (batch, n, m, channels)."""
    positions = _point_positions(planes, coordinates)
    return fuse([_sample_plane(plane, *at) for plane, at in zip(planes, positions, strict=True)], fusion)


def reference_sample_points_backward(
    planes: Sequence[Tensor], coordinates: Tensor, fusion: str, grad: Tensor
) -> list[Tensor]:
    """Gradients of the above with respect to the planes."""
    positions = _point_positions(planes, coordinates)
    samples = [_sample_plane(plane, *at) for plane, at in zip(planes, positions, strict=True)]
    grads = _fuse_backward(samples, fusion, grad)
    return [_scatter(plane, *at, part) for plane, at, part in zip(planes, positions, grads, strict=True)]


def _block_positions(planes: Sequence[Tensor], axes: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, list[int]]]:
    """Rows and columns of each plane's own grid, and the shape in which its samples stand in the block."""
    order = (3, 0, 1, 2)[-len(axes) :]
    found = []
    for a, b in PLANE_AXES[: len(planes)]:
        first, second = (a, b) if order.index(a) < order.index(b) else (b, a)
        grids = dict(zip((first, second), torch.meshgrid(axes[first], axes[second], indexing="ij"), strict=True))
        shape = [len(axes[axis]) if axis in (a, b) else 1 for axis in order]
        found.append((grids[a].reshape(-1), grids[b].reshape(-1), shape))
    return found


def _block_samples(planes: Sequence[Tensor], positions) -> list[Tensor]:
    return [
        _sample_plane(plane, rows, columns).reshape(plane.shape[0], *shape, plane.shape[-1])
        for plane, (rows, columns, shape) in zip(planes, positions, strict=True)
    ]


def reference_sample_block(planes: Sequence[Tensor], axes: Sequence[Tensor], fusion: str) -> Tensor:
    """Plain PyTorch version of :func:`cdipipe.ops.hexplane.sample_block`; planes (batch, n, m, channels)."""
    return fuse(_block_samples(planes, _block_positions(planes, axes)), fusion)


def reference_sample_block_backward(
    planes: Sequence[Tensor], axes: Sequence[Tensor], fusion: str, grad: Tensor
) -> list[Tensor]:
    """Gradients of the above with respect to the planes."""
    positions = _block_positions(planes, axes)
    grads = _fuse_backward(_block_samples(planes, positions), fusion, grad)
    return [
        _scatter(plane, rows, columns, part.reshape(plane.shape[0], -1, plane.shape[-1]))
        for plane, (rows, columns, _), part in zip(planes, positions, grads, strict=True)
    ]
