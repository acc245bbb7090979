"""Perceptual loss: distance of two pictures in the features of a network that was trained on photographs.

Two files are understood, and told apart by what is in them: torchvision's VGG-19 (all blocks; DPR compares blocks 4 and
5), and the small normalised VGG-19 up to the first layer of block 3, which is what can be had without 500 MB. Weights
are never part of this package; see ``cdipipe fetch vgg19``.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint_content import check_tensors
from cdipipe.networks.layers.ordered import pad_reflected

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VGG19_CONVS = ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28, 30, 32, 34))
"""Numbers of torchvision's convolutions, block by block."""
KNOWN_FILES = {
    "vgg19-dcbb9e9d.pth": "dcbb9e9d",
    "vgg_normalised_conv3_1.pth": "ff8506173d3a17e7b0fbfbff242c00b6827cfbcd7c21852b46806ae6a3fd7b09",
}
"""How the SHA-256 of the files that are known by name begins."""
PICTURE_PX = 224
"""Side of the pictures that VGG was trained on; smaller ones are enlarged to it."""


class Vgg19(nn.Module):
    """Outputs of some blocks of torchvision's VGG-19, before their pooling."""

    def __init__(self, weights: dict[str, Tensor], blocks: tuple[int, ...] = (4, 5)):
        super().__init__()
        self.blocks = blocks
        for name in (f"features.{n}" for numbers in VGG19_CONVS[: max(blocks)] for n in numbers):
            self.register_buffer(name.replace(".", "_") + "_weight", weights[f"{name}.weight"].float())
            self.register_buffer(name.replace(".", "_") + "_bias", weights[f"{name}.bias"].float())
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W), 0 to 1, to the features of each block."""
        x, features = (pictures - self.mean) / self.std, []
        for block, numbers in enumerate(VGG19_CONVS[: max(self.blocks)], 1):
            if block > 1:
                x = functional.max_pool2d(x, 2)
            for n in numbers:
                weight, bias = getattr(self, f"features_{n}_weight"), getattr(self, f"features_{n}_bias")
                x = torch.relu(functional.conv2d(x, weight, bias, padding=1))
            if block in self.blocks:
                features.append(x)
        return features


class NormalisedVgg19(nn.Module):
    """The first layers of VGG-19, scaled so that each channel is 1 on average; outputs of relu2_1 and relu3_1."""

    LAYERS = (2, 5, 9, 12, 16)
    TAKEN = (9, 16)
    POOLED_BEFORE = (9, 16)

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        for number in (0, *self.LAYERS):
            self.register_buffer(f"weight_{number}", weights[f"{number}.weight"].float())
            self.register_buffer(f"bias_{number}", weights[f"{number}.bias"].float())

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W), 0 to 1, to the features of each layer taken."""
        x, features = functional.conv2d(pictures, self.weight_0, self.bias_0), []
        for number in self.LAYERS:
            if number in self.POOLED_BEFORE:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            x = pad_reflected(x, (1, 1))
            x = torch.relu(functional.conv2d(x, getattr(self, f"weight_{number}"), getattr(self, f"bias_{number}")))
            if number in self.TAKEN:
                features.append(x)
        return features


@functools.lru_cache(maxsize=2)
def load_features(file: str, device: str = "cpu") -> nn.Module:
    """The feature network of a weights file.

    Raises
    ------
    InputError   no such file, one that holds neither network, or a known name with other content
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"perceptual weights {file}: no such file; `cdipipe fetch vgg19` says where they are")
    _check_content(path)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader's exceptions are many, and none says more than this
        raise InputError(f"perceptual weights {file}: cannot be read ({str(error).splitlines()[0][:80]})") from None
    check_tensors(weights, f"perceptual weights {file}")
    try:
        known = Vgg19 if "features.0.weight" in weights else NormalisedVgg19
        return known(weights).to(device).requires_grad_(False).eval()
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"perceptual weights {file}: {error} is missing; expected torchvision's VGG-19 or vgg_normalised_conv3_1"
        ) from None


def _check_content(path: Path) -> None:
    known = KNOWN_FILES.get(path.name)
    if known is None:
        return
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(known):
        raise InputError(
            f"perceptual weights {path}: SHA-256 {found[:16]}...; expected {known[:16]}...; download it again"
        )


def perceptual_error(features: nn.Module, prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean of |feature(p) - feature(t)| per sample, averaged over the layers of ``features``.

    Parameters
    ----------
    prediction, target : (B, H, W), 0 to 1; grey pictures, enlarged to at least 224 pixels
    """
    side = max(PICTURE_PX, *prediction.shape[-2:]) if isinstance(features, Vgg19) else max(prediction.shape[-2:])
    pictures = torch.stack([prediction, target], dim=1).flatten(0, 1)[:, None]
    if side > max(prediction.shape[-2:]):
        pictures = functional.interpolate(pictures, (side, side), mode="bilinear", align_corners=False)
    layers = features(pictures.expand(-1, 3, -1, -1))
    errors = [(x[0::2] - x[1::2]).abs().mean((1, 2, 3)) for x in layers]
    return torch.stack(errors).mean(0)
