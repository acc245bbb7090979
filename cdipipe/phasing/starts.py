"""What reconstructions begin with: given objects and supports, or random ones that depend on a seed and a number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.errors import InputError


@dataclass(frozen=True)
class Start:
    """What a reconstruction may begin with instead of a random object; arrays centred, shape of the measurement."""

    object: np.ndarray | None = None
    support: np.ndarray | None = None

    def of_pattern(self, index: int, ndim: int) -> Start:
        """What pattern ``index`` of ``ndim`` dimensions begins with: its own entry, or the one for all."""
        return Start(*(_entry(array, index, ndim) for array in (self.object, self.support)))

    def of_patterns(self, indices: list[int], ndim: int) -> Start:
        """What some patterns begin with; one for all stays as it is."""
        some = [a if a is None or a.ndim == ndim else a[indices] for a in (self.object, self.support)]
        return Start(*some)


def _entry(array, index: int, ndim: int):
    if array is None or array.ndim == ndim:
        return array
    if array.ndim == ndim + 1 and index < len(array):
        return array[index]
    raise InputError(f"a start of shape {array.shape} does not fit patterns of {ndim} dimensions, one for each")


def derive_seed(seed: int, index: int) -> int:
    """A seed of its own for part ``index`` of what ``seed`` decides."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])


def restart_generator(seed: int, index: int) -> torch.Generator:
    """The generator of start ``index``: depends on nothing else, so batches and their order do not matter."""
    state = np.random.SeedSequence([seed, index]).generate_state(2, np.uint32)
    generator = torch.Generator("cpu")
    generator.manual_seed(int(state[0]) << 31 ^ int(state[1]))
    return generator


def random_start(problem, support, seed, index):
    """Random modulus and phase inside the support, with the measured number of photons; (*grid) complex64."""
    generator = restart_generator(seed, index)
    modulus, phase = torch.rand((2, *problem.shape), generator=generator).to(problem.device)
    if problem.constraint == "support":
        wave = torch.polar(modulus, 2 * torch.pi * phase) * support
    else:
        wave = problem.project_object(torch.complex(modulus, torch.zeros_like(modulus)), support)
    norm = wave.abs().square().sum().sqrt().clamp(min=1e-20)
    return wave * (problem.object_photons**0.5 / norm)


def warm_start(problem, initial, seed, index):
    """The given object for the first start, and with 10 % of complex noise for the others; (*grid) complex64."""
    if index == 0:
        return initial
    noise = torch.view_as_complex(torch.randn((*problem.shape, 2), generator=restart_generator(seed, index)))
    return initial + 0.1 * initial.abs() * noise.to(problem.device)
