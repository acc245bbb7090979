"""The loop of a joint step: all frames of a movie as one start, told to the same watch as any other step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.optics import fourier
from cdipipe.phasing.ends import Ends
from cdipipe.phasing.loop import Watch
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.runs import Runs, light_scores, score_object
from cdipipe.phasing.starts import Start
from cdipipe.phasing.steps import JointRun
from cdipipe.phasing.task import Task
from cdipipe.progress import progress


@dataclass(frozen=True)
class Frames:
    """What a joint step makes of a movie of T frames; arrays centred."""

    objects: np.ndarray
    """(T, *grid) complex64, on the scale of the photons"""
    supports: np.ndarray
    """(T, *grid) bool"""
    error_trace: np.ndarray
    """(iterations,) float32: R-factor of all frames together"""


def phase_movie(task: Task, recipe, start: Start, _keep) -> list[Runs]:
    """One joint step on all frames; every frame's result as its only run."""
    name, parameters = recipe.steps[0]
    problems = [task.problem(index, recipe) for index in task.indices()]
    with progress(parameters.iterations, name) as bar:
        watch = Watch(bar.update, task.show(problems[0]), recipe.preview_every)
        run = get_method(name).on("movie").begin(problems, start, parameters, recipe, task.seed, watch)
        frames = run_frames(run, watch)
    return [
        Runs(object_[None], support, frames.error_trace[None], _scores(problem, recipe, object_))
        for problem, object_, support in zip(problems, frames.objects, frames.supports, strict=True)
    ]


def _scores(problem, recipe, object_):
    return score_object(problem, object_) | light_scores(problem, recipe, 1)


def run_frames(run: JointRun, watch: Watch) -> Frames:
    """All iterations of a joint step, with the early stop and the mean of the last objects."""
    recipe, planned = run.recipe, run.parameters.iterations
    ends = Ends(1, planned, recipe.average_last, recipe.stop_below)
    state = _FirstFrame(run, torch.full((1, planned), torch.nan, device=run.problems[0].device))
    iterations = run.iterate()
    for iteration, r_factor in enumerate(iterations):
        state.record(r_factor)
        ends.average(iteration, lambda: torch.from_numpy(run.objects()))
        watch.tick()
        watch.show(state)
        ends.settle(iteration, state, lambda _items: None)
        if ends.all_settled(iteration):
            break
    iterations.close()
    watch.show(state, last=True)
    mean = ends.mean()
    objects = run.objects() if mean is None else mean.numpy()
    return Frames(_constrain(objects, run.problems), run.supports(), state.error_trace[0, : state.done].cpu().numpy())


def _constrain(objects: np.ndarray, problems) -> np.ndarray:
    """The nearest objects that satisfy the constraint; where the support is, the method knows."""
    problem = problems[0]
    if problem.constraint == "support":
        return objects
    everywhere = torch.ones(problem.shape, dtype=torch.bool, device=problem.device)
    waves = torch.from_numpy(objects.copy()).to(problem.device)
    return problem.project_object(waves, everywhere).cpu().numpy()


@dataclass
class _FirstFrame:
    """A joint step as previews see it: as the only start of its first frame."""

    run: JointRun
    error_trace: torch.Tensor
    done: int = 0

    def record(self, r_factor: float | torch.Tensor) -> None:
        self.error_trace[:, self.done] = r_factor
        self.done += 1

    @property
    def exit_wave(self) -> torch.Tensor:
        return self._corner(self.run.objects())

    @property
    def support(self) -> torch.Tensor:
        return self._corner(self.run.supports())

    def _corner(self, frames: np.ndarray) -> torch.Tensor:
        return fourier.to_corner(torch.from_numpy(frames[:1].copy()), frames.ndim - 1)
