"""Density, three components of displacement and the strain tensor of one crystal from several of its reflections.

Each rocking curve is phased by itself first. The objects are carried to a grid fixed to the sample, laid over each
other (shift and twin, by their shapes), and the displacement follows from the phases by least squares. Then density and
displacement are fitted to all patterns together with Adam. A reflection can be withheld: how well it is predicted tells
whether the others can be trusted.

Several reflections of one crystal were first phased together by Newton et al., Nat. Mater. 9, 120 (2010),
doi:10.1038/nmat2607 (separately), and Gao et al., Phys. Rev. B 103, 014102 (2021), doi:10.1103/PhysRevB.103.014102.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage

from cdipipe.bragg.fields import fields_of, shape_of
from cdipipe.bragg.multipeak_start import Begin, begins_of
from cdipipe.bragg.several import Peak, SampleGrid, grid_for
from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.optics.bragg_frame import bragg_frame
from cdipipe.progress import progress

MODEL_ERROR = 0.003
"""Squared relative misfit that stays without any noise: interpolation, resolution, what the model leaves out."""

COPLANAR = 0.1
"""Smallest singular value of the unit scattering vectors below which a component of displacement is not determined."""

CLEARLY_LESS = 0.98
"""Misfit, over that with the twins that the shapes prefer, below which other twins are taken."""


class _Fit(NamedTuple):
    density: torch.Tensor
    displacement: torch.Tensor
    offsets: torch.Tensor
    misfit: float


@dataclass(frozen=True)
class Settings:
    """How the crystal is fitted.

    Parameters
    ----------
    iterations : Adam steps; 0: what separate phasing says, by least squares
    learning_rate : first step, in units of the density and of a phase in rad; falls along half a cosine
    smoothness : weight of the squared second differences of the displacement, in rad^2
    withhold : index of the reflection that is kept for a check, or None
    """

    iterations: int = 150
    learning_rate: float = 0.03
    smoothness: float = 0.3
    withhold: int | None = None


@dataclass(frozen=True)
class Crystal:
    """A crystal in the sample's frame; arrays (n, n, n), NaN outside.

    Parameters
    ----------
    density : float32, about 1 inside
    inside : bool
    displacement_nm : (3, n, n, n) float32; mean and mean gradient inside are zero
    strain : (3, 3, n, n, n) float32, symmetric part of the displacement's gradient
    rotation_rad : (3, n, n, n) float32, half of its curl
    grid : SampleGrid
    r_factors : of every reflection, the withheld one too
    started : which reflections gave the first displacement
    numbers : plain data
    notes : sentences for the reader
    """

    density: np.ndarray
    inside: np.ndarray
    displacement_nm: np.ndarray
    strain: np.ndarray
    rotation_rad: np.ndarray
    grid: SampleGrid
    r_factors: tuple[float, ...]
    started: tuple[int, ...]
    numbers: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fit_crystal(
    measurements: Sequence[Measurement], objects: Sequence[np.ndarray], settings: Settings = Settings()
) -> Crystal:
    """Fit one crystal to several rocking curves.

    Parameters
    ----------
    measurements : two to five, of stack ``volume``, with complete geometries
    objects : (D, H, W) complex of each, phased by itself; the first one decides place and twin
    settings : Settings

    Raises
    ------
    InputError   fewer than two reflections, directions that do not differ, or a first object that is no crystal
    """
    if not 2 <= len(measurements) <= 5 or len(objects) != len(measurements):
        raise InputError(f"multipeak takes two to five reflections and an object of each; got {len(measurements)}")
    used = [index for index in range(len(measurements)) if index != settings.withhold]
    if len(used) < 2:
        raise InputError("multipeak: at least two reflections must remain beside the withheld one")
    frames = [bragg_frame(m.geometry, m.intensity.shape) for m in measurements]
    first = fields_of(objects[used[0]], frames[used[0]])
    diameter = float(np.linalg.norm(np.ptp(first.frame.places_nm(np.argwhere(first.inside)), axis=0)))
    grid = grid_for([frames[index] for index in used], diameter)
    peaks = [Peak(measurement, grid) for measurement in measurements]
    notes = _check_directions([peaks[index].q_per_nm.numpy() for index in used])
    trust = _trust([peaks[index] for index in used])
    weights = dict(zip(used, trust, strict=True))
    begins = begins_of(first, objects, frames, weights, grid)
    fits = [_fit(peaks, weights, begin, settings) for begin in (begins if settings.iterations else begins[:1])]
    least = min(range(len(fits)), key=lambda number: fits[number].misfit)
    chosen = least if fits[least].misfit < CLEARLY_LESS * fits[0].misfit else 0
    begin, (density, displacement, offsets, _) = begins[chosen], fits[chosen]
    started = tuple(begin.along)
    return _finish(peaks, density, displacement, offsets, started, grid, settings, notes)


def _trust(peaks: list[Peak]) -> list[float]:
    """Weight of every reflection, at most 1: the least misfit that noise and model allow, over what its own allow."""
    allowed = [MODEL_ERROR + peak.noise for peak in peaks]
    return [min(allowed) / each for each in allowed]


def _check_directions(vectors: list[np.ndarray]) -> tuple[str, ...]:
    """What the directions of the scattering vectors leave undetermined."""
    units = np.array([vector / np.linalg.norm(vector) for vector in vectors])
    _, sizes, directions = np.linalg.svd(units)
    if sizes[1] < COPLANAR:
        raise InputError("multipeak: all scattering vectors have one direction; other reflections are needed")
    if len(sizes) > 2 and sizes[2] >= COPLANAR:
        return ()
    lost = ", ".join(f"{part:.2f}" for part in directions[2])
    return (
        f"the scattering vectors lie in one plane: the displacement along ({lost}) of the sample is not determined",
    )


def _fit(peaks: list[Peak], trust: dict[int, float], begin: Begin, settings: Settings) -> _Fit:
    """Adam on density, displacement and the peaks' offsets together; the last misfit beside them."""
    density, displacement = begin.density, begin.displacement(peaks, trust)
    support = torch.from_numpy(ndimage.binary_dilation(density > 0.3, iterations=2))
    unit = min(1 / float(torch.linalg.norm(peaks[index].q_per_nm)) for index in trust)  # nm per rad
    rho = torch.from_numpy(density.astype(np.float32).clip(0, 2)).requires_grad_()
    u = torch.from_numpy((displacement / unit).astype(np.float32)).requires_grad_()
    offsets = torch.zeros(len(peaks), 3)
    for index in trust:
        offsets[index] = _offset(peaks[index], rho * support, u * unit)
    offsets.requires_grad_()
    optimiser = torch.optim.Adam(
        [{"params": [rho, u]}, {"params": [offsets], "lr": 0.1 * settings.learning_rate}], lr=settings.learning_rate
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, max(settings.iterations, 1), 0.05 * settings.learning_rate
    )
    last = np.inf
    with progress(settings.iterations, "multipeak") as bar:
        for _ in range(settings.iterations):
            optimiser.zero_grad()
            inside = rho.clamp(min=0) * support
            loss = sum(
                weight * peaks[i].misfit(peaks[i].predicted_modulus(peaks[i].object_of(inside, u * unit, offsets[i])))
                for i, weight in trust.items()
            )
            loss = loss + settings.smoothness * _roughness(u, inside.detach())
            loss.backward()
            optimiser.step()
            schedule.step()
            last = loss.item()
            bar.update(1, note=f"misfit {last:.4f}")
    return _Fit((rho.clamp(min=0) * support).detach(), (u * unit).detach(), offsets.detach(), last)


def _roughness(u: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean squared second difference of the displacement inside."""
    total = torch.zeros(())
    for axis in (1, 2, 3):
        second = u.roll(1, axis) - 2 * u + u.roll(-1, axis)
        total = total + (second.square() * weight).sum() / weight.sum()
    return total


@torch.no_grad()
def _offset(peak: Peak, density: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """Where the measured peak lies against the predicted one, in pixels: the maximum of their correlation."""
    predicted = peak.predicted_modulus(peak.object_of(density, displacement, torch.zeros(3))).square()
    measured = peak.modulus.square() * peak.measured
    cross = torch.fft.ifftn(torch.fft.fftn(measured) * torch.fft.fftn(predicted).conj()).real
    place = np.unravel_index(int(cross.argmax()), cross.shape)
    return torch.tensor([float((p + n // 2) % n - n // 2) for p, n in zip(place, cross.shape, strict=True)])


def _finish(peaks, density, displacement, offsets, started, grid, settings: Settings, notes) -> Crystal:
    if settings.withhold is not None:
        offsets[settings.withhold] = _refined_offset(peaks[settings.withhold], density, displacement)
    with torch.no_grad():
        r_factors = tuple(
            peak.r_factor(peak.predicted_modulus(peak.object_of(density, displacement, offset)))
            for peak, offset in zip(peaks, offsets, strict=True)
        )
    rho, u = density.numpy(), displacement.numpy().astype(float)
    inside = shape_of(rho.astype(complex))
    u = np.where(inside, u - affine(u, inside), np.nan)
    slopes = gradient(u, grid.voxel_nm)
    strain = (slopes + np.swapaxes(slopes, 0, 1)) / 2
    curl = [slopes[j, i] - slopes[i, j] for i, j in ((1, 2), (2, 0), (0, 1))]
    bulk = ndimage.binary_erosion(inside)
    return Crystal(
        density=rho,
        inside=inside,
        displacement_nm=u.astype(np.float32),
        strain=strain.astype(np.float32),
        rotation_rad=(np.array(curl) / 2).astype(np.float32),
        grid=grid,
        r_factors=r_factors,
        started=started,
        numbers={
            "reflections": len(peaks),
            "withheld": settings.withhold,
            "rms_strain": {n: _rms(strain[i, j][bulk]) for n, (i, j) in COMPONENTS.items()},
            "offsets_px": offsets.numpy().tolist(),
        },
        notes=notes,
    )


COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def _refined_offset(peak: Peak, density, displacement) -> torch.Tensor:
    """Offset of a peak that was not fitted, to a fraction of a pixel."""
    offset = _offset(peak, density, displacement).requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        peak.misfit(peak.predicted_modulus(peak.object_of(density, displacement, offset))).backward()
        optimiser.step()
    return offset.detach()


def affine(u: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean and mean gradient of each component inside, everywhere.

    Parameters
    ----------
    u : (C, n, n, n)
    inside : (n, n, n) bool

    Returns
    -------
    (C, n, n, n) float64, linear in the place
    """
    places = np.argwhere(inside)
    design = np.column_stack([places, np.ones(len(places))])
    fits = [np.linalg.lstsq(design, component[inside], rcond=None)[0] for component in u]
    index = np.indices(inside.shape)
    return np.stack([np.tensordot(fit[:3], index, 1) + fit[3] for fit in fits])


def gradient(u: np.ndarray, voxel_nm: float) -> np.ndarray:
    """Derivatives du_i / dx_j: the mean of the steps to both sides, or the one that stays inside.

    Parameters
    ----------
    u : (3, n, n, n) in nm, NaN outside
    voxel_nm : edge of a voxel

    Returns
    -------
    (3, 3, n, n, n) float64, NaN where no neighbour has a value
    """
    found = np.full((3, *u.shape), np.nan)
    for axis in range(3):
        step = np.diff(u, axis=axis + 1, append=np.nan)
        both = np.stack([step, np.roll(step, 1, axis + 1)])
        known = np.isfinite(both)
        count = known.sum(0)
        total = np.where(known, both, 0).sum(0)
        found[:, axis] = np.where(count > 0, total / np.maximum(count, 1), np.nan) / voxel_nm
    return found
