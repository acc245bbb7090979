"""One crystal and the rocking curves of several of its reflections: the forward model, differentiable.

The crystal lives on a cubic grid fixed to the sample: a density and the three components of the displacement. For a
reflection Q both are carried to the skewed grid of its rocking curve by linear interpolation, before the complex
object ``density * exp(-i Q.u)`` is formed there and transformed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import grid_sample

from cdipipe.measurement import Measurement
from cdipipe.optics import fourier
from cdipipe.optics.bragg_frame import BraggFrame, bragg_frame

FINER = 0.6
"""Edge of the sample's voxels over that of the rocking curves' ones: linear interpolation blurs what is coarser."""


@dataclass(frozen=True)
class SampleGrid:
    """Cubes fixed to the sample; index ``N // 2`` is the origin, axes 0, 1, 2 are the sample's x, y, z.

    Parameters
    ----------
    size : voxels per axis
    voxel_nm : edge of a cube
    """

    size: int
    voxel_nm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        return (self.size,) * 3

    def indices(self, places_nm: np.ndarray) -> np.ndarray:
        """Indices (..., 3), whole or not, of places (..., 3) in nm.

        Parameters
        ----------
        places_nm : (..., 3) in the sample's frame; index ``size // 2`` is the origin

        Returns
        -------
        (..., 3) float64
        """
        return np.asarray(places_nm) / self.voxel_nm + self.size // 2


class Peak:
    """One rocking curve, ready to be compared with a crystal.

    Parameters
    ----------
    measurement : of stack ``volume``, with a complete geometry
    grid : of the crystal

    Attributes
    ----------
    frame : BraggFrame
    q_per_nm : (3,) float32, scattering vector in the sample's frame
    modulus : (D, H, W) float32, FFT order, square roots of photons
    noise : misfit (see :meth:`misfit`) that counting alone leaves: a square root of photons has the variance 1/4, less
        where hardly any arrive
    """

    def __init__(self, measurement: Measurement, grid: SampleGrid):
        self.frame = bragg_frame(measurement.geometry, measurement.intensity.shape)
        to_sample = self.frame.sample_to_lab.T
        self.q_per_nm = torch.from_numpy((to_sample @ self.frame.q_per_nm).astype(np.float32))
        counts = torch.from_numpy(np.asarray(measurement.intensity, np.float32)).clamp(min=0)
        measured = torch.from_numpy(np.broadcast_to(measurement.measured, measurement.intensity.shape).copy())
        self.modulus = fourier.to_corner(counts.sqrt(), 3).contiguous()
        self.measured = fourier.to_corner(measured, 3).contiguous()
        self.photons = float((counts * measured).sum(dtype=torch.float64))
        seen = counts * measured
        self.noise = float(seen.clamp(max=0.25).sum(dtype=torch.float64)) / max(self.photons, 1.0)
        self._modulus_sum = float((self.modulus * self.measured).sum(dtype=torch.float64))
        places = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in self.frame.shape), indexing="ij"), axis=-1)
        index = grid.indices(places @ (to_sample @ self.frame.voxels_nm).T)
        spot = 2 * index[..., ::-1] / (grid.size - 1) - 1  # grid_sample wants x, y, z = last, middle, first axis
        self._spots = torch.from_numpy(spot.astype(np.float32))[None]
        self._places = torch.from_numpy((places / np.array(self.frame.shape)).astype(np.float32))

    def object_of(self, density: torch.Tensor, displacement_nm: torch.Tensor, offset_px: torch.Tensor) -> torch.Tensor:
        """The complex object (D, H, W) on the grid of the rocking curve, centred.

        Parameters
        ----------
        density : (n, n, n)
        displacement_nm : (3, n, n, n) in the sample's frame
        offset_px : (3,) how far the peak lies off the array's centre
        """
        along = torch.einsum("i,i...->...", self.q_per_nm, displacement_nm)
        both = torch.stack([density, along])[None]
        carried = grid_sample(both, self._spots, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
        phase = 2 * torch.pi * (self._places @ offset_px) - carried[1]
        return torch.polar(carried[0], phase)

    def predicted_modulus(self, object_: torch.Tensor) -> torch.Tensor:
        """Square roots of the photons of an object, FFT order, scaled so that they fit the measured ones best.

        Parameters
        ----------
        object_ : (D, H, W) complex, centred at ``N // 2``

        Returns
        -------
        (D, H, W) real, sqrt(photons); zero frequency at index 0
        """
        modulus = fourier.forward_corner(fourier.to_corner(object_, 3), 3).abs()
        seen = modulus * self.measured
        scale = (seen * self.modulus).sum() / seen.square().sum().clamp(min=1e-20)
        return scale * modulus

    def misfit(self, modulus: torch.Tensor) -> torch.Tensor:
        """Squared distance of moduli over the photons.

        Parameters
        ----------
        modulus : (D, H, W) real, sqrt(photons), see :meth:`predicted_modulus`

        Returns
        -------
        scalar tensor without unit, differentiable
        """
        return ((modulus - self.modulus) * self.measured).square().sum() / self.photons

    def r_factor(self, modulus: torch.Tensor) -> float:
        """Mean distance of moduli over the mean modulus, on the measured pixels.

        Parameters
        ----------
        modulus : (D, H, W) real, sqrt(photons), see :meth:`predicted_modulus`
        """
        return float(((modulus - self.modulus).abs() * self.measured).sum() / self._modulus_sum)


def grid_for(frames: list[BraggFrame], diameter_nm: float, margin: float = 1.5) -> SampleGrid:
    """A grid that holds a crystal of this diameter with room around, as fine as the finest of the rocking curves.

    Parameters
    ----------
    frames : of the rocking curves
    diameter_nm : largest extent of the crystal, nm
    margin : side of the grid over the diameter
    """
    voxel = FINER * min(float(frame.voxel_volume_nm3 ** (1 / 3)) for frame in frames)
    return SampleGrid(2 * int(np.ceil(margin * diameter_nm / (2 * voxel))), voxel)
