"""Plane-factorised features: compiled code against the reference, gradients, and what the samples must be."""

import itertools

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend
from cdipipe.ops.hexplane import (
    FUSIONS,
    STATIC_FUSIONS,
    reference_sample_block,
    reference_sample_points,
    sample_block,
    sample_points,
)

# plane cells along x, y, z, t; block points along x, y, z, t; batch; channels
CASES = {
    "static": ((12, 10, 5), (24, 17, 4), (), 16),
    "odd": ((7, 9, 3), (11, 13, 5), (2,), 7),
    "one cell": ((1, 5, 1), (3, 4, 2), (), 8),
    "one voxel": ((4, 4, 4), (1, 1, 1), (), 1),
    "two leading axes": ((5, 6, 4), (9, 8, 3), (2, 3), 5),
    "several runs": ((20, 8, 4), (70, 6, 3), (), 32),
    "time": ((12, 10, 5, 6), (18, 9, 4, 3), (), 16),
    "time, odd": ((5, 3, 4, 9), (13, 7, 3, 5), (3,), 3),
    "time, several runs": ((8, 8, 4, 4), (66, 3, 2, 2), (2,), 8),
    "no voxel": ((4, 4, 4), (3, 0, 2), (), 4),
    "no seed": ((4, 4, 4), (3, 2, 2), (0,), 4),
}
AXES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


@pytest.fixture
def uniform(device, generator):
    """uniform(*shape, dtype): values in [-1.2, 1.2), some of them outside the planes."""

    def make(*shape, dtype=torch.float32):
        return (2.4 * torch.rand(shape, dtype=dtype, generator=generator) - 1.2).to(device)

    return make


def make_planes(cells, batch, channels, uniform, dtype=torch.float32):
    pairs = AXES if len(cells) == 4 else AXES[:3]
    return [uniform(*batch, cells[a], cells[b], channels, dtype=dtype) for a, b in pairs]


def fusions_of(cells):
    return FUSIONS if len(cells) == 4 else STATIC_FUSIONS


def reference(function, planes, coordinates, fusion):
    """A reference function behind the public shapes."""
    flat = [plane.reshape(-1, *plane.shape[-3:]) for plane in planes]
    fused = function(flat, coordinates, fusion)
    return fused.reshape(*planes[0].shape[:-3], *fused.shape[1:])


def forward_and_gradients(function, planes, coordinates, fusion, weight):
    leaves = [plane.clone().requires_grad_(True) for plane in planes]
    fused = function(leaves, coordinates, fusion)
    return fused.detach(), *torch.autograd.grad((fused * weight).sum(), leaves)


def compare(function, reference_function, planes, coordinates, fusion, uniform):
    wanted_shape = reference(reference_function, planes, coordinates, fusion).shape
    weight = uniform(*wanted_shape)
    got = forward_and_gradients(function, planes, coordinates, fusion, weight)
    wanted = forward_and_gradients(
        lambda *arguments: reference(reference_function, *arguments), planes, coordinates, fusion, weight
    )
    for a, b in zip(got, wanted, strict=True):
        assert_close(a, b, 2e-5)


def test_block_matches_reference(case, uniform):
    cells, sizes, batch, channels = case
    planes = make_planes(cells, batch, channels, uniform)
    axes = [uniform(size) for size in sizes]
    for fusion in fusions_of(cells):
        compare(sample_block, reference_sample_block, planes, axes, fusion, uniform)


def test_points_match_reference(case, uniform):
    cells, sizes, batch, channels = case
    planes = make_planes(cells, batch, channels, uniform)
    coordinates = uniform(37 if 0 not in sizes else 0, len(cells))
    for fusion in fusions_of(cells):
        compare(sample_points, reference_sample_points, planes, coordinates, fusion, uniform)


def test_many_points(uniform):
    planes = make_planes((9, 8, 7, 6), (2,), 4, uniform)
    compare(sample_points, reference_sample_points, planes, uniform(20_000, 4), "pairs", uniform)


@pytest.mark.parametrize("timed", [False, True])
def test_a_block_is_its_points(timed, uniform):
    cells, sizes = ((6, 5, 4, 3), (7, 5, 3, 4)) if timed else ((6, 5, 4), (7, 5, 3))
    planes, axes = make_planes(cells, (), 6, uniform), [uniform(size) for size in sizes]
    grids = torch.meshgrid(*axes, indexing="ij")
    points = torch.stack([grid.movedim(3, 0) if timed else grid for grid in grids], -1)
    for fusion in fusions_of(cells):
        block = sample_block(planes, axes, fusion)
        assert_close(block.reshape(-1, block.shape[-1]), sample_points(planes, points.reshape(-1, len(axes)), fusion))


def test_corners_are_cell_centres_and_the_outside_is_the_border(uniform, device):
    planes = make_planes((4, 3, 2), (), 5, uniform)
    axes = [torch.linspace(-1, 1, n, device=device) for n in (4, 3, 2)]
    xy, xz, yz = planes
    wanted = xy[:, :, None] + xz[:, None] + yz[None]
    assert_close(sample_block(planes, axes, "sum"), wanted, 1e-6)
    far = torch.tensor([[-9.0, 9.0, 3.0], [float("nan"), float("inf"), float("inf")]], device=device)
    assert_close(sample_points(planes, far, "sum"), wanted[0, 2, 1].expand(2, 5), 1e-6)
    halfway = torch.tensor([[-1 + 1 / 3, -1.0, -1.0]], device=device)
    assert_close(sample_points(planes, halfway, "sum")[0], (wanted[0, 0, 0] + wanted[1, 0, 0]) / 2, 1e-6)


def test_sum_is_a_linear_layer_after_concatenation(uniform):
    planes, axes = make_planes((6, 5, 4), (), 8, uniform), [uniform(n) for n in (9, 7, 3)]
    weight = uniform(12, 24)
    late = sample_block(planes, axes, "concatenation") @ weight.T
    early = sample_block([p @ w.T for p, w in zip(planes, weight.split(8, 1), strict=True)], axes, "sum")
    assert_close(early, late, 2e-5)


def test_non_contiguous_inputs(uniform):
    planes = [plane.movedim(0, -1) for plane in (uniform(6, 8, 7), uniform(6, 8, 5), uniform(6, 7, 5))]
    axes = [uniform(2 * n)[::2] for n in (5, 4, 3)]
    compare(sample_block, reference_sample_block, planes, axes, "product", uniform)
    compare(sample_points, reference_sample_points, planes, uniform(3, 11).T, "product", uniform)


def test_expanded_gradients(uniform):
    planes, axes = make_planes((4, 4, 4), (), 4, uniform), [uniform(n) for n in (5, 4, 3)]
    grads = []
    for function in (sample_block, lambda *arguments: reference(reference_sample_block, *arguments)):
        leaves = [plane.clone().requires_grad_(True) for plane in planes]
        grads.append(torch.autograd.grad(function(leaves, axes, "product").sum(), leaves))
    for got, wanted in zip(*grads, strict=True):
        assert_close(got, wanted)


def test_double_precision_goes_to_the_reference(uniform):
    planes = make_planes((4, 5, 3), (1,), 3, uniform, torch.float64)
    axes = [uniform(n, dtype=torch.float64) for n in (5, 4, 3)]
    for fusion in STATIC_FUSIONS:
        assert torch.equal(sample_block(planes, axes, fusion), reference_sample_block(planes, axes, fusion))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradcheck_in_double(fusion, uniform):
    planes = make_planes((3, 2, 3, 2), (), 2, uniform, torch.float64)
    axes = [uniform(n, dtype=torch.float64) for n in (2, 3, 2, 2)]
    coordinates = uniform(5, 4, dtype=torch.float64)
    leaves = tuple(plane.requires_grad_(True) for plane in planes)
    torch.autograd.gradcheck(lambda *p: sample_block(p, axes, fusion), leaves)
    torch.autograd.gradcheck(lambda *p: sample_points(p, coordinates, fusion), leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(dtype, uniform):
    planes = [plane.requires_grad_(True) for plane in make_planes((3, 4, 2, 3), (2,), 4, uniform, dtype)]
    axes = [uniform(n, dtype=dtype) for n in (3, 2, 4, 2)]
    torch.library.opcheck(torch.ops.cdipipe.hexplane_block, (planes, axes, "pairs"))
    torch.library.opcheck(torch.ops.cdipipe.hexplane_points, (planes, uniform(6, 4, dtype=dtype), "product"))


def test_the_registered_operator_and_the_eager_one_agree(uniform):
    planes, axes = make_planes((5, 4, 3), (2,), 4, uniform), [uniform(n) for n in (6, 5, 4)]
    weight = uniform(2, 6, 5, 4, 4)
    registered = forward_and_gradients(torch.ops.cdipipe.hexplane_block, planes, axes, "product", weight)
    eager = forward_and_gradients(sample_block, planes, axes, "product", weight)
    assert all(torch.equal(a, b) for a, b in zip(registered, eager, strict=True))


def test_only_some_planes_need_a_gradient(uniform):
    planes, axes = make_planes((4, 5, 3), (), 4, uniform), [uniform(n) for n in (5, 4, 3)]
    planes[1].requires_grad_(True)
    sample_block(planes, axes, "product").square().sum().backward()
    assert planes[1].grad.abs().max() > 0 and planes[0].grad is None


def test_bits_do_not_depend_on_the_thread_count(uniform):
    planes, axes = make_planes((30, 20, 6, 5), (2,), 16, uniform), [uniform(n) for n in (64, 33, 8, 3)]
    points, threads, results = uniform(3000, 4), torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found = [
                forward_and_gradients(function, planes, where, fusion, 1.0)
                for function, where in ((sample_block, axes), (sample_points, points))
                for fusion in ("product", "pairs", "sum")
            ]
            results.append(list(itertools.chain(*found)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_batch_is_its_items(uniform):
    planes, axes = make_planes((9, 8, 4), (3,), 8, uniform), [uniform(n) for n in (20, 9, 4)]
    together = sample_block(planes, axes, "product")
    for item in range(3):
        assert torch.equal(together[item], sample_block([plane[item] for plane in planes], axes, "product"))


@pytest.mark.parametrize("level", backend.native.simd_levels() if backend.native else [])
def test_every_instruction_set(level, uniform):
    before = backend.native.simd_level()
    planes, axes = make_planes((9, 8, 4, 3), (), 16, uniform), [uniform(n) for n in (20, 9, 4, 2)]
    try:
        backend.native.set_simd_level(level)
        for fusion in FUSIONS:
            compare(sample_block, reference_sample_block, planes, axes, fusion, uniform)
    finally:
        backend.native.set_simd_level(before)


def test_messages_say_what_was_got_and_what_is_allowed(uniform):
    planes, axes = make_planes((4, 5, 3), (), 2, uniform), [uniform(n) for n in (5, 4, 3)]
    points = uniform(6, 3)
    wrong = [
        ((planes[:2], axes, "sum"), r"planes: got 2 of them; allowed: 3 \(xy, xz, yz\) or 6"),
        ((planes, axes, "pairs"), "fusion: got 'pairs' with 3 planes; allowed: product, sum, concatenation$"),
        (([p.half() for p in planes], axes, "sum"), "planes dtype: got torch.float16; allowed: torch.float32"),
        (([planes[0], planes[1][..., :1], planes[2]], axes, "sum"), r"plane xz shape: got \(4, 3, 1\); allowed"),
        (([planes[0][:0], *planes[1:]], axes, "sum"), r"plane xy shape: got \(0, 5, 2\); allowed"),
        (([planes[0].double(), *planes[1:]], axes, "sum"), "plane xz: got torch.float32 on .*; allowed: torch.float64"),
        ((planes, axes[:2], "sum"), "axes: got 2 with 3 planes; allowed: x, y, z with 3 planes"),
        ((planes, [axes[0][None], *axes[1:]], "sum"), r"axis x shape: got \(1, 5\); allowed: one dimension"),
        ((planes, [axes[0].double(), *axes[1:]], "sum"), "axis x: got torch.float64"),
        ((planes, [axes[0].clone().requires_grad_(True), *axes[1:]], "sum"), "axis x requires a gradient, but"),
    ]
    for arguments, message in wrong:
        with pytest.raises(ValueError, match=message):
            sample_block(*arguments)
    with pytest.raises(ValueError, match=r"coordinates shape: got \(6, 2\); allowed: \(N, 3\) with 3 planes"):
        sample_points(planes, points[:, :2], "sum")
    with pytest.raises(ValueError, match=r"coordinates: got torch\.float64"):
        sample_points(planes, points.double(), "sum")
