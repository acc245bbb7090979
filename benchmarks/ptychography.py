"""The measured Siemens star by ptychography: the probe of its single shots, and a picture to compare them with.

The probe that comes with the scan is a first guess: held fixed it leaves an R-factor of 0.44. Here probe modes and
object are refined together from all 516 patterns by rPIE (Maiden et al., Optica 4, 736 (2017),
doi:10.1364/OPTICA.4.000736).
"""

from __future__ import annotations

import bz2
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

PASSES, MODES, PROBE_FROM = 20, 3, 2
STEP, DAMPING = 0.5, 0.2
MARGIN_PX = 2


@dataclass(frozen=True)
class Scan:
    """counts (J, N, N) float32, zero frequency in the corner; places (J, 2) of the probe's corner, pixels; modes."""

    counts: np.ndarray
    places: np.ndarray
    modes: np.ndarray


@dataclass(frozen=True)
class Solved:
    """object (rows, columns) complex64 in which |mean| is about 1; modes (M, N, N); R-factor of the last pass."""

    object: np.ndarray
    modes: np.ndarray
    r_factor: float

    def around(self, place: np.ndarray) -> np.ndarray:
        """Transmission on the probe's array at a place of the scan, (N, N) complex64, by cubic interpolation."""
        size = self.modes.shape[-1]
        whole = np.floor(place).astype(int)
        cut = self.object[whole[0] : whole[0] + size + 1, whole[1] : whole[1] + size + 1]
        parts = (ndimage.shift(part, whole - place, order=3, mode="nearest") for part in (cut.real, cut.imag))
        real, imaginary = parts
        return (real + 1j * imaginary)[:size, :size].astype(np.complex64)


def read_scan() -> Scan:
    """The scan in the folder of measured data: places from the object's corner, the probe scaled to the counts."""
    path = Path(os.environ["CDIPIPE_DATA_DIR"]) / "tike_siemens_star" / "siemens-star-small.npz.bz2"
    with bz2.open(path) as file:
        data = np.load(file)
        counts, probe, places = data["data"][0], data["probe"].reshape(1, 128, 128), data["scan"][0].astype(float)
    probe = probe * np.sqrt(np.quantile(counts.sum((1, 2)), 0.99) / (np.abs(probe) ** 2).sum())
    return Scan(counts, places - places.min(0) + MARGIN_PX, probe)


def solve(scan: Scan, passes: int = PASSES, modes: int = MODES, seed: int = 0) -> Solved:
    """Object and probe modes from all patterns; places are used to a fraction of a pixel by shifting the probe."""
    random, size = np.random.default_rng(seed), scan.counts.shape[-1]
    moduli = torch.from_numpy(np.sqrt(scan.counts))
    probe = torch.from_numpy(_first_modes(scan.modes[0], modes, random))
    whole = np.floor(scan.places).astype(int)
    ramps = [_ramp(fraction, size) for fraction in scan.places - whole]
    object_ = torch.ones(tuple(whole.max(0) + size + 1 + MARGIN_PX), dtype=torch.complex64)
    for done in range(passes):
        difference = 0.0
        for index in random.permutation(len(moduli)):
            row, column = whole[index]
            patch = object_[row : row + size, column : column + size]
            shifted = torch.fft.ifft2(torch.fft.fft2(probe) * ramps[index])
            waves = torch.fft.fft2(shifted * patch, norm="ortho")
            modulus = waves.abs().square().sum(0).sqrt()
            difference += float((modulus - moduli[index]).abs().sum())
            change = torch.fft.ifft2(waves * (moduli[index] / (modulus + 1e-6) - 1), norm="ortho")
            light, matter = shifted.abs().square().sum(0), patch.abs().square()
            towards_probe = patch.conj() * change / ((1 - DAMPING) * matter + DAMPING * matter.max())
            patch += (shifted.conj() * change).sum(0) / ((1 - DAMPING) * light + DAMPING * light.max())
            if done >= PROBE_FROM:
                probe += STEP * torch.fft.ifft2(torch.fft.fft2(towards_probe) * ramps[index].conj())
        scale = np.sqrt(np.quantile(scan.counts.sum((1, 2)), 0.99)) / float(probe.abs().square().sum().sqrt())
        probe, object_ = probe * scale, object_ / scale
        r_factor = difference / float(moduli.sum())
        print(f"ptychography: pass {done + 1} of {passes}, R-factor {r_factor:.3f}", flush=True)
    return Solved(object_.numpy(), probe.numpy(), r_factor)


def _first_modes(probe: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The given probe, then weak tilted copies of it: higher modes find their shape from them."""
    row, column = np.mgrid[: probe.shape[0], : probe.shape[1]] - probe.shape[0] // 2
    tilts = [np.ones_like(row)] + [0.1 * (row * a + column * b) / 32 for a, b in random.normal(size=(count - 1, 2))]
    return np.stack([probe * tilt for tilt in tilts]).astype(np.complex64)


def _ramp(fraction: np.ndarray, size: int) -> torch.Tensor:
    frequency = torch.fft.fftfreq(size)
    turns = frequency[:, None] * float(fraction[0]) + frequency[None, :] * float(fraction[1])
    return torch.polar(torch.ones_like(turns), -2 * np.pi * turns)
