"""Every denoiser by name, on real or complex images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cdipipe.networks.layers.mirror import pad_mirrored

KINDS = ("none", "tv", "nlm", "block_matching", "learned", "mean")
FLAT = 1e-12


def denoise(image: Tensor, sigma: float, kind: str, checkpoint: str | None = None) -> Tensor:
    """An image without most of its white Gaussian noise.

    Parameters
    ----------
    image : (H, W) or (D, H, W) real or complex; a volume slice by slice, but for ``tv``
    sigma : standard deviation of the noise, of each of real and imaginary part
    kind : one of KINDS; ``mean``: of ``block_matching`` and ``learned``
    checkpoint : of a trained denoiser, for ``learned`` and ``mean``; None: the one that comes with the package

    Raises
    ------
    ValueError   an unknown kind
    InputError   the checkpoint is none of a denoiser
    """
    if kind not in KINDS:
        raise ValueError(f"denoiser {kind!r}; known: {', '.join(KINDS)}")
    if kind == "none" or not sigma > 0:
        return image.clone()
    if image.is_complex():
        return torch.complex(*(denoise(part, sigma, kind, checkpoint) for part in (image.real, image.imag)))
    if kind == "mean":
        return (denoise(image, sigma, "block_matching") + denoise(image, sigma, "learned", checkpoint)) / 2
    if image.ndim == 3 and kind != "tv":
        return torch.stack([denoise(part, sigma, kind, checkpoint) for part in image])
    if kind == "learned":
        return by_network(image, sigma, checkpoint)
    return {"tv": by_variation, "nlm": by_means, "block_matching": by_blocks}[kind](image, sigma)


def by_variation(image: Tensor, sigma: float) -> Tensor:
    """Total variation (Chambolle), in any number of dimensions.

    References
    ----------
    Chambolle, J. Math. Imaging Vis. 20, 89 (2004), doi:10.1023/B:JMIV.0000011325.36760.1e
    """
    from skimage.restoration import denoise_tv_chambolle

    # the less noise, the less of the little structure is worth giving up: fitted between 20 and 50 dB
    contrast = max(_largest(image) / sigma, 1.0)
    weight = float(np.clip(0.7 * (10 / contrast) ** 0.47, 0.05, 1.0))
    scaled = image.double().cpu().numpy() / sigma
    clean = denoise_tv_chambolle(scaled, weight=weight, max_num_iter=200, eps=1e-5)
    return torch.from_numpy(clean * sigma).to(image)


def by_means(image: Tensor, sigma: float) -> Tensor:
    """Non-local means with patches of 5 pixels.

    References
    ----------
    Buades, Coll, Morel, CVPR 2005, 60, doi:10.1109/CVPR.2005.38
    """
    from skimage.restoration import denoise_nl_means

    margin = 4  # the filter refuses images smaller than its patches
    scaled = pad_mirrored(image.double(), margin, (margin, margin)).cpu().numpy() / sigma
    clean = denoise_nl_means(scaled, patch_size=5, patch_distance=10, h=0.6, sigma=1.0, fast_mode=True)
    return torch.from_numpy(clean[margin:-margin, margin:-margin] * sigma).to(image)


def by_blocks(image: Tensor, sigma: float) -> Tensor:
    """Block matching with collaborative filtering, see ``cdipipe.denoise.block_matching``."""
    from cdipipe.denoise.block_matching import denoise_by_block_matching

    return denoise_by_block_matching(image.float(), sigma).to(image.dtype)


def by_network(image: Tensor, sigma: float, checkpoint: str | None = None) -> Tensor:
    """The trained network, mean over the eight turns of the image, see ``cdipipe.networks.denoiser``."""
    from cdipipe.networks.denoiser.inference import denoise as denoise_by_network
    from cdipipe.networks.denoiser.inference import load_denoiser

    # the network was trained on images whose largest value is 1
    scale = max(_largest(image), sigma, FLAT)
    network = load_denoiser(checkpoint, image.device)
    return (denoise_by_network(network, image.float() / scale, sigma / scale) * scale).to(image.dtype)


def _largest(image: Tensor) -> float:
    """Largest modulus, a few outliers left aside."""
    return float(torch.quantile(image.abs().double().flatten(), 0.995))
