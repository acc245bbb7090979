"""Arrays of more than 2^31 elements, on memory that takes room only where it is written.

Of a grid only the first and last blocks and those around powers of two run; arrays are 0 but for random windows there.
"""

import os

import pytest
import torch
from emulator.sparse import sparse

from cdipipe.ops import backend
from cdipipe.ops.hexplane import reference_sample_block, reference_sample_points
from cdipipe.ops.projection import reference_project_modulus, reference_update_object
from cdipipe.ops.projection.relax import reference_relax_modulus

PIXELS = 2**30 + 5
END = slice(-4000, None)  # the pixels that are compared, in the last item
COMPLEX = torch.complex64


@pytest.fixture(autouse=True)
def only_edges(monkeypatch):
    monkeypatch.setenv("CUDA_ON_CPU_BLOCKS", "edges")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


def native(name, *arguments):
    """A kernel on the first GPU, with addresses for tensors."""
    places = [x.data_ptr() if isinstance(x, torch.Tensor) else x for x in arguments]
    getattr(backend.native, name)(0, *places, int(os.environ["CUDA_ON_CPU_STREAM"]))


@pytest.fixture
def waves(generator):
    """waves(*leading): sparse complex arrays, random at the end of the last item."""

    def make(*leading):
        array = sparse(*leading, PIXELS, dtype=COMPLEX)
        last = array[-1][..., END]
        last.copy_(torch.randn(last.shape, dtype=COMPLEX, generator=generator))
        return array

    return make


@pytest.fixture
def detector(generator):
    """(modulus, mask) of all patterns, and room for the sums of errors: (2,), and those of blocks."""
    modulus, measured = sparse(PIXELS), sparse(PIXELS, dtype=torch.bool)
    modulus[END] = torch.rand(4000, generator=generator)
    measured[END] = torch.rand(4000, generator=generator) > 0.3
    return modulus, measured, torch.empty(2, dtype=torch.float64), sparse(2 * (PIXELS // 4096 + 1), dtype=torch.float64)


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=2e-5, atol=2e-6)


def last(array):
    return array[-1:, ..., END].clone()


def test_project_modulus(waves, detector):
    (modulus, measured, error, partials), wave, out = detector, waves(2, 2), sparse(2, 2, PIXELS, dtype=COMPLEX)
    native("project_modulus", wave, out, modulus, 0, measured, 0, error, 2, 2, PIXELS, 0.5, partials)
    wanted, sums = reference_project_modulus(0.5 * last(wave), modulus[END], measured[END], modes=True, ndim=1)
    close(last(out), 0.5 * wanted)
    close(error[1:], sums)


def test_project_modulus_backward(waves, detector):
    (modulus, measured, *_), wave, grad, out = detector, waves(2, 2), waves(2, 2), sparse(2, 2, PIXELS, dtype=COMPLEX)
    of_error = torch.tensor([0.3, 0.7], dtype=torch.float64)
    native("project_modulus_backward", wave, modulus, 0, measured, 0, grad, of_error, out, 2, 2, PIXELS)
    leaf = last(wave).requires_grad_()
    found = reference_project_modulus(leaf, modulus[END], measured[END], modes=True, ndim=1)
    close(last(out), torch.autograd.grad(found, leaf, (last(grad), of_error[1:]))[0])


def test_relax_modulus(waves, detector):
    (modulus, measured, error, partials), wave, dual = detector, waves(2, 2), waves(2, 2)
    low_pass, reference = sparse(PIXELS), waves(1, 2)
    low_pass[END] = modulus[END].flip(0)
    rule = (0.8, 0.9, 0.7, 1.0, 0.5)
    arrays = (last(wave), last(dual), modulus[END], measured[END])
    near = {"low_pass": low_pass[END], "reference": last(reference)[0]}
    wanted = reference_relax_modulus(*arrays, rule, **near, modes=True, ndim=1)
    sizes = (2, 2, PIXELS, *rule)
    native("relax_modulus", wave, dual, low_pass, reference, modulus, 0, measured, 0, error, *sizes, partials)
    for got, want in zip((last(wave), last(dual), error[1:]), wanted, strict=True):
        close(got, want)


@pytest.mark.parametrize(("a", "g"), [(0.0, 0.0), (0.9, 1.0)])
def test_objects(waves, detector, a, g):
    support, u, p, grad = detector[1], waves(5), waves(5), waves(5)
    out, to_u, to_p = (sparse(5, PIXELS, dtype=COMPLEX) for _ in range(3))
    rule = backend.native.ObjectRule(2, a, -0.8, 0.9, g, -1.5, 1.5)  # re_nonneg
    native("update_object", u, p, support, out, 5, PIXELS, rule)
    native("update_object_backward", u, p, support, grad, to_u, to_p, 5, PIXELS, rule)
    leaves = [last(x).requires_grad_() for x in (u, p)]
    wanted = reference_update_object(*leaves, support[END], "re_nonneg", a=a, b=-0.8, c=0.9, g=g)
    close(last(out), wanted.detach())
    for got, want in zip(
        (to_u, to_p), torch.autograd.grad(wanted, leaves, last(grad), materialize_grads=True), strict=True
    ):
        close(last(got), want)
    before = last(u)
    native("subtract_projection", u, support, 5, PIXELS, rule)
    nearest = reference_update_object(before, before, support[END], "re_nonneg", a=0.0, b=0.0, c=1.0, g=0.0)
    close(last(u), before - nearest)


def make_planes(generator, batch, channels):
    planes = [torch.randn(batch, *sides, channels, generator=generator) for sides in ((4, 3), (4, 2), (3, 2))]
    sizes = [tuple(plane.shape[1:3]) for plane in planes]
    described = backend.native.HexplanePlanes([plane.data_ptr() for plane in planes], sizes, batch, channels, 0)
    return planes, described


def test_block_of_planes(generator):
    planes, described = make_planes(generator, 2, 8)
    axes = [torch.rand(size, generator=generator) * 2 - 1 for size in (645, 647, 650)]
    where = backend.native.HexplaneAxes([axis.data_ptr() for axis in axes], [len(axis) for axis in axes])
    out, grad = sparse(2, 645, 647, 650, 8), sparse(2, 645, 647, 650, 8)
    assert out.numel() > 2**32
    room = [sparse(backend.native.hexplane_block_workspace(described, where, backward)) for backward in (False, True)]
    native("hexplane_block", described, where, out, room[0])
    leaves = [plane[1:].clone().requires_grad_() for plane in planes]
    wanted = reference_sample_block(leaves, [axes[0][-1:], axes[1][-1:], axes[2][-16:]], "product")
    corner = (slice(1, 2), slice(-1, None), slice(-1, None), slice(-16, None))
    close(out[corner], wanted.detach())

    grad[1, -1, -1, -2:] = torch.randn(2, 8, generator=generator)  # of voxels whose samples the last two blocks sum
    grads = [torch.empty_like(plane) for plane in planes]
    native("hexplane_block_backward", described, where, grad, [x.data_ptr() for x in grads], room[1])
    for got, want in zip(grads, torch.autograd.grad(wanted, leaves, grad[corner]), strict=True):
        assert torch.equal(got[0], torch.zeros_like(got[0]))
        close(got[1:], want)


def test_points_in_planes(generator):
    planes, described = make_planes(generator, 2, 8)
    count = 2**27 + 3
    points, out = sparse(count, 3), sparse(2, count, 8)
    points[-30:] = torch.rand(30, 3, generator=generator) * 2 - 1
    native("hexplane_points", described, points, count, out)
    close(out[:, -30:], reference_sample_points(planes, points[-30:], "product"))


# A grid has at most 65535 rows, and threads go on from row to row + 65535; this block (of 157 a row) runs.
ROWS, COLUMNS, BLOCK = 70_000, 40_000, 2**19
ROW, FIRST = 65535 + BLOCK // 157, BLOCK % 157 * 256
LINE = slice(FIRST, FIRST + 256)


def test_window_ratio(generator):
    measured, weights = sparse(ROWS // 10, 10, COLUMNS, dtype=torch.bool), torch.rand(10, COLUMNS, generator=generator)
    ratio, valid = sparse(ROWS, COLUMNS), sparse(ROWS, COLUMNS, dtype=torch.bool)
    seen = torch.rand(256, generator=generator) > 0.5
    item, y = divmod(ROW, 10)
    measured[item, y, LINE] = seen
    native("window_ratio", measured, weights, ratio, valid, ROWS // 10, 10, COLUMNS, 10, COLUMNS, 1, 1, 0)
    assert ROW * COLUMNS > 2**31
    assert torch.equal(valid[ROW, LINE], seen) and torch.equal(ratio[ROW, LINE], seen.float())


@pytest.mark.parametrize("channels_last", [False, True])
def test_renormalise(generator, channels_last):
    batch, channels, pixels = (ROWS, 8, COLUMNS // 8) if channels_last else (ROWS // 2, 2, COLUMNS)
    features, out, bias = sparse(ROWS, COLUMNS), sparse(ROWS, COLUMNS), torch.randn(channels, generator=generator)
    ratio = torch.rand(pixels, generator=generator) + 1
    features[ROW, LINE] = torch.randn(256, generator=generator)
    arguments = (features, ratio, 0, bias, out, batch, channels, pixels, channels_last, False, True)
    native("renormalise", *arguments)
    if channels_last:
        ratios, biases = ratio.repeat_interleave(8)[LINE], bias.repeat(COLUMNS // 8)[LINE]
    else:
        ratios, biases = ratio[LINE], bias[ROW % 2]
    close(out[ROW, LINE], features[ROW, LINE] * ratios + biases)
