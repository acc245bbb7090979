"""The one Fourier transform of the package; loops that iterate have the same with kept plans, :mod:`cdipipe.ops.fft`.

Two statements hold everywhere. The transform is orthonormal, so sum |u|^2 = sum |Fu|^2 and photons carry over to
the object. Files and public functions keep object centre and zero frequency at index ``N // 2``; only loops work in
FFT order (index 0) and say so with the suffix ``_corner``.
"""

from __future__ import annotations

import functools
import math

import torch


def _axes(ndim: int) -> tuple[int, ...]:
    return tuple(range(-ndim, 0))


def to_corner(array: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Move the centre from ``N // 2`` to index 0 along the last ``ndim`` axes.

    Parameters
    ----------
    array : (..., *grid) of any dtype
    ndim : number of grid axes
    """
    return torch.fft.ifftshift(array, dim=_axes(ndim))


def to_centre(array: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Move the centre from index 0 to ``N // 2`` along the last ``ndim`` axes.

    Parameters
    ----------
    array : (..., *grid) of any dtype
    ndim : number of grid axes
    """
    return torch.fft.fftshift(array, dim=_axes(ndim))


def forward_corner(exit_wave: torch.Tensor, ndim: int = 2, scaled: bool = True) -> torch.Tensor:
    """Orthonormal transform of an array in FFT order, to FFT order.

    Parameters
    ----------
    exit_wave : (..., *grid) complex, FFT order
    ndim : number of grid axes
    scaled : False: what comes is larger by ``sqrt(pixels)``, for whoever scales on another way

    Returns
    -------
    (..., *grid) complex; the sum of squared moduli is that of ``exit_wave``
    """
    return torch.fft.fftn(exit_wave, dim=_axes(ndim), norm="ortho" if scaled else "backward")


def inverse_corner(wavefront: torch.Tensor, ndim: int = 2, scaled: bool = True) -> torch.Tensor:
    """Orthonormal transform back, the inverse of :func:`forward_corner`.

    Parameters
    ----------
    wavefront : (..., *grid) complex, FFT order
    ndim : number of grid axes
    scaled : False: larger by ``sqrt(pixels)``
    """
    return torch.fft.ifftn(wavefront, dim=_axes(ndim), norm="ortho" if scaled else "forward")


def forward(exit_wave: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Orthonormal transform from a centred exit wave to a centred wavefront.

    Parameters
    ----------
    exit_wave : (..., H, W) or (..., D, H, W) complex
    ndim : number of transformed axes, counted from the last
    """
    return to_centre(forward_corner(to_corner(exit_wave, ndim), ndim), ndim)


def inverse(wavefront: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Inverse of :func:`forward`.

    Parameters
    ----------
    wavefront : (..., *grid) complex, centred at ``N // 2``
    ndim : number of grid axes
    """
    return to_centre(inverse_corner(to_corner(wavefront, ndim), ndim), ndim)


def forward_real_corner(image: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Orthonormal transform of a real array in FFT order; the last axis holds the non-negative frequencies only.

    Parameters
    ----------
    image : (..., *grid) real, FFT order
    ndim : number of grid axes

    Returns
    -------
    (..., H, W // 2 + 1) complex
    """
    return torch.fft.rfftn(image, dim=_axes(ndim), norm="ortho")


def inverse_real_corner(half: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Inverse of :func:`forward_real_corner` for real arrays of ``shape``.

    Parameters
    ----------
    half : (..., H, W // 2 + 1) complex, FFT order
    shape : of the grid

    Returns
    -------
    (..., *shape) real
    """
    return torch.fft.irfftn(half, s=tuple(shape), dim=_axes(len(shape)), norm="ortho")


def forward_box_corner(box: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """:func:`forward_corner` of a box (..., h, w) in the first rows and columns of a (H, W) array of zeros.

    Parameters
    ----------
    box : (..., [d,] h, w) complex
    shape : ([D,] H, W), not smaller than the box

    Returns
    -------
    (..., [D,] H, W) complex, FFT order
    """
    for axis in range(-1, -len(shape) - 1, -1):
        box = torch.fft.fft(box, n=shape[axis], dim=axis, norm="ortho")
    return box


def inverse_box_corner(wavefront: torch.Tensor, box: tuple[int, ...]) -> torch.Tensor:
    """The first rows and columns (..., h, w) of :func:`inverse_corner`, at half its cost for a small box.

    Parameters
    ----------
    wavefront : (..., [D,] H, W) complex, FFT order
    box : ([d,] h, w)
    """
    for axis in range(-len(box), 0):
        wavefront = torch.fft.ifft(wavefront, dim=axis, norm="ortho").narrow(axis, 0, box[axis])
    return wavefront


def multiply_even_corner(
    image: torch.Tensor, half_kernel: torch.Tensor, ndim: int = 2, scaled: bool = True
) -> torch.Tensor:
    """F [kernel * F^-1 image] of a real array and a real kernel that is even under r -> -r.

    Parameters
    ----------
    image : (..., H, W) real; in either order, since a shift commutes with a convolution
    half_kernel : (..., H, W // 2 + 1) real, FFT order: the half that the transform of a real array needs
    ndim : number of grid axes
    scaled : False: larger by the number of pixels, for a kernel that was divided by it
    """
    spectrum = torch.fft.rfftn(image, dim=_axes(ndim)).mul_(half_kernel)
    norm = "backward" if scaled else "forward"
    return torch.fft.irfftn(spectrum, s=image.shape[-ndim:], dim=_axes(ndim), norm=norm)


def autocorrelation_corner(block: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Autocorrelation sum_x u(x + r) u*(x) of a small object, on a grid that holds all its lags without wrapping.

    Parameters
    ----------
    block : (..., h, w) complex, the box that holds the object
    ndim : number of grid axes

    Returns
    -------
    (..., s, s) complex, FFT order, s >= twice the object's extent along each axis
    """
    shape = tuple(2 * size for size in block.shape[-ndim:])
    power = torch.fft.fftn(block, s=shape, dim=_axes(ndim)).abs().square_()
    return torch.fft.ifftn(power, dim=_axes(ndim))


def intensity_of_autocorrelation_corner(lags: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """|F u|^2 on a grid of ``shape`` from the autocorrelation of u: the small half of the transforms is all it takes.

    Parameters
    ----------
    lags : from :func:`autocorrelation_corner`, possibly times an even real kernel; not larger than ``shape``
    shape : of the pattern

    Returns
    -------
    (..., *shape) real, FFT order
    """
    ndim, half = len(shape), lags.shape[-1] // 2 + 1
    wave = lags[..., :half]
    for axis in range(-ndim, -1):
        size, (head, tail) = shape[axis], wave.tensor_split((wave.shape[axis] // 2,), dim=axis)
        gap = list(wave.shape)
        gap[axis] = size - wave.shape[axis]
        wave = torch.fft.fft(torch.cat((head, wave.new_zeros(gap), tail), dim=axis), dim=axis)
    return torch.fft.hfft(wave, n=shape[-1], dim=-1) / math.prod(shape)


def frequencies_corner(shape: tuple[int, ...], device=None) -> list[torch.Tensor]:
    """Signed pixel frequencies of each axis in FFT order, shaped to broadcast over the last ``len(shape)`` axes.

    Parameters
    ----------
    shape : of the grid
    device : torch device, default the CPU

    Returns
    -------
    one float tensor for each axis, whole numbers in pixels
    """
    axes = []
    for axis, size in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = size
        axes.append((torch.fft.fftfreq(size, device=device) * size).reshape(view))
    return axes


def gaussian_corner(shape: tuple[int, ...], widths: tuple[float, ...], device=None) -> torch.Tensor:
    """exp(-sum_i k_i^2 / (2 w_i^2)) with pixel offsets k and standard deviations w; (*shape) float32, FFT order.

    Parameters
    ----------
    shape : of the grid
    widths : standard deviation along each axis, px, > 0
    device : torch device, default the CPU
    """
    offsets = frequencies_corner(shape, device)
    rows = [torch.exp(-0.5 * (k / width) ** 2) for k, width in zip(offsets, widths, strict=True)]
    return functools.reduce(torch.mul, rows)


def gaussian_blur_corner(image: torch.Tensor, sigma_px: float, ndim: int = 2) -> torch.Tensor:
    """Periodic Gaussian blur of a real array, peak at zero offset, sum kept.

    Parameters
    ----------
    image : (..., H, W) real; works in either order, since a shift commutes with a convolution
    sigma_px : standard deviation in pixels; 0 returns the image
    ndim : number of grid axes
    """
    if sigma_px <= 0:
        return image
    shape = image.shape[-ndim:]
    spectrum = torch.fft.rfftn(image, dim=_axes(ndim))
    for q, size in zip(frequencies_corner(shape, image.device), shape, strict=True):
        transfer = torch.exp(-2 * (torch.pi * sigma_px / size) ** 2 * q.square())
        spectrum.mul_(transfer[..., : spectrum.shape[-1]])
    return torch.fft.irfftn(spectrum, s=shape, dim=_axes(ndim))


def shift_subpixel(array: torch.Tensor, shift_px: tuple[float, ...]) -> torch.Tensor:
    """Shift a complex array periodically by a fraction of a pixel, with a phase ramp in Fourier space.

    Parameters
    ----------
    array : (..., *grid) complex; the shifted axes last
    shift_px : one for each shifted axis; positive shifts move content to higher indices
    """
    ndim = len(shift_px)
    shape = array.shape[-ndim:]
    phase = sum(
        q * (s / size) for q, s, size in zip(frequencies_corner(shape, array.device), shift_px, shape, strict=True)
    )
    spectrum = torch.fft.fftn(array, dim=_axes(ndim))
    return torch.fft.ifftn(spectrum * torch.exp(-2j * torch.pi * phase), dim=_axes(ndim))
