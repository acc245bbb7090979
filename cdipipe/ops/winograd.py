"""3 x 3 convolution with reflected borders in a quarter of the multiplications, for inference on a CPU.

Winograd's minimal filtering F(4 x 4, 3 x 3): an output tile of 4 x 4 pixels takes 36 products per pair of channels
instead of 144. The products over all tiles are 36 matrix products; the transforms around them are compiled code.
Rounding errors are a few 1e-6 of the largest output. Images here are (B, H, W, C), channels next to each other.

References
----------
Lavin & Gray, CVPR 2016, doi:10.1109/CVPR.2016.435
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cdipipe.ops import backend

TILE, LANES, PRODUCTS = 4, 16, 36
KERNEL_TO_POINTS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def fits(height: int, width: int, channels: int, device: torch.device) -> bool:
    """Can the compiled transforms take such an image? Otherwise use a plain convolution."""
    tiles = height % TILE == 0 and width % TILE == 0 and min(height, width) >= TILE
    return tiles and channels % LANES == 0 and device.type == "cpu" and backend.use_native("cpu")


def transform_kernels(kernels: Tensor) -> Tensor:
    """(O, I, 3, 3) to the (36, I, O) matrices that :func:`multiply` takes."""
    points = torch.tensor(KERNEL_TO_POINTS, dtype=torch.float64, device=kernels.device)
    transformed = torch.einsum("pi,qj,ocij->pqco", points, points, kernels.double())
    return transformed.flatten(0, 1).to(kernels.dtype).contiguous()


def _check_image(image: Tensor) -> None:
    dense = image.stride(3) == 1 and image.stride(1) == image.shape[2] * image.stride(2)
    if image.dtype != torch.float32 or not dense or image.stride(0) != image.shape[1] * image.stride(1):
        raise ValueError(f"image: got {image.dtype}, strides {image.stride()}; allowed: float32, rows without gaps")
    if not fits(*image.shape[1:], image.device):
        raise ValueError(
            f"image: got {tuple(image.shape)} on {image.device}; allowed: sides a multiple of {TILE}, channels of "
            f"{LANES}, on a CPU with compiled kernels"
        )


def transform_input(image: Tensor) -> Tensor:
    """(B, H, W, C) float32, possibly some channels of a wider image, to (36, tiles, C)."""
    _check_image(image)
    batch, height, width, channels = image.shape
    points = image.new_empty(PRODUCTS, batch * (height // TILE) * (width // TILE), channels)
    backend.native.winograd_input(
        image.data_ptr(), image.stride(2), points.data_ptr(), *image.shape, torch.get_num_threads()
    )
    return points


def transform_output_(
    products: Tensor, image: Tensor, bias: Tensor, add: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """Write ``relu(convolution + bias + add) + residual`` to ``image`` and return it.

    Parameters
    ----------
    products : (36, tiles, C), from ``torch.bmm(transform_input(x), transform_kernels(k))``
    image : (B, H, W, C) float32, possibly some channels of a wider image
    bias : (C,)
    add : (B, H, W, C), contiguous, optional
    residual : (B, H, W, C) with the strides of ``image``, optional
    """
    _check_image(image)
    if not products.is_contiguous() or products.shape != (PRODUCTS, image.shape[:3].numel() // 16, image.shape[3]):
        raise ValueError(f"products: got {tuple(products.shape)} for an image {tuple(image.shape)}")
    if add is not None and not (add.is_contiguous() and add.shape == image.shape):
        raise ValueError(f"add: got {tuple(add.shape)}; allowed: contiguous {tuple(image.shape)}")
    if residual is not None and (residual.shape != image.shape or residual.stride() != image.stride()):
        raise ValueError(f"residual: got {tuple(residual.shape)}, strides {residual.stride()}; allowed: as image")
    backend.native.winograd_output(
        products.data_ptr(),
        bias.contiguous().data_ptr(),
        0 if add is None else add.data_ptr(),
        0 if residual is None else residual.data_ptr(),
        image.data_ptr(),
        image.stride(2),
        *image.shape,
        torch.get_num_threads(),
    )
    return image


def reference_convolution(
    image: Tensor, kernels: Tensor, bias: Tensor, add: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """``relu(convolution + bias + add) + residual`` in plain PyTorch, (B, H, W, C) to (B, H, W, O)."""
    padded = functional.pad(image.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect")
    out = functional.conv2d(padded, kernels, bias).permute(0, 2, 3, 1)
    out = torch.relu(out if add is None else out + add)
    return out if residual is None else out + residual
