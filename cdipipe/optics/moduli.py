"""The object nearest to what a detector saw: measured moduli imposed on what a forward model makes of an object.

Objects and wavefronts are in FFT order, as those of :class:`cdipipe.optics.forward.ForwardModel`. What happens on the
detector, to wavefronts, is :mod:`cdipipe.ops.projection`; here objects come in and go out.
"""

from __future__ import annotations

import torch

from cdipipe.ops import fft
from cdipipe.ops import projection as ops
from cdipipe.ops.projection import relax
from cdipipe.optics.forward import ForwardModel

LEAST_SHARE = 1e-7
"""Prediction below this share of its maximum is rounding: such pixels are not scaled up."""


def impose_modulus(model: ForwardModel, object_, modulus, measured=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest object whose pattern has the measured moduli, phases kept (P_M of the papers).

    With probe modes the corrected exit waves are brought back to one object by least squares; pixels that no
    mode illuminates keep their value.

    Parameters
    ----------
    model : ForwardModel
    object_ : (..., *grid) complex
    modulus : (*grid) or (..., *grid) real, square root of the counts
    measured : bool, broadcast like ``modulus``; others keep their value; None: every pixel

    Returns
    -------
    the object, and the :func:`modulus_misfit` of the one given
    """
    share = share_of(model, object_)
    wavefront = model.wavefront(object_, share)
    misfit = _replace_modulus_(model, wavefront, modulus, measured, share)
    if model.static_region is not None:
        wavefront.sub_(model.static_wavefront(wavefront.dtype), alpha=share)
    waves = fft.transform_(wavefront, model.ndim, inverse=True, share=share)
    if model.probe_modes is None:
        return waves, misfit
    change = waves - model.probe_modes * model.per_mode(object_)
    return object_ + (model.probe_modes.conj() * change).sum(-model.ndim - 1) / model.divisor, misfit


def modulus_misfit(model: ForwardModel, object_, modulus, measured=None) -> torch.Tensor:
    """sum_measured |sqrt(I) - modulus| of objects.

    Parameters
    ----------
    model, object_, modulus, measured : as in :func:`impose_modulus`

    Returns
    -------
    (...) float64, sqrt(photons)
    """
    share = share_of(model, object_)
    return _replace_modulus_(model, model.wavefront(object_, share), modulus, measured, share)


def share_of(model: ForwardModel, object_) -> float:
    """What kernels multiply by where transforms around them need not scale, see :func:`cdipipe.ops.fft.share`.

    Parameters
    ----------
    model : ForwardModel
    object_ : (..., *grid) complex, or wavefronts
    """
    return fft.share(object_, model.ndim) if model.is_ideal else 1.0  # no kernel knows of other light


def relax_modulus_(model: ForwardModel, wavefront, dual, modulus, measured, **steps) -> torch.Tensor:
    """Primal-dual step on wavefronts of the object alone, in place, see :mod:`cdipipe.ops.projection.relax`.

    Parameters
    ----------
    model : ForwardModel
    wavefront : (..., *grid), or (..., M, *grid) with probe modes, complex; replaced
    dual : like ``wavefront``; replaced
    modulus, measured : as in :func:`impose_modulus`
    **steps : ``t``, ``s``, ``softness``, ``keep``, ``low_pass``, ``scale`` of
        :func:`cdipipe.ops.projection.relax.relax_modulus_`

    Returns
    -------
    (...) float64: sum_measured |A - modulus| of what the modulus was imposed on
    """
    misfit = empty_misfit(model, wavefront)
    static, modes = model.static_wavefront(wavefront.dtype), model.probe_modes is not None
    relax.relax_modulus_(
        wavefront, dual, modulus, measured, misfit, reference=static, modes=modes, ndim=model.ndim, **steps
    )
    return misfit


def empty_misfit(model: ForwardModel, wavefront) -> torch.Tensor:
    """Room for the misfit of each item of a batch.

    Parameters
    ----------
    model : ForwardModel
    wavefront : objects or wavefronts (..., *grid), with a probe (..., modes, *grid)

    Returns
    -------
    float64 of the batch shape, uninitialised
    """
    batch = wavefront.shape[: wavefront.ndim - model.ndim - (model.probe_modes is not None)]
    return torch.empty(batch, dtype=torch.float64, device=wavefront.device)


def _replace_modulus_(model: ForwardModel, wavefront, modulus, measured, share: float) -> torch.Tensor:
    """``share`` times the projection of ``share`` times a wavefront, in place; returns the misfit before it."""
    misfit = empty_misfit(model, wavefront)
    if model.is_ideal:
        modes = model.probe_modes is not None
        ops.project_modulus_(wavefront, modulus, measured, misfit, modes, ndim=model.ndim, scale=share)
    else:
        _scale_(model, wavefront, modulus, measured, misfit)
    return misfit


def _scale_(model: ForwardModel, wavefront, modulus, measured, misfit) -> None:
    """The modulus projection behind partially coherent light and background, in place.

    All modes get the factor sqrt((I - B)+ / I_pc), with the partially coherent intensity I_pc of the iterate
    (Clark et al., Nat. Commun. 3, 993 (2012), doi:10.1038/ncomms1994).
    """
    seen = model.spread(model.sum_modes(wavefront.abs().square_())).clamp_(min=0)
    axes = tuple(range(-model.ndim, 0))
    excess = ((seen + model.background).sqrt_() - modulus).abs_()
    if measured is not None:
        excess = excess * measured
    misfit.copy_(excess.sum(axes, dtype=torch.float64))
    wanted = (modulus.square() - model.background).clamp_(min=0)
    floor = LEAST_SHARE * seen.amax(axes, keepdim=True)
    factor = torch.where(seen > floor, (wanted / seen.clamp(min=1e-30)).sqrt_(), 1.0)
    if measured is not None:
        factor = torch.where(measured, factor, 1.0)
    wavefront.mul_(model.per_mode(factor))
