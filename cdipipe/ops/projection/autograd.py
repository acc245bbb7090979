"""Registers torch.ops.cdipipe.{project_modulus, update_object}: dispatch, fake tensors and gradients.

``run_*`` is what a registered operation runs: to be called itself where there is neither a gradient nor a trace, since
torch loads its compiler at the first call of a registered one, which takes a second of the processor.

Gradients follow torch's convention for complex tensors, dL/dRe + i dL/dIm, and are differentiable once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdipipe.ops.projection import native, reference


def _rule(coefficients, phase_range_rad) -> dict:
    a, b, c, g = coefficients
    return {"a": a, "b": b, "c": c, "g": g, "phase_range_rad": tuple(phase_range_rad)}


def run_project_modulus(wavefront, modulus, measured, modes, ndim):
    if not native.takes(wavefront):
        projected, error = reference.reference_project_modulus(wavefront, modulus, measured, modes=modes, ndim=ndim)
        return projected.contiguous(), error
    wavefront = native.dense(wavefront)
    projected = torch.empty_like(wavefront)
    error = _empty_error(wavefront, modes, ndim)
    native.project_modulus(wavefront, projected, modulus, measured, error, modes, ndim)
    return projected, error


project_modulus = torch.library.custom_op(
    "cdipipe::project_modulus",
    run_project_modulus,
    mutates_args=(),
    schema="(Tensor wavefront, Tensor modulus, Tensor? measured, bool modes, int ndim) -> (Tensor, Tensor)",
)


def _empty_error(wavefront: Tensor, modes: bool, ndim: int) -> Tensor:
    batch_shape = wavefront.shape[: wavefront.ndim - ndim - modes]
    return torch.empty(batch_shape, dtype=torch.float64, device=wavefront.device)


@project_modulus.register_fake
def _(wavefront, modulus, measured, modes, ndim):
    return wavefront.new_empty(wavefront.shape), _empty_error(wavefront, modes, ndim)


@torch.library.custom_op(
    "cdipipe::project_modulus_backward",
    mutates_args=(),
    schema="(Tensor wavefront, Tensor modulus, Tensor? measured, Tensor grad_projected, Tensor grad_error, "
    "bool modes, int ndim) -> Tensor",
)
def project_modulus_backward(wavefront, modulus, measured, grad_projected, grad_error, modes, ndim):
    if native.takes(wavefront):
        wavefront = native.dense(wavefront)
        return native.project_modulus_backward(wavefront, modulus, measured, grad_projected, grad_error, modes, ndim)
    grad = reference.reference_project_modulus_backward(
        wavefront, modulus, measured, grad_projected, grad_error, modes=modes, ndim=ndim
    )
    return grad.contiguous()


@project_modulus_backward.register_fake
def _(wavefront, modulus, measured, grad_projected, grad_error, modes, ndim):
    return wavefront.new_empty(wavefront.shape)


def _keep_modulus_inputs(ctx, inputs, output):
    wavefront, modulus, measured, ctx.modes, ctx.ndim = inputs
    ctx.save_for_backward(wavefront, modulus, measured)


def _modulus_backward(ctx, grad_projected, grad_error):
    wavefront, modulus, measured = ctx.saved_tensors
    to_wavefront = to_modulus = None
    if ctx.needs_input_grad[0]:
        to_wavefront = torch.ops.cdipipe.project_modulus_backward(
            wavefront, modulus, measured, grad_projected, grad_error, ctx.modes, ctx.ndim
        )
    if ctx.needs_input_grad[1]:
        to_modulus = reference.modulus_gradient(
            wavefront, modulus, measured, grad_projected, grad_error, modes=ctx.modes, ndim=ctx.ndim
        )
    return to_wavefront, to_modulus, None, None, None


project_modulus.register_autograd(_modulus_backward, setup_context=_keep_modulus_inputs)


def run_update_object(exit_wave, projected, support, constraint, coefficients, phase_range_rad):
    if not native.takes(projected):
        rule = _rule(coefficients, phase_range_rad)
        return reference.reference_update_object(exit_wave, projected, support, constraint, **rule).contiguous()
    exit_wave, projected = native.dense(exit_wave), native.dense(projected)
    out = torch.empty_like(projected)
    native.update_object(exit_wave, projected, support, out, constraint, coefficients, phase_range_rad)
    return out


update_object = torch.library.custom_op(
    "cdipipe::update_object",
    run_update_object,
    mutates_args=(),
    schema="(Tensor exit_wave, Tensor projected, Tensor support, str constraint, float[] coefficients, "
    "float[] phase_range_rad) -> Tensor",
)


@update_object.register_fake
def _(exit_wave, projected, support, constraint, coefficients, phase_range_rad):
    return projected.new_empty(projected.shape)


@torch.library.custom_op(
    "cdipipe::update_object_backward",
    mutates_args=(),
    schema="(Tensor exit_wave, Tensor projected, Tensor support, Tensor grad, str constraint, float[] coefficients, "
    "float[] phase_range_rad) -> (Tensor, Tensor)",
)
def update_object_backward(exit_wave, projected, support, grad, constraint, coefficients, phase_range_rad):
    if native.takes(projected):
        exit_wave, projected = native.dense(exit_wave), native.dense(projected)
        return native.update_object_backward(
            exit_wave, projected, support, grad, constraint, coefficients, phase_range_rad
        )
    grads = reference.reference_update_object_backward(
        exit_wave, projected, support, grad, constraint, **_rule(coefficients, phase_range_rad)
    )
    return tuple(x.contiguous() for x in grads)


@update_object_backward.register_fake
def _(exit_wave, projected, support, grad, constraint, coefficients, phase_range_rad):
    return exit_wave.new_empty(exit_wave.shape), projected.new_empty(projected.shape)


def _keep_object_inputs(ctx, inputs, output):
    exit_wave, projected, support, ctx.constraint, ctx.coefficients, ctx.phase_range_rad = inputs
    ctx.save_for_backward(exit_wave, projected, support)


def _object_backward(ctx, grad):
    to_exit_wave, to_projected = torch.ops.cdipipe.update_object_backward(
        *ctx.saved_tensors, grad, ctx.constraint, ctx.coefficients, ctx.phase_range_rad
    )
    return to_exit_wave, to_projected, None, None, None, None


update_object.register_autograd(_object_backward, setup_context=_keep_object_inputs)
