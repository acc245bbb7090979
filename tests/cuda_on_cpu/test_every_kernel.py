"""Each kernel of csrc/ is launched, and gives the same bits in whatever order blocks and threads run."""

import ctypes
import os

import pytest
import torch
from emulator.build import CSRC
from emulator.rewrite import kernels

from cdipipe.ops import hexplane, projection, wpc
from cdipipe.ops.projection.relax import relax_modulus_

ORDERS = ("forward", "reverse", "random")
KERNELS = sorted(name for source in CSRC.rglob("*.cu") for name in kernels(source.read_text()))


def random(*shape, dtype=torch.float32):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


def project():
    wave, modulus = random(2, 3, 67, 131, dtype=torch.complex64).requires_grad_(), random(67, 131).abs()
    projected, error = projection.project_modulus(wave, modulus, modulus > 0.3, modes=True)
    (gradient,) = torch.autograd.grad(projected.abs().sum() + error.sum(), wave)
    return projected.detach(), error.detach(), gradient


def relax():
    wave, dual = random(2, 67, 131, dtype=torch.complex64), random(2, 131, 67, dtype=torch.complex64).mT.contiguous()
    modulus, error = random(67, 131).abs(), torch.empty(2, dtype=torch.float64)
    relax_modulus_(wave, dual, modulus, modulus > 0.3, error, t=0.8, s=0.9, softness=0.3, keep=1.0)
    return wave, dual, error


def update():
    u, p = (random(2, 9, shape, dtype=torch.complex64).requires_grad_() for shape in (511, 511))
    support = random(9, 511) > 0
    found = []
    for constraint in projection.CONSTRAINTS:
        for a, g in ((0.0, 0.0), (0.9, 1.0)):
            updated = projection.update_object(u, p, support, constraint, a=a, b=-0.8, c=0.9, g=g)
            found += [updated.detach(), *torch.autograd.grad(updated.abs().sum(), (u, p))]
        found.append(projection.subtract_projection_(u.detach().clone(), support, constraint))
    return found


def planes():
    cells = ((5, 4), (5, 3), (4, 3), (5, 6), (4, 6), (3, 6))
    leaves = [random(2, *sides, 7).requires_grad_() for sides in cells]
    axes = [random(n).tanh() for n in (19, 8, 5, 3)]
    block = hexplane.sample_block(leaves, axes, "pairs")
    points = hexplane.sample_points(leaves, random(300, 4).tanh(), "product")
    return block.detach(), points.detach(), *torch.autograd.grad(block.square().sum(), leaves)


def partial_convolution():
    measured, features = random(3, 45, 77) > 0, random(3, 9, 23, 39)
    ratio, valid = wpc.window_ratio(measured, wpc.guinier_porod_weights((45, 77), 1.5), 3, 2, 1)
    last = features.to(memory_format=torch.channels_last)
    return ratio, valid, wpc.renormalise(features, ratio, random(9)), wpc.renormalise(last, ratio, random(9))


@pytest.mark.parametrize("call", [project, relax, update, planes, partial_convolution])
def test_no_bit_depends_on_the_order(call, monkeypatch):
    found = []
    for order in ORDERS:
        monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
        found.append(list(call()))
    assert all(tensor.isfinite().all() for tensor in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", KERNELS)
def test_the_above_launches_every_kernel(name):
    launches = ctypes.CDLL(os.environ["CUDA_ON_CPU_MODULE"]).cuda_on_cpu_launches
    launches.argtypes, launches.restype = [ctypes.c_char_p], ctypes.c_long
    assert launches(name.encode()) >= len(ORDERS)
