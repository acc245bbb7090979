"""DPR made ready for many patterns of one detector: the same function as the network, arranged for speed.

Batch normalisations are folded into the convolutions before them. What depends on the mask alone is computed once per
mask. Features stay channels-last; a partial convolution's ratio, shift, ReLU and the mask of the next layer are one
pass. Local and global features of a Fourier layer are the halves of one image, convolved by minimal filtering.

On a CPU patterns go through one after the other: a batch of them would only leave the caches.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdipipe.networks.dpr.model import DPR, Decoder, PartialEncoder, fourier_projection, normalise_input, photon_scale
from cdipipe.networks.layers.ffc import FastFourierConv, FourierUnit, SpectralTransform, stack_quarters
from cdipipe.ops import winograd, wpc
from cdipipe.optics import fourier


@dataclass(frozen=True)
class MaskPlan:
    """A detector's mask (H, W) and what the encoder's layers need of it."""

    measured: Tensor
    ratios: tuple[Tensor, ...]


def norm_factors(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """(scale, shift) per channel of a batch normalisation with its running statistics."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def scaled(weight: Tensor, scale: Tensor) -> Tensor:
    """Kernels (O, I, h, w) with each output channel scaled, channels-last."""
    return (weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)


class FusedPartialEncoder:
    def __init__(self, encoder: PartialEncoder):
        self.partials = [layer.partial for layer in encoder.layers]
        factors = [norm_factors(layer.norm) for layer in encoder.layers]
        self.kernels = [scaled(p.conv.weight, scale) for p, (scale, _) in zip(self.partials, factors, strict=True)]
        self.shifts = [shift for _, shift in factors]

    def ratios(self, measured: Tensor) -> tuple[Tensor, ...]:
        """Ratios of all layers."""
        ratios = []
        for partial in self.partials:
            ratio, measured = partial.ratio(measured)
            ratios.append(ratio)
        return tuple(ratios)

    def __call__(self, x: Tensor, plan: MaskPlan) -> Tensor:
        """(B, H, W), 0 where nothing was measured, to (B, C, h, w)."""
        last = len(self.partials) - 1
        framed = wpc.first_layer(x, self.kernels[0][:, 0], plan.ratios[0], self.shifts[0]).permute(0, 3, 1, 2)
        for index in range(1, last + 1):
            x = functional.conv2d(framed, self.kernels[index], stride=2)
            # what comes after the encoder knows of no mask: there an invalid pixel holds what the ReLU leaves of 0
            x = wpc.renormalise_(x, plan.ratios[index], self.shifts[index], relu=True, zero_invalid=index < last)
            framed = functional.pad(x, (1, 1, 1, 1), mode="reflect") if index < last else x
        return framed


class PlainEncoder:
    """An encoder without partial convolutions, as it is."""

    def __init__(self, encoder: nn.Module):
        self.encoder = copy.deepcopy(encoder).eval()

    def ratios(self, measured: Tensor) -> tuple[Tensor, ...]:
        return ()

    def __call__(self, x: Tensor, plan: MaskPlan) -> Tensor:
        return self.encoder(x.unsqueeze(1), plan.measured)


class FusedFourierUnit:
    """On contiguous (B, C, H, W)."""

    def __init__(self, unit: FourierUnit):
        scale, shift = norm_factors(unit.norm)
        self.matrix, self.shift = unit.conv.weight[:, :, 0, 0] * scale[:, None], shift[:, None]

    def __call__(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        spectrum = torch.view_as_real(fourier.forward_real_corner(x))
        parts = spectrum.permute(0, 1, 4, 2, 3).reshape(batch, 2 * channels, -1)
        parts = torch.baddbmm(self.shift, self.matrix.expand(batch, -1, -1), parts).relu_()
        parts = parts.view(batch, channels, 2, height, -1)
        return fourier.inverse_real_corner(torch.complex(parts[:, :, 0], parts[:, :, 1]), (height, width))


class FusedSpectralTransform:
    """Global branch of a layer, times the scale of the normalisation after it."""

    def __init__(self, transform: SpectralTransform, scale: Tensor):
        squeeze_scale, shift = norm_factors(transform.norm)
        self.squeeze, self.shift = transform.squeeze.weight[:, :, 0, 0] * squeeze_scale[:, None], shift[:, None]
        self.expand = (transform.expand.weight[:, :, 0, 0] * scale[:, None]).T.contiguous()
        self.whole, self.quarters = FusedFourierUnit(transform.whole), FusedFourierUnit(transform.quarters)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, H, W, C), possibly some channels of a wider image, to (B, H, W, C') contiguous."""
        batch, height, width, channels = x.shape
        pixels = x.reshape(batch, height * width, channels).transpose(1, 2)
        half = torch.baddbmm(self.shift, self.squeeze.expand(batch, -1, -1), pixels).relu_()
        half = half.view(batch, -1, height, width)
        local = self.quarters(stack_quarters(half[:, : half.shape[1] // 4]))
        half = self.whole(half).add_(half)
        quarters = half.view(batch, -1, 2, height // 2, 2, width // 2)
        quarters += local[:, :, None, :, None, :]
        pixels = half.view(batch, -1, height * width).transpose(1, 2)
        return torch.bmm(pixels, self.expand.expand(batch, -1, -1)).view(batch, height, width, -1)


class FusedConv:
    """3 x 3 convolution, shift, what is to be added, ReLU, residual; images are (B, H, W, C)."""

    def __init__(self, weight: Tensor, scale: Tensor, shift: Tensor):
        self.kernels, self.shift = scaled(weight, scale), shift
        self.matrices = winograd.transform_kernels(self.kernels)

    def from_points(self, points: Tensor, out: Tensor, add: Tensor | None, residual: Tensor | None) -> None:
        winograd.transform_output_(torch.bmm(points, self.matrices), out, self.shift, add, residual)

    def from_image(self, x: Tensor, out: Tensor, add: Tensor | None, residual: Tensor | None) -> None:
        out.copy_(winograd.reference_convolution(x, self.kernels, self.shift, add, residual))


class FusedFastFourierConv:
    """Local and global features are the first and the last channels of one image (B, H, W, C)."""

    def __init__(self, layer: FastFourierConv):
        scale_local, shift_local = norm_factors(layer.norm_local)
        scale_global, shift_global = norm_factors(layer.norm_global)
        to_local = torch.cat([layer.local_to_local.weight, layer.global_to_local.weight], dim=1)
        self.to_local = FusedConv(to_local, scale_local, shift_local)
        self.to_global = FusedConv(layer.local_to_global.weight, scale_global, shift_global)
        self.spectral = FusedSpectralTransform(layer.global_to_global, scale_global)

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        half_in, half = x.shape[3] // 2, len(self.to_local.shift)
        y = x.new_empty(*x.shape[:3], 2 * half)
        to_local, to_global = y[..., :half], y[..., half:]
        of_local, of_global = (None, None) if residual is None else (residual[..., :half], residual[..., half:])
        spectral = self.spectral(x[..., half_in:])
        if winograd.fits(*x.shape[1:3], half_in, x.device) and winograd.fits(*x.shape[1:3], half, x.device):
            points = winograd.transform_input(x)
            self.to_local.from_points(points, to_local, None, of_local)
            self.to_global.from_points(points[..., :half_in], to_global, spectral, of_global)
        else:
            self.to_local.from_image(x, to_local, None, of_local)
            self.to_global.from_image(x[..., :half_in], to_global, spectral, of_global)
        return y


class FusedDecoder:
    def __init__(self, decoder: Decoder):
        scale, self.shift = norm_factors(decoder.norm)
        self.enter = decoder.enter[0].weight, scaled(decoder.enter[1].weight, scale)
        self.blocks = [(FusedFastFourierConv(b.first), FusedFastFourierConv(b.second)) for b in decoder.blocks]
        self.narrow = [FusedFastFourierConv(layer) for layer in decoder.narrow]
        self.leave = [conv.weight for conv in decoder.leave]

    def __call__(self, x: Tensor) -> Tensor:
        depthwise, pointwise = self.enter
        x = functional.conv2d(x, depthwise, padding=1, groups=len(depthwise))
        x = functional.conv2d(x, pointwise, self.shift).relu_().permute(0, 2, 3, 1).contiguous()
        for first, second in self.blocks:
            x = second(first(x), residual=x)
        for layer in self.narrow:
            x = layer(x)
        depthwise, pointwise = self.leave
        x = functional.conv2d(x.permute(0, 3, 1, 2), depthwise, padding=1, groups=len(depthwise))
        return functional.conv2d(x, pointwise).sigmoid_()


class FusedDPR:
    """A trained network, in evaluation mode whatever the module's own; later changes of its weights are not seen."""

    @torch.inference_mode()
    def __init__(self, network: DPR):
        partial = isinstance(network.encoder, PartialEncoder)
        self.size, self.box_px, self.input_power = network.size, network.box_px, network.input_power
        self.encoder = FusedPartialEncoder(network.encoder) if partial else PlainEncoder(network.encoder)
        self.base = FusedDecoder(network.base)
        self.compensated = None if network.compensated is None else FusedDecoder(network.compensated)

    @torch.inference_mode()
    def plan(self, measured: Tensor) -> MaskPlan:
        """What can be computed of a detector's mask (H, W) bool before a pattern is there."""
        return MaskPlan(measured, self.encoder.ratios(measured))

    @torch.inference_mode()
    def __call__(self, intensity: Tensor, plan: MaskPlan) -> Tensor:
        """(B, H, W) photons to objects (B, box_px, box_px), as the network gives them."""
        if intensity.device.type == "cpu" and len(intensity) > 1:
            return torch.cat([self(item, plan) for item in intensity.split(1)])
        intensity, x = normalise_input(intensity, plan.measured, self.input_power)
        picture = self.base(self.encoder(x, plan))
        if self.compensated is not None:
            projected = fourier_projection(picture, intensity, plan.measured)
            picture = self.compensated(torch.cat([picture, projected], dim=1))
        picture = picture.squeeze(1)
        wavefront = fourier.forward_box_corner(picture, intensity.shape[-2:])
        return picture * photon_scale(wavefront, intensity, plan.measured)
