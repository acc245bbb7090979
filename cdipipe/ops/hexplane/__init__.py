"""Features of a neural field that are factorised into planes: bilinear samples of xy, xz, yz (and xt, yt, zt), fused.

:func:`sample_block` is for regular blocks, where each plane is sampled once on its own two axes and then broadcast;
:func:`sample_points` takes any points. float32 planes go to compiled code where it exists, all others to
:mod:`cdipipe.ops.hexplane.reference`. Only planes have gradients, coordinates have none.

**Planes** are ``(..., n, m, channels)``: channels last, which makes a sample a few contiguous loads; the first letter
of a plane's name runs along n, the second along m. Leading axes are a batch (of seeds, say) that shares coordinates.
Each plane may have its own resolution.

**Coordinates** are in [-1, 1] with corners aligned: -1 and 1 are the centres of the first and the last cell. What lies
outside, and NaN, is moved to the border.

**Fusions**

=============  ============================================  ==================
name           value                                         channels
=============  ============================================  ==================
product        product of all planes                         channels
sum            sum of all planes                             channels
concatenation  all planes side by side                       3 or 6 x channels
pairs          xy zt, xz yt, yz xt side by side (six planes)  3 x channels
pair_sum       xy zt + xz yt + yz xt (six planes)             channels
=============  ============================================  ==================

A linear layer after a concatenation is better applied to the planes first: ``sum`` of ``plane @ weight_of_plane`` gives
the same and moves fewer bytes.

References
----------
HexPlane: Cao and Johnson, CVPR 2023, doi:10.1109/CVPR52729.2023.00021; K-Planes: Fridovich-Keil et al., CVPR 2023,
doi:10.1109/CVPR52729.2023.01201
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cdipipe.ops.complaint import fail
from cdipipe.ops.hexplane.autograd import EagerBlock  # registers torch.ops.cdipipe.* as well
from cdipipe.ops.hexplane.reference import reference_sample_block, reference_sample_points  # noqa: F401

STATIC_FUSIONS = ("product", "sum", "concatenation")
FUSIONS = (*STATIC_FUSIONS, "pairs", "pair_sum")
PLANE_NAMES = ("xy", "xz", "yz", "xt", "yt", "zt")


def _check_planes(planes: Sequence[Tensor], fusion: str) -> None:
    if len(planes) not in (3, 6):
        fail("planes", f"{len(planes)} of them", "3 (xy, xz, yz) or 6 (and xt, yt, zt)")
    allowed = FUSIONS if len(planes) == 6 else STATIC_FUSIONS
    if fusion not in allowed:
        fail("fusion", f"'{fusion}' with {len(planes)} planes", ", ".join(allowed))
    first = planes[0]
    if first.dtype not in (torch.float32, torch.float64):
        fail("planes dtype", first.dtype, "torch.float32, torch.float64")
    for name, plane in zip(PLANE_NAMES, planes, strict=False):
        if plane.ndim < 3 or min(plane.shape[-3:]) < 1:
            fail(f"plane {name} shape", tuple(plane.shape), "(..., n, m, channels), none of the last three 0")
        if plane.shape[:-3] != first.shape[:-3] or plane.shape[-1] != first.shape[-1]:
            wanted = f"(*{tuple(first.shape[:-3])}, n, m, {first.shape[-1]}), like plane xy"
            fail(f"plane {name} shape", tuple(plane.shape), wanted)
        _check_like(f"plane {name}", plane, first)


def _check_like(name: str, tensor: Tensor, first: Tensor) -> None:
    if tensor.dtype != first.dtype or tensor.device != first.device:
        fail(name, f"{tensor.dtype} on {tensor.device}", f"{first.dtype} on {first.device}, like plane xy")


def _check_coordinates(name: str, tensor: Tensor, first: Tensor) -> None:
    _check_like(name, tensor, first)
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} requires a gradient, but coordinates have none; use {name}.detach()")


def _flatten(planes: Sequence[Tensor]) -> list[Tensor]:
    """One batch axis in front; a list that autograd and the dispatcher take."""
    return [plane.reshape(-1, *plane.shape[-3:]) if plane.ndim != 4 else plane for plane in planes]


def sample_block(planes: Sequence[Tensor], axes: Sequence[Tensor], fusion: str) -> Tensor:
    """Fused features on the regular block that one coordinate array per axis spans.

    Parameters
    ----------
    planes : 3 or 6 tensors (..., n, m, channels) float32 or float64
        xy, xz, yz and, with time, xt, yt, zt.
    axes : 3 or 4 tensors (X,), (Y,), (Z,), (T,) of the planes' dtype, in [-1, 1]
        Need be neither evenly spaced nor sorted: random frames are fine.
    fusion : see the module's table

    Returns
    -------
    (..., X, Y, Z, fused channels), or (..., T, X, Y, Z, fused channels) with time in front, contiguous

    Raises
    ------
    ValueError
        An argument does not fit; the message gives what was got and what is allowed.
    """
    _check_planes(planes, fusion)
    if len(axes) != (3 if len(planes) == 3 else 4):
        fail("axes", f"{len(axes)} with {len(planes)} planes", "x, y, z with 3 planes; x, y, z, t with 6")
    for name, axis in zip("xyzt", axes, strict=False):
        if axis.ndim != 1:
            fail(f"axis {name} shape", tuple(axis.shape), "one dimension")
        _check_coordinates(f"axis {name}", axis, planes[0])
    flat = _flatten(planes)
    if torch.compiler.is_compiling():
        fused = torch.ops.cdipipe.hexplane_block(flat, list(axes), fusion)
    else:
        fused = EagerBlock.apply(fusion, len(flat), *flat, *axes)
    return fused.reshape(*planes[0].shape[:-3], *fused.shape[1:])


def sample_points(planes: Sequence[Tensor], coordinates: Tensor, fusion: str) -> Tensor:
    """Fused features at single points.

    Parameters
    ----------
    planes : 3 or 6 tensors (..., n, m, channels) float32 or float64
        xy, xz, yz and, with time, xt, yt, zt.
    coordinates : (N, 3) with three planes, (N, 4) with six, of the planes' dtype, in [-1, 1]
        x, y, z[, t] of each point.
    fusion : see the module's table

    Returns
    -------
    (..., N, fused channels), contiguous

    Raises
    ------
    ValueError
        An argument does not fit; the message gives what was got and what is allowed.
    """
    _check_planes(planes, fusion)
    wanted = 3 if len(planes) == 3 else 4
    if coordinates.ndim != 2 or coordinates.shape[1] != wanted:
        fail("coordinates shape", tuple(coordinates.shape), f"(N, {wanted}) with {len(planes)} planes")
    _check_coordinates("coordinates", coordinates, planes[0])
    fused = torch.ops.cdipipe.hexplane_points(_flatten(planes), coordinates, fusion)
    return fused.reshape(*planes[0].shape[:-3], *fused.shape[1:])
