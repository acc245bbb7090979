"""The modules of CDI NN: from the modulus of a 32 x 32 pattern to an object, by convolutions alone.

The paper has two networks of one structure, one for the shape and one for the phase; our own variant, in
``layers.complex_heads``, has one network with the real and the imaginary part as its outputs, half the work, and no
need to fix the global phase.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from cdipipe.networks.layers.complex_heads import encoder_decoder, fold_norms

SHAPE_CUT = 0.1
"""The paper's threshold on the predicted shape: below it there is no object."""


class ShapePhase(nn.Module):
    """The paper's two networks; outputs are the logits of the shape and of (phase + pi) / 2 pi."""

    def __init__(self, widths: tuple[int, ...], batch_norm: bool):
        super().__init__()
        self.shape = encoder_decoder(1, 1, widths, batch_norm)
        self.phase = encoder_decoder(1, 1, widths, batch_norm)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.shape(inputs), self.phase(inputs)], 1)

    def fold(self) -> None:
        self.shape, self.phase = fold_norms(self.shape), fold_norms(self.phase)

    @staticmethod
    def to_objects(outputs: torch.Tensor) -> torch.Tensor:
        """(B, H, W) complex64; zero where the shape is not above ``SHAPE_CUT``."""
        shape, phase = torch.sigmoid(outputs.float()).unbind(1)
        shape = torch.where(shape > SHAPE_CUT, shape, torch.zeros_like(shape))
        return torch.polar(shape, 2 * math.pi * (phase - 0.5))


def scale_inputs(modulus: torch.Tensor, gain: float) -> torch.Tensor:
    """(B, H, W) modulus on any scale to the network's input (B, 1, H, W), largest value ``gain``."""
    return (modulus * (gain / modulus.amax((-2, -1), keepdim=True).clamp(min=1e-12)))[:, None]
