"""What reconstructions begin with: given objects and supports, or random ones that depend on a seed and a number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.phasing.workers import run_jobs


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


def random_starts(problem, support, which: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Random modulus and phase inside the support, with the measured number of photons.

    Parameters
    ----------
    support : (*grid) or (B, *grid) bool, FFT order
    which : (seed, index) of each start; on every device the same numbers

    Returns
    -------
    (B, *grid) complex64
    """
    drawn = _draw(problem, which, lambda generator: torch.rand((2, *problem.shape), generator=generator))
    modulus, phase = drawn.unbind(1)
    if problem.constraint == "support":
        waves = torch.polar(modulus, 2 * torch.pi * phase) * support
    else:
        waves = problem.project_object(torch.complex(modulus, torch.zeros_like(modulus)), support)
    norms = waves.abs().square().flatten(1).sum(1).sqrt().clamp(min=1e-20)
    return waves * (problem.object_photons**0.5 / norms).reshape(-1, *(1,) * problem.ndim)


def warm_starts(problem, initial, which: Sequence[tuple[int, int]]) -> torch.Tensor:
    """The given object (*grid) for the start of index 0, and with 10 % of complex noise for others: (B, *grid)."""
    waves = initial.expand(len(which), *problem.shape).clone()
    others = [place for place, (_, index) in enumerate(which) if index]
    if others:
        drawn = _draw(
            problem,
            [which[place] for place in others],
            lambda generator: torch.view_as_complex(torch.randn((*problem.shape, 2), generator=generator)),
        )
        waves[others] = initial + 0.1 * initial.abs() * drawn
    return waves


def _draw(problem, which, draw: Callable[[torch.Generator], torch.Tensor]) -> torch.Tensor:
    """Random numbers of each start from its own generator, stacked; beside a GPU all cores draw them."""
    jobs = [restart_generator(seed, index) for seed, index in which]
    if problem.device.type == "cpu":
        return torch.stack([draw(generator) for generator in jobs])
    return torch.stack(list(run_jobs(draw, jobs, torch.device("cpu"), threading.Event()))).to(problem.device)
