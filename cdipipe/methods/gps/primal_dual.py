"""One iteration of generalised proximal smoothing on a batch.

    z <- prox_{t g} (z - t A y)          g: misfit of the modulus, softened by sigma; A: object to wavefronts
    r  = v - P_S v,   v = y + s A^-1 (2 z' - z)
    y <- smoothed r

A plane wave makes A unitary. Then the loop keeps F r instead of y: the filter W of the R variant is a factor there,
A y = W F r is what the next primal step needs anyway, and v = F^-1 (W F r + s (2 z' - z)). So smoothing costs no
transform, and an iteration takes two of them, like one of HIO. Probe modes need y in the object domain; A^-1 is then
the least-squares inverse, that is a dual step divided by the illumination, which keeps s t |A|^2 <= 1 on every pixel.
"""

from __future__ import annotations

import torch

from cdipipe.optics import fourier, moduli


class PrimalDual:
    """The pair (z, y) of every restart.

    Parameters
    ----------
    problem : Problem
    exit_wave : (B, *grid) complex64
        Where to begin: z = P_T A u, y = 0.

    Attributes
    ----------
    wavefront : (B, [M,] *grid) complex64
        z, of the object alone where there is a static region
    dual : (B, *grid) complex64
        F r for a plane wave, over ``share`` where transforms do not scale; otherwise y
    """

    def __init__(self, problem, exit_wave: torch.Tensor, t: float, s: float):
        self._problem, self._t, self._s = problem, t, s
        self._plane = problem.model.probe_modes is None
        self._share = moduli.share_of(problem.model, exit_wave)
        self.wavefront = problem.model.propagate(exit_wave)
        problem.relax_modulus_(self.wavefront, torch.zeros_like(self.wavefront))
        self.dual = torch.zeros_like(exit_wave)
        self._low_pass = self._window = None
        self._softness = 0.0

    def set_stage(self, softness: float, low_pass=None, window=None) -> None:
        """Tolerance of the modulus, and a (*grid) factor on wavefronts (R) or on the object (F) that smooths y."""
        self._softness, self._low_pass, self._window = softness, low_pass, window

    def advance(self, support) -> torch.Tensor:
        """One iteration; returns the (B,) R-factor of z - t A y."""
        steps = {"t": self._t, "s": self._s, "softness": self._softness, "scale": self._share}
        if self._plane:
            r_factor = self._problem.relax_modulus_(self.wavefront, self.dual, low_pass=self._low_pass, **steps)
            residual = self._residual_(self._problem.model.backpropagate(self.dual, self._share), support)
            self.dual = self._problem.model.propagate(residual, self._share)
            return r_factor
        dual = self._problem.model.propagate(self.dual, self._share)
        r_factor = self._problem.relax_modulus_(self.wavefront, dual, keep=0.0, **steps)
        residual = self._residual_(self.dual.add_(self._problem.model.invert(dual, self._share)), support)
        self.dual = residual if self._low_pass is None else self._smooth(residual)
        return r_factor

    def _residual_(self, v, support):
        """v - P_S v, the dual's proximal step of a cone (Moreau), times the window of the F variant."""
        residual = self._problem.subtract_projection_(v, support)
        return residual if self._window is None else residual.mul_(self._window)

    def _smooth(self, residual):
        ndim = self._problem.ndim
        return fourier.inverse_corner(fourier.forward_corner(residual, ndim).mul_(self._low_pass), ndim)

    def project(self) -> torch.Tensor:
        """A^-1 z, (B, *grid): what the modulus constraint makes of the object."""
        return self._problem.model.invert(self.wavefront)
