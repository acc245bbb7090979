"""The iterations of generalised proximal smoothing, with what they go back to."""

from __future__ import annotations

from cdipipe.methods.gps.primal_dual import PrimalDual
from cdipipe.optics.fourier import gaussian_corner
from cdipipe.phasing.best import Best
from cdipipe.phasing.schedule import walk
from cdipipe.phasing.steps import StepRun


class GpsRun(StepRun):
    """Iterate from z = P_T A u, y = 0; go back to the best (z, y) so far at every change of a parameter.

    The best is the one whose estimate P_S A^-1 z has the lowest R-factor; an item whose support moved begins anew.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        own = self.parameters
        self._pair = PrimalDual(self.problem, self.state.exit_wave, own.primal_step, own.dual_step)
        self._best = Best(len(self.state.support), self.problem.device)
        self._projected = None

    def iterate(self):
        own, pair, current = self.parameters, self._pair, None
        for iteration, block, ends in walk(own.blocks()):
            if block is not current:
                if not self._best.kept_last_offer:  # a stage ends with a comparison: right after it we are there
                    self._best.restore(pair.wavefront, pair.dual)
                pair.set_stage(block.values[0], **_filter(own, block.values[1], self.problem))
                current = block
            r_factor, self._projected = pair.advance(self.state.support), None
            if ends or (iteration + 1) % own.check_every == 0:
                self.projected()
            yield r_factor

    def projected(self):
        """A^-1 z; its first look in an iteration scores the estimate and keeps the pair where it is the best so far."""
        if self._projected is None:
            self._projected = self._pair.project()
            self.state.exit_wave = self.estimate()
            score = self.problem.r_factor(self.state.exit_wave)
            self._best.offer(score, self._pair.wavefront, self._pair.dual)
        return self._projected

    def support_rests(self, iteration):
        return iteration >= round((1 - self.parameters.settle) * self.parameters.iterations)

    def forget(self, items=None):
        self._best.forget(slice(None) if items is None else items)

    def leave(self):
        self.projected()
        wavefront, _ = self._best.pick(self._pair.wavefront, self._pair.dual)
        return self.problem.project_object(self.problem.model.invert(wavefront), self.state.support), self.state.support


def _filter(parameters, width, problem):
    """The factor that smooths y: on wavefronts exp(-s k^2 / (2 alpha^2)) (R), on the object exp(-x^2 / (2 w^2)) (F)."""
    if parameters.variant == "F":
        return {"window": gaussian_corner(problem.shape, (width,) * problem.ndim, problem.device)}
    widths = tuple(width * size / parameters.dual_step**0.5 for size in problem.shape)
    return {"low_pass": gaussian_corner(problem.shape, widths, problem.device)}
