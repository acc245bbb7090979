"""Deep phase retrieval (DPR): one masked diffraction pattern in, one real non-negative object out.

    intensity (B, H, W), mask -> encoder -> features on the object's grid (H / 2^d, W / 2^d)
                              -> base decoder -> picture in [0, 1]
                              -> Fourier projection, compensated decoder -> picture in [0, 1]
                              -> scaled to the photons of the pattern

No layer goes back to the pattern's grid: features on the coarse grid, whose spacing in Fourier space is that of the
object's box, turn into pixels of the box in the decoder's Fourier units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdipipe.networks.layers.ffc import FastFourierConv, ResidualBlock
from cdipipe.networks.layers.partial_conv import PartialConvLayer
from cdipipe.ops.projection import project_modulus
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices

ENCODERS = ("wpc", "pc", "ffc")


class PartialEncoder(nn.Module):
    """(B, 1, H, W) and mask to (B, width 2^d, H / 2^d, W / 2^d): a 7 x 7 layer, then d layers of stride 2."""

    def __init__(self, width: int, downsamplings: int, object_box_px: int, weighting: str):
        super().__init__()
        shapes = [(1, width, 7, 1)] + [(width << i, width << i + 1, 3, 2) for i in range(downsamplings)]
        self.layers = nn.ModuleList(PartialConvLayer(*shape, object_box_px, weighting) for shape in shapes)

    def forward(self, x: Tensor, measured: Tensor) -> Tensor:
        for layer in self.layers:
            x, measured = layer(x, measured)
        return x


class FourierEncoder(nn.Module):
    """The same shapes with fast Fourier convolutions; the mask is a second input channel."""

    def __init__(self, width: int, downsamplings: int):
        super().__init__()
        self.first = FastFourierConv(2, width, kernel=7, first=True)
        self.layers = nn.ModuleList(FastFourierConv(width << i, width << i + 1, stride=2) for i in range(downsamplings))

    def forward(self, x: Tensor, measured: Tensor) -> Tensor:
        mask = measured.to(x.dtype).unsqueeze(-3).expand_as(x)
        pair = self.first(torch.cat([x, mask], dim=1))
        for layer in self.layers:
            pair = layer(*pair)
        return torch.cat(pair, dim=1)


class SeparableConv(nn.Sequential):
    """3 x 3 convolution of each channel by itself, then 1 x 1 across channels; no bias, zeros at the borders."""

    def __init__(self, channels_in: int, channels_out: int):
        depthwise = nn.Conv2d(channels_in, channels_in, 3, padding=1, groups=channels_in, bias=False)
        super().__init__(depthwise, nn.Conv2d(channels_in, channels_out, 1, bias=False))


class Decoder(nn.Module):
    """Features to a picture (B, 1, h, w) in [0, 1]: residual Fourier blocks, narrower layers, sigmoid."""

    def __init__(self, channels_in: int, channels: int, blocks: int, narrowings: int):
        super().__init__()
        self.enter, self.norm = SeparableConv(channels_in, channels), nn.BatchNorm2d(channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks))
        self.narrow = nn.ModuleList(FastFourierConv(channels >> i, channels >> i + 1) for i in range(narrowings))
        self.leave = SeparableConv(channels >> narrowings, 1)

    def forward(self, x: Tensor) -> Tensor:
        pair = torch.relu(self.norm(self.enter(x))).chunk(2, dim=1)
        for layer in (*self.blocks, *self.narrow):
            pair = layer(*pair)
        return torch.sigmoid(self.leave(torch.cat(pair, dim=1)))


class DPR(nn.Module):
    """The whole network.

    Parameters
    ----------
    size : pattern pixels per axis, a multiple of 2^(downsamplings + 1)
    width : channels of the first layer, a multiple of 16
    downsamplings : the object's box has size / 2^downsamplings pixels per axis
    encoder : ``wpc`` weighted partial convolutions, ``pc`` unweighted ones, ``ffc`` fast Fourier convolutions
    compensated : whether the second decoder, which sees the Fourier projection of the first one's picture, is there
    blocks : residual blocks of the first decoder; None: 3, or 6 where it is alone
    compensated_blocks : residual blocks of the second decoder
    input_power : the input is photons, relative to the brightest pixel, to this power

    References
    ----------
    Lee et al., Deep-learning real-time phase retrieval of imperfect diffraction patterns from X-ray free-electron
    lasers, npj Comput. Mater. (2025), supplementary table 1
    """

    def __init__(
        self,
        size: int = 512,
        width: int = 64,
        downsamplings: int = 3,
        encoder: str = "wpc",
        compensated: bool = True,
        blocks: int | None = None,
        compensated_blocks: int = 6,
        input_power: float = 1.0,
    ):
        super().__init__()
        if size % (2 << downsamplings) or width % 16 or width < 16:
            raise ValueError(f"size {size}, width {width}: allowed: multiples of {2 << downsamplings} and of 16")
        if encoder not in ENCODERS:
            raise ValueError(f"encoder: got '{encoder}'; allowed: {', '.join(ENCODERS)}")
        self.size, self.box_px, self.input_power = size, size >> downsamplings, input_power
        channels = width << downsamplings
        if encoder == "ffc":
            self.encoder = FourierEncoder(width, downsamplings)
        else:
            weighting = "guinier_porod" if encoder == "wpc" else "flat"
            self.encoder = PartialEncoder(width, downsamplings, self.box_px, weighting)
        self.base = Decoder(channels, channels, blocks or (3 if compensated else 6), downsamplings)
        self.compensated = Decoder(2, width, compensated_blocks, 0) if compensated else None

    def forward(self, intensity: Tensor, measured: Tensor) -> Tensor:
        """Photons to an object.

        Parameters
        ----------
        intensity : (B, size, size) float, photons, zero frequency centred; negative and masked values count as 0
        measured : (size, size) or (B, size, size) bool; one mask for all is cheaper

        Returns
        -------
        (B, box_px, box_px) float, the box around the object's centre; sum |F object|^2 over measured pixels equals
        the photons measured
        """
        intensity, x = normalise_input(intensity, measured, self.input_power)
        picture = self.base(self.encoder(x.unsqueeze(1), measured))
        if self.compensated is not None:
            picture = self.compensated(torch.cat([picture, fourier_projection(picture, intensity, measured)], dim=1))
        picture = picture.squeeze(1)
        return picture * photon_scale(fourier.forward_box_corner(picture, intensity.shape[-2:]), intensity, measured)


def normalise_input(intensity: Tensor, measured: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """(photons, 0 where they are negative or not measured; input, brightest pixel 1), (B, H, W) each."""
    photons = torch.where(measured, intensity, 0).clamp(min=0)
    brightest = photons.amax(dim=(-2, -1), keepdim=True)
    share = photons / brightest.clamp(min=torch.finfo(photons.dtype).tiny)
    return photons, share if power == 1 else share.pow(power)


def photon_scale(wavefront: Tensor, intensity: Tensor, measured: Tensor) -> Tensor:
    """(B, 1, 1) factor on the object that gives its wavefront, in FFT order, the measured photons.

    ``intensity`` is centred and 0 where it was not measured.
    """
    power = wavefront.real.square() + wavefront.imag.square()
    seen = torch.where(fourier.to_corner(measured), power, 0).sum(dim=(-2, -1), keepdim=True)
    return (intensity.sum(dim=(-2, -1), keepdim=True) / seen.clamp(min=torch.finfo(seen.dtype).tiny)).sqrt()


def fourier_projection(picture: Tensor, intensity: Tensor, measured: Tensor) -> Tensor:
    """(B, 1, h, w): modulus of the picture after its Fourier modulus was replaced by the measured one.

    The measured modulus is brought to the picture's scale; where nothing was measured the picture keeps its own. The
    box sits in a corner of the pattern's grid, which changes no modulus.
    """
    wavefront = fourier.forward_box_corner(picture.squeeze(1), intensity.shape[-2:])
    scale = photon_scale(wavefront, intensity, measured)
    modulus = fourier.to_corner(intensity).sqrt() / scale
    projected, _ = project_modulus(wavefront, modulus, fourier.to_corner(measured))
    return fourier.inverse_box_corner(projected, picture.shape[-2:]).abs().unsqueeze(1)


def centre_box(arrays: Tensor, box_px: int) -> Tensor:
    """(..., N, N) centred to the (..., box, box) around its centre."""
    return arrays[(..., *central_slices(arrays.shape[-2:], (box_px, box_px)))]


def in_whole_grid(boxes: Tensor, size: int) -> Tensor:
    """Inverse of :func:`centre_box` with zeros around, complex64."""
    whole = boxes.new_zeros(*boxes.shape[:-2], size, size, dtype=torch.complex64)
    whole[(..., *central_slices((size, size), boxes.shape[-2:]))] = boxes
    return whole
