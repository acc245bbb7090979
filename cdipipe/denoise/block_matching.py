"""Block matching and collaborative filtering (BM3D): similar blocks are stacked, transformed and shrunk together.

Two stages. The first thresholds the 3D spectrum of a stack of similar noisy blocks; the second finds the stacks again
in the first result and applies the Wiener filter that it suggests. All stacks are treated together as tensors.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

from cdipipe.networks.layers.mirror import pad_mirrored

BLOCK = 8
STEP = 3
"""Pixels between the blocks that look for others like them."""
REACH = 16
"""Blocks are compared up to so many pixels apart, along each axis."""
STACK = 16
HARD_THRESHOLD = 2.7
"""In units of the noise."""


@functools.cache
def _cosines(size: int) -> Tensor:
    """Orthonormal DCT-II as a (size, size) matrix."""
    k, n = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi * (n + 0.5) * k / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


@functools.cache
def _haar(size: int) -> Tensor:
    """Orthonormal Haar transform as a (size, size) matrix; ``size`` is a power of 2."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        fine = torch.kron(torch.eye(len(matrix)), torch.tensor([[1.0, -1.0]]))
        matrix = torch.cat([torch.kron(matrix, torch.tensor([[1.0, 1.0]])), fine]) / math.sqrt(2)
    return matrix


@functools.cache
def _window() -> Tensor:
    """Weights of a block's pixels when blocks are put together: a Kaiser window softens their edges."""
    line = torch.kaiser_window(BLOCK, periodic=False, beta=2.0)
    return (line[:, None] * line).flatten()


def denoise_by_block_matching(image: Tensor, sigma: float) -> Tensor:
    """An image with less noise.

    Parameters
    ----------
    image : (H, W) float32
    sigma : standard deviation of its white noise

    References
    ----------
    Dabov, Foi, Katkovnik, Egiazarian, IEEE Trans. Image Process. 16, 2080 (2007), doi:10.1109/TIP.2007.901238
    """
    if sigma <= 0:
        return image.clone()
    margin = BLOCK
    padded = pad_mirrored(image.float() / sigma, margin, (margin, margin))
    first = _stage(padded, None)
    second = _stage(padded, first)
    return second[margin : margin + image.shape[0], margin : margin + image.shape[1]] * sigma


def _stage(noisy: Tensor, guide: Tensor | None) -> Tensor:
    """One stage on an image with noise of standard deviation 1; ``guide``: result of the first stage."""
    places = _find_stacks(_prefiltered(noisy) if guide is None else guide)
    spectrum = _transform(_blocks(noisy), places)
    if guide is None:
        kept = spectrum.abs() > HARD_THRESHOLD
        kept[:, 0, 0] = True  # the mean of a stack
        filtered = spectrum * kept
        weight = 1 / kept.sum((1, 2)).clamp(min=1)
    else:
        power = _transform(_blocks(guide), places).square()
        shrink = power / (power + 1)
        filtered = spectrum * shrink
        weight = 1 / shrink.square().sum((1, 2)).clamp(min=1e-3)
    return _put_together(_transform_back(filtered), weight, places, noisy)


def _prefiltered(noisy: Tensor) -> Tensor:
    """A rough estimate in which to look for similar blocks: single blocks, shrunk."""
    blocks = _blocks(noisy)
    dct = _cosines(BLOCK).to(noisy.device)
    spectrum = dct @ blocks.view(-1, BLOCK, BLOCK) @ dct.T
    kept = spectrum.abs() > HARD_THRESHOLD
    kept[:, 0, 0] = True
    clean = dct.T @ (spectrum * kept) @ dct
    places = torch.arange(len(blocks), device=noisy.device)[:, None]
    return _put_together(clean.flatten(1)[:, None], 1 / kept.sum((1, 2)), places, noisy)


def _blocks(image: Tensor) -> Tensor:
    """Every block of an image: (blocks, 64), row by row."""
    return image.unfold(0, BLOCK, 1).unfold(1, BLOCK, 1).reshape(-1, BLOCK * BLOCK)


def _find_stacks(image: Tensor) -> Tensor:
    """(references, STACK) numbers of the blocks most similar to each reference block, itself among them."""
    rows, columns = (size - BLOCK + 1 for size in image.shape)
    top, left = (_grid(size, image.device) for size in (rows, columns))
    wide = functional.pad(image, (REACH,) * 4, value=math.inf)
    own = image
    distances, numbers = [], []
    for down in range(-REACH, REACH + 1):
        shifted_rows = wide[REACH + down : REACH + down + image.shape[0]]
        # all columns' shifts of this row shift together
        shifted = shifted_rows.unfold(1, image.shape[1], 1).permute(1, 0, 2)
        squares = (shifted - own).square_()
        sums = _box_sums(squares, top, left)
        distances.append(sums.flatten(1).T)
        across = torch.arange(-REACH, REACH + 1, device=image.device)
        place = ((top[:, None] + down) * columns + left).flatten()
        numbers.append(place[:, None] + across)
    distance, number = torch.cat(distances, 1), torch.cat(numbers, 1)
    distance[:, distance.shape[1] // 2] = -1  # the block itself comes first, even among equals
    size = min(STACK, 1 << int(math.log2(rows * columns)), distance.shape[1])
    chosen = distance.topk(size, dim=1, largest=False)
    places = number.gather(1, chosen.indices)
    return torch.where(torch.isfinite(chosen.values), places, places[:, :1])


def _grid(size: int, device) -> Tensor:
    """Every STEP-th position, and the last."""
    return torch.unique(torch.cat([torch.arange(0, size, STEP), torch.tensor([size - 1])])).to(device)


def _box_sums(squares: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Sums over the blocks whose corners are at (top, left): (shifts, tops, lefts)."""
    total = squares[:, top]
    for offset in range(1, BLOCK):
        total = total + squares[:, top + offset]
    result = total[:, :, left]
    for offset in range(1, BLOCK):
        result = result + total[:, :, left + offset]
    return result


def _transform(blocks: Tensor, places: Tensor) -> Tensor:
    """3D spectra of stacks, (references, STACK, 64)."""
    dct = _cosines(BLOCK).to(blocks.device)
    both = torch.kron(dct, dct)
    return _haar(places.shape[1]).to(blocks.device) @ (blocks @ both.T)[places]


def _transform_back(spectrum: Tensor) -> Tensor:
    dct = _cosines(BLOCK).to(spectrum.device)
    return (_haar(spectrum.shape[1]).to(spectrum.device).T @ spectrum) @ torch.kron(dct, dct)


def _put_together(stacks: Tensor, weight: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Weighted mean of all blocks at their places."""
    columns = like.shape[1] - BLOCK + 1
    line = torch.arange(BLOCK, device=like.device)
    corner = (places // columns) * like.shape[1] + places % columns
    pixels = corner[..., None] + (line[:, None] * like.shape[1] + line).flatten()
    factor = (weight[:, None, None] * _window().to(like.device)).expand_as(stacks)
    count = like.numel()
    total = torch.zeros(count, device=like.device).index_add_(0, pixels.flatten(), (stacks * factor).flatten())
    norm = torch.zeros(count, device=like.device).index_add_(0, pixels.flatten(), factor.flatten())
    return (total / norm.clamp(min=1e-12)).view(like.shape)
