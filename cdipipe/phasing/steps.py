"""One step of a recipe on its way: what a method brings to the loop that runs it.

The loop takes one R-factor after another from :meth:`StepRun.iterate` and does in between what recipes ask of every
method, see ``cdipipe.phasing.loop``; it asks the run for what it needs. Imports no torch, so that a method of one file
can derive from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class StepRun(ABC):
    """One step of a batch of B restarts; arrays in FFT order. A method derives from it and writes ``iterate``.

    Parameters
    ----------
    state : State
        Its ``exit_wave`` and ``support`` are what the step begins with. A run may replace them as it goes.
    problem : Problem
    parameters : those of the step
    recipe : Recipe
    watch : Watch
    """

    def __init__(self, state, problem, parameters, recipe, watch):
        self.state, self.problem, self.parameters = state, problem, parameters
        self.recipe, self.watch = recipe, watch
        self.ticks_ahead = 0
        self._held: Tensor | None = None
        self._kept: tuple[Tensor, ...] = ()

    @abstractmethod
    def iterate(self) -> Iterator[Tensor]:
        """The (B,) R-factor of every iteration, as it is done; NaN for a start that has ended by itself."""

    def projected(self) -> Tensor:
        """P_M u of this iteration, (B, *grid), from which shrink-wrap finds the support.

        Methods whose support rests refuse ``shrink_wrap`` and have none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no projected object: its method must refuse shrink_wrap")

    def estimate(self) -> Tensor:
        """The objects that this iteration stands for, (B, *grid)."""
        return self.problem.project_object(self.projected(), self.state.support)

    def support_rests(self, iteration: int) -> bool:
        """Whether the support is to stay as it is from this iteration on."""
        return False

    def forget(self, items: Tensor | None = None) -> None:  # noqa: B027  most methods keep no scores
        """Scores of before no longer compare, for some items (B,) bool or all: their support or light was changed."""

    def leave(self) -> tuple[Tensor, Tensor]:
        """Exit waves and supports with which the next step would go on if this one ended here; changes nothing."""
        return self.state.exit_wave, self.state.support

    def finish(self, exit_wave: Tensor, support: Tensor) -> Tensor:
        """The objects that exit waves stand for after this step, as the last one of a recipe."""
        return exit_wave

    def hold(self, items: Tensor) -> None:
        """Some items (B,) bool have settled: what they would leave here is their result."""
        found = self._all_that_is_left()
        if self._held is None:
            self._held, self._kept = items, tuple(part.clone() for part in found)
            return
        self._kept = tuple(_where(items, new, old) for new, old in zip(found, self._kept, strict=True))
        self._held = self._held | items

    def result(self) -> tuple[Tensor, Tensor]:
        """Exit waves and supports at the end, of items that were held those of then."""
        found = self._all_that_is_left()
        if self._held is not None:
            found = tuple(_where(self._held, old, new) for new, old in zip(found, self._kept, strict=True))
            if len(found) > 2:
                self.problem.set_light(found[2], self.problem.background)
        return found[0], found[1]

    def _all_that_is_left(self) -> tuple[Tensor, ...]:
        """What ``leave`` gives, and the coherence widths where each item has its own."""
        width = self.problem.coherence_px
        each = getattr(width, "ndim", 0) > 0
        return (*self.leave(), width) if each else self.leave()

    def tick(self) -> None:
        """Tell of an iteration ahead of its R-factor, for methods whose iterations do not come in their order."""
        self.ticks_ahead += 1
        self.watch.tick()


class JointRun(ABC):
    """A joint step of the T frames of a movie on its way; a method derives from it.

    Parameters
    ----------
    problems : list of Problem, one for each frame
    start : Start
    parameters : those of the step
    recipe : Recipe
    seed : int
    watch : Watch
    """

    def __init__(self, problems, start, parameters, recipe, seed, watch):
        self.problems, self.start, self.parameters = problems, start, parameters
        self.recipe, self.seed, self.watch = recipe, seed, watch

    @abstractmethod
    def iterate(self) -> Iterator[float | Tensor]:
        """The R-factor of all frames together at every iteration, as it is done: a number, or (1,) on the device."""

    @abstractmethod
    def objects(self) -> np.ndarray:
        """(T, *grid) complex64, centred, on the scale of the photons: what this iteration stands for, or the result."""

    @abstractmethod
    def supports(self) -> np.ndarray:
        """(T, *grid) bool, centred."""


class UpdateRun(StepRun):
    """Iterations of a method that is one update after another."""

    def __init__(self, method, *arguments):
        super().__init__(*arguments)
        self.method, self._projected = method, None

    def iterate(self) -> Iterator[Tensor]:
        from cdipipe.ops import graphs

        def update(exit_wave, support):
            return method.update(exit_wave, self.problem, support, own, iteration)

        state, method, own, replayed = self.state, self.method, self.parameters, {}
        alike = method.kind and self.problem.model.is_ideal  # other light may be changed on the way
        replays = alike and graphs.pay(state.exit_wave, own.iterations)
        for iteration in range(own.iterations):
            if replays:
                if (kind := method.kind(own, iteration)) not in replayed:
                    replayed[kind] = graphs.Replayed(update)
                found = replayed[kind](state.exit_wave, state.support)
            else:
                found = method.update(state.exit_wave, self.problem, state.support, own, iteration)
            state.exit_wave, self._projected, r_factor = found
            yield r_factor

    def projected(self) -> Tensor:
        return self._projected

    def finish(self, exit_wave: Tensor, support: Tensor) -> Tensor:
        if self.method.estimate:
            return self.method.estimate(exit_wave, self.problem, support, self.parameters)
        projected, _ = self.problem.impose_modulus(exit_wave)
        return self.problem.project_object(projected, support)


def _where(items: Tensor, some: Tensor, others: Tensor) -> Tensor:
    import torch

    return torch.where(items.reshape(-1, *(1,) * (some.ndim - 1)), some, others)
