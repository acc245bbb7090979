"""Transforms with kept plans: the values of ``torch.fft``, whoever asks, and no memory for shapes of long ago."""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad

from cdipipe.ops import backend, fft

SHAPES = {"plane": ((16, 24), 2), "batch": ((3, 13, 40), 2), "stacks": ((2, 3, 8, 9), 2), "volumes": ((2, 5, 12, 8), 3)}
planned = pytest.mark.skipif(not fft.has_plans(), reason="PyTorch without MKL")


def by_torch(array, ndim, inverse=False):
    run = torch.fft.ifftn if inverse else torch.fft.fftn
    return run(array, dim=tuple(range(-ndim, 0)), norm="ortho")


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def case(request):
    return request.param


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_same_as_torch(case, dtype, inverse, random_complex):
    shape, ndim = case
    array, before = (random_complex(*shape, dtype=dtype) for _ in range(2))
    before.copy_(array)
    wanted = by_torch(array, ndim, inverse)
    torch.testing.assert_close(fft.transform(array, ndim, inverse), wanted)
    assert torch.equal(array, before)
    torch.testing.assert_close(fft.transform_(array, ndim, inverse), wanted)


@planned
def test_in_place_where_plans_are_there():
    array = torch.ones(8, 8, dtype=torch.complex64)
    assert fft.transform_(array, 2) is array
    with backend.use("reference"):
        assert fft.transform_(array, 2) is not array


def test_views_and_gradients_go_to_torch(random_complex):
    array = random_complex(8, 6)
    for view in (array.T, array.conj(), array[::2]):
        torch.testing.assert_close(fft.transform(view, 2), by_torch(view, 2))
    leaf = array.clone().requires_grad_()
    fft.transform(leaf, 2).abs().square().sum().backward()
    torch.testing.assert_close(leaf.grad, 2 * array)
    torch.testing.assert_close(torch.func.vmap(lambda a: fft.transform(a, 2))(array[None]), by_torch(array, 2)[None])
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(array, array + 1)
        change = forward_ad.unpack_dual(fft.transform(dual, 2)).tangent
    torch.testing.assert_close(change, by_torch(array + 1, 2))


@planned
def test_a_library_that_gives_other_values_is_not_used(monkeypatch):
    true = backend.native.fourier_transform
    wrong = lambda *arguments: true(*arguments[:-2], not arguments[-2], arguments[-1])  # noqa: E731
    monkeypatch.setattr(backend.native, "fourier_transform", wrong)
    assert not fft._are_right.__wrapped__()
    monkeypatch.setattr(backend.native, "has_fourier_plans", bool)
    assert not fft._are_right.__wrapped__()


def test_several_threads_with_shapes_of_their_own():
    def work(seed):
        size, generator = 8 + seed % 5, torch.Generator().manual_seed(seed)
        array = torch.randn(2, size, 12, dtype=torch.complex64, generator=generator)
        return (fft.transform_(array.clone(), 2) - by_torch(array, 2)).abs().max()

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(400))) < 1e-5


def test_a_forked_child():
    array = torch.ones(16, 16, dtype=torch.complex64)
    fft.transform(array, 2)
    child = os.fork()
    if child == 0:
        os._exit(int(not torch.equal(fft.transform(array, 2), by_torch(array, 2))))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@planned
def test_memory_does_not_grow_with_shapes():
    def transform_many(first):
        for size in range(first, first + 60):
            fft.transform(torch.ones(2, size, dtype=torch.complex64), 2)
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = transform_many(40000)
    assert transform_many(40060) - before < 2**23  # bytes; plans of all sizes would take 140 MB
