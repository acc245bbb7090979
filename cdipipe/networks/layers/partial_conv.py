"""Partial convolutions: what is missing under the window is made up for from what is there.

    x' = K (x * M)  sum W / sum_M W     where any pixel under the window is valid, 0 elsewhere

Plain partial convolution has equal weights W; DPR's weighted one takes them from the intensity that a sphere of the
object's size would scatter, so that a lost pixel near the centre counts for what it would have held.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdipipe.networks.layers.ordered import ReflectedConv2d
from cdipipe.ops.wpc import guinier_porod_weights, renormalise, window_ratio

WEIGHTINGS = ("guinier_porod", "flat")


class PartialConv(nn.Module):
    """Bias-free convolution with reflected borders that knows which pixels are valid.

    Parameters
    ----------
    channels_in, channels_out, kernel, stride : int
        ``kernel`` is odd; borders are reflected by half of it.
    object_box_px : int
        Side of the box that holds the object; input size / box is the oversampling ratio of the Guinier-Porod weights.
    weighting : ``guinier_porod`` or ``flat``

    References
    ----------
    Liu et al., ECCV 2018, doi:10.1007/978-3-030-01252-6_6; Lee et al., npj Comput. Mater. (2025), eqs. 1-2
    """

    def __init__(self, channels_in, channels_out, kernel, stride, object_box_px, weighting="guinier_porod"):
        super().__init__()
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting: got '{weighting}'; allowed: {', '.join(WEIGHTINGS)}")
        self.kernel, self.stride = kernel, stride
        self.object_box_px, self.weighting = object_box_px, weighting
        self.conv = ReflectedConv2d(channels_in, channels_out, kernel, stride)

    def weights(self, shape, device=None) -> Tensor:
        """(H, W) float32 weight of each pixel of the layer's input."""
        if self.weighting == "flat":
            return torch.ones(shape, device=device)
        return guinier_porod_weights(tuple(shape), min(shape) / self.object_box_px, device)

    def ratio(self, measured: Tensor) -> tuple[Tensor, Tensor]:
        """(ratio float32, valid bool), both (..., h, w) on the output's grid; needed once per mask, not per sample."""
        return window_ratio(
            measured, self.weights(measured.shape[-2:], measured.device), self.kernel, self.stride, self.kernel // 2
        )

    def forward(self, x: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) and mask (H, W) or (B, H, W) bool to those of the output's grid."""
        ratio, valid = self.ratio(measured)
        masked = torch.where(_with_channels(measured), x, 0)
        features = self.conv(masked)
        if features.dtype in (torch.bfloat16, torch.float16):  # mixed precision: ratios have up to 24 bits
            features = features.float()
        return renormalise(features, ratio), valid


def _with_channels(mask: Tensor) -> Tensor:
    return mask.unsqueeze(-3)


class PartialConvLayer(nn.Module):
    """Partial convolution, batch normalisation, ReLU."""

    def __init__(self, *arguments, **options):
        super().__init__()
        self.partial = PartialConv(*arguments, **options)
        self.norm = nn.BatchNorm2d(self.partial.conv.out_channels)

    def forward(self, x: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        features, valid = self.partial(x, measured)
        return torch.relu(self.norm(features)), valid
