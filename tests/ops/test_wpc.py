"""Weighted partial convolution: compiled code against the reference, gradients, and what the algebra must be."""

import math

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend
from cdipipe.ops.wpc import (
    first_layer,
    guinier_porod_weights,
    reference_first_layer,
    reference_renormalise,
    reference_window_ratio,
    renormalise,
    renormalise_,
    window_ratio,
)

# leading shape, grid, kernel, stride, padding
WINDOWS = {
    "first layer": ((), (64, 96), 7, 1, 3),
    "stride 2": ((3,), (64, 64), 3, 2, 1),
    "odd": ((2,), (67, 131), 3, 2, 1),
    "one row": ((), (1, 200), 3, 1, 1),
    "no padding": ((2, 2), (20, 17), 5, 1, 0),
    "stride 3": ((), (40, 41), 5, 3, 2),
    "even kernel": ((), (16, 16), 4, 2, 1),
    "pixel by pixel": ((2,), (9, 10), 1, 1, 0),
    "empty batch": ((0,), (8, 8), 3, 1, 1),
}
# batch, channels, grid
FEATURES = {
    "image": (1, 5, (32, 48)),
    "batch": (3, 64, (20, 21)),
    "one channel": (2, 1, (33, 17)),
    "many channels": (2, 300, (5, 7)),
    "several blocks": (2, 3, (200, 201)),
    "empty": (0, 4, (8, 8)),
}
LEVELS = backend.native.simd_levels() if backend.native else []


@pytest.fixture(params=FEATURES.values(), ids=FEATURES.keys())
def shape(request):
    return request.param


def ratio_with_gaps(random_real, *shape, dtype=torch.float32):
    ratio = random_real(*shape, dtype=dtype) + 1
    return torch.where(random_real(*shape, dtype=dtype) > 0.3, ratio, 0)


def features_of(shape, layout, random_real, dtype=torch.float32):
    batch, channels, grid = shape
    features = random_real(batch, channels, *grid, dtype=dtype) - 0.5
    return features.to(memory_format=torch.channels_last) if layout == "channels last" else features


@pytest.mark.parametrize("weighting", ["guinier_porod", "flat"])
@pytest.mark.parametrize("case", WINDOWS.values(), ids=WINDOWS.keys())
def test_window_ratio_matches_reference(case, weighting, random_real, device):
    leading, grid, kernel, stride, padding = case
    measured = random_real(*leading, *grid) > 0.6
    measured[..., : grid[0] // 2, : grid[1] // 2] = False
    weights = torch.ones(grid, device=device) if weighting == "flat" else guinier_porod_weights(grid, 2.0, device)
    ratio, valid = window_ratio(measured, weights, kernel, stride, padding)
    wanted, wanted_valid = reference_window_ratio(measured, weights.double(), kernel, stride, padding)
    assert torch.equal(valid, wanted_valid)
    torch.testing.assert_close(ratio.double(), wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("window", [(3, 1, 0), (3, 2, 1), (7, 1, 3), (7, 2, 0), (2, 3, 1)], ids=str)
@pytest.mark.parametrize("width", [9, 16, 31, 33, 77])
def test_every_instruction_set_gives_the_same_windows(level, window, width, generator):
    measured, weights = torch.rand(2, 11, width, generator=generator) > 0.5, guinier_porod_weights((11, width), 1.5)
    before = backend.native.simd_level()
    backend.native.set_simd_level(level)
    try:
        ratio, valid = window_ratio(measured, weights, *window)
    finally:
        backend.native.set_simd_level(before)
    wanted, wanted_valid = reference_window_ratio(measured, weights, *window)
    assert torch.equal(valid, wanted_valid)
    torch.testing.assert_close(ratio, wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_gives_the_same(level, generator):
    measured, weights = torch.rand(3, 45, 77, generator=generator) > 0.5, guinier_porod_weights((45, 77), 1.5)
    features, bias = torch.randn(3, 9, 23, 39, generator=generator), torch.randn(9, generator=generator)
    before = backend.native.simd_level()
    backend.native.set_simd_level(level)
    try:
        ratio, valid = window_ratio(measured, weights, 3, 2, 1)
        out = renormalise(features, ratio, bias)
        last = renormalise(features.to(memory_format=torch.channels_last), ratio, bias)
    finally:
        backend.native.set_simd_level(before)
    wanted, wanted_valid = reference_window_ratio(measured, weights, 3, 2, 1)
    assert torch.equal(valid, wanted_valid)
    torch.testing.assert_close(ratio, wanted, rtol=1e-5, atol=0)
    assert_close(out, reference_renormalise(features, ratio, bias))
    assert_close(last, out)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("zero_invalid", [True, False])
def test_renormalise_matches_reference(shape, layout, per_sample, zero_invalid, random_real):
    batch, channels, grid = shape
    features, bias = features_of(shape, layout, random_real), random_real(channels) - 0.5
    ratio = ratio_with_gaps(random_real, *((batch,) if per_sample else ()), *grid)
    for b in (None, bias):
        wanted = reference_renormalise(features, ratio, b, zero_invalid=zero_invalid)
        got = renormalise(features, ratio, b, zero_invalid=zero_invalid)
        assert_close(got, wanted)
        assert got.is_contiguous(memory_format=torch.channels_last) or layout == "contiguous"
        changed = features.clone()
        assert renormalise_(changed, ratio, b, relu=True, zero_invalid=zero_invalid) is changed
        assert_close(changed, wanted.relu())


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_match_reference(shape, layout, per_sample, random_real):
    batch, channels, grid = shape
    features, bias = features_of(shape, layout, random_real), random_real(channels)
    ratio = ratio_with_gaps(random_real, *((batch,) if per_sample else ()), *grid)
    weight, grads = random_real(*features.shape), []
    for function in (renormalise, reference_renormalise):
        leaves = [x.clone().requires_grad_(True) for x in (features, ratio, bias)]
        grads.append(torch.autograd.grad((function(*leaves) * weight).sum(), leaves))
    for got, wanted in zip(*grads, strict=True):
        assert_close(got, wanted, 2e-5)


@pytest.mark.parametrize("zero_invalid", [True, False])
def test_gradcheck_in_double(zero_invalid, random_real):
    features, bias = features_of((2, 3, (3, 4)), "contiguous", random_real, torch.float64), random_real(3).double()
    ratio = random_real(2, 3, 4, dtype=torch.float64) + 0.5
    leaves = [x.requires_grad_(True) for x in (features, ratio, bias)]
    torch.autograd.gradcheck(lambda f, r, b: renormalise(f, r, b, zero_invalid=zero_invalid), leaves)
    gaps = ratio_with_gaps(random_real, 3, 4, dtype=torch.float64)
    torch.autograd.gradcheck(lambda f, b: renormalise(f, gaps, b, zero_invalid=zero_invalid), (features, bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(dtype, random_real, device):
    measured, weights = random_real(2, 9, 8) > 0.4, torch.ones(9, 8, dtype=dtype, device=device)
    torch.library.opcheck(torch.ops.cdipipe.window_ratio, (measured, weights, 3, 2, 1))
    for layout in ("contiguous", "channels last"):
        features = features_of((2, 3, (5, 6)), layout, random_real, dtype).requires_grad_(True)
        ratio, bias = ratio_with_gaps(random_real, 2, 5, 6, dtype=dtype), random_real(3, dtype=dtype)
        arguments = (features, ratio, bias.requires_grad_(True), True)
        torch.library.opcheck(torch.ops.cdipipe.renormalise, arguments)


def test_strided_inputs(random_real, device):
    measured, weights = random_real(40, 66).T[::2] > 0.5, torch.ones(40, 33, device=device).T
    ratio, valid = window_ratio(measured, weights, 3, 1, 1)
    torch.testing.assert_close((ratio, valid), reference_window_ratio(measured, weights, 3, 1, 1))
    features = random_real(2, 12, 33, 80)[:, ::3, :, ::2]
    wanted = reference_renormalise(features, ratio)
    assert_close(renormalise(features, ratio), wanted)
    assert_close(renormalise_(features, ratio), wanted)


def test_a_full_mask_changes_nothing(device):
    for size, kernel, stride in ((512, 7, 1), (256, 3, 2)):
        weights = guinier_porod_weights((size, size), size / 64, device)
        ratio, valid = window_ratio(
            torch.ones(size, size, dtype=torch.bool, device=device), weights, kernel, stride, kernel // 2
        )
        assert valid.all()
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-6, atol=0)


def test_an_empty_mask_gives_zeros_whatever_the_features(random_real, device):
    ratio, valid = window_ratio(torch.zeros(16, 16, dtype=torch.bool, device=device), random_real(16, 16) + 1, 3, 1, 1)
    assert not valid.any() and not ratio.any()
    features = torch.full((1, 2, 16, 16), math.inf, device=device)
    assert not renormalise(features, ratio, random_real(2)).any()


def test_a_lone_pixel_of_the_smallest_weight_counts(device):
    weights = guinier_porod_weights((512, 512), 1.0, device)
    assert weights[0, 0] == weights.min() and float(weights.min()) == pytest.approx(1e-8)
    measured = torch.zeros(512, 512, dtype=torch.bool, device=device)
    measured[0, 0] = True
    ratio, valid = window_ratio(measured, weights, 7, 1, 3)
    assert valid[:4, :4].all() and valid.sum() == 16
    assert float(ratio[0, 0]) == pytest.approx(float(weights[:4, :4].double().sum() / weights[0, 0].double()), rel=1e-5)


def test_flat_weights_count_pixels(random_real, device):
    measured = random_real(2, 30, 30) > 0.5
    ratio, _ = window_ratio(measured, torch.ones(30, 30, device=device), 3, 1, 0)
    counts = measured.unfold(1, 3, 1).unfold(2, 3, 1).sum((-2, -1))
    assert_close(ratio, torch.where(counts > 0, 9 / counts, 0))


def test_weights_are_those_of_a_sphere_and_continuous():
    weights = guinier_porod_weights((512, 512), 8.0).double()
    q1 = math.sqrt(10) * 8 / math.pi
    assert float(weights[256, 256]) == 1
    assert float(weights[256, 256 + 4]) == pytest.approx(math.exp(-((math.pi * 4 / 8) ** 2) / 5), rel=1e-6)
    assert float(weights[256 + 100, 256]) == pytest.approx(math.exp(-2) * (q1 / 100) ** 4, rel=1e-6)
    assert math.exp(-((math.pi * q1 / 8) ** 2) / 5) == pytest.approx(math.exp(-2))
    assert float(guinier_porod_weights((64, 64), 0.1).min()) == pytest.approx(1e-8)


def test_weights_first_asked_for_in_inference_are_good_for_training():
    with torch.inference_mode():
        weights = guinier_porod_weights((9, 11), 1.25)
    assert not weights.is_inference() and guinier_porod_weights((9, 11), 1.25) is weights


def test_results_do_not_depend_on_what_was_asked_before(random_real, device):
    weights = guinier_porod_weights((64, 64), 1.0, device)
    measured = random_real(64, 64) > 0.5
    first = window_ratio(measured, weights, 3, 1, 1)
    window_ratio(torch.ones_like(measured), weights, 3, 1, 1)
    torch.testing.assert_close(window_ratio(measured, guinier_porod_weights((64, 64), 1.0, device), 3, 1, 1), first)


def test_results_do_not_depend_on_the_number_of_threads(generator):
    measured, weights = torch.rand(2, 96, 101, generator=generator) > 0.5, guinier_porod_weights((96, 101), 3.0)
    features = torch.randn(2, 30, 96, 101, generator=generator)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            ratio, _ = window_ratio(measured, weights, 7, 1, 3)
            results.append((ratio, renormalise(features, ratio)))
    finally:
        torch.set_num_threads(before)
    for ratio, out in results[1:]:
        assert torch.equal(ratio, results[0][0]) and torch.equal(out, results[0][1])


# batch, grid, channels, kernel size
FIRST_LAYERS = {"paper": (1, (64, 48), 64, 7), "odd": (2, (33, 37), 32, 5), "other channels": (2, (16, 16), 24, 3)}


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("case", FIRST_LAYERS.values(), ids=FIRST_LAYERS.keys())
def test_first_layer_matches_reference(case, per_sample, random_real):
    batch, grid, channels, size = case
    image, bias = random_real(batch, *grid), random_real(channels) - 0.5
    kernels = random_real(channels, size, size) - 0.5
    ratio = ratio_with_gaps(random_real, *((batch,) if per_sample else ()), *grid)
    framed = first_layer(image, kernels, ratio, bias)
    wanted = reference_first_layer(image, kernels, ratio, bias)
    assert_close(framed[:, 1:-1, 1:-1], wanted, 1e-5)
    mirrored = torch.nn.functional.pad(wanted.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect").permute(0, 2, 3, 1)
    assert_close(framed, mirrored, 1e-5)


def test_first_layer_names_a_bad_kernel():
    with pytest.raises(ValueError, match=r"kernels: got \(3, 4, 4\)"):
        first_layer(IMAGE[:, 0], torch.ones(3, 4, 4), RATIO, torch.ones(3))


MASK, WEIGHTS = torch.ones(8, 8, dtype=torch.bool), torch.ones(8, 8)
BAD_WINDOWS = {
    "float mask": ((MASK.float(), WEIGHTS, 3), "measured dtype: got torch.float32"),
    "other grid": ((MASK[:7], WEIGHTS, 3), r"measured: got \(7, 8\).*allowed: \(..., 8, 8\)"),
    "weights with a batch": ((MASK, WEIGHTS[None], 3), r"weights: got torch.float32 \(1, 8, 8\)"),
    "learnt weights": ((MASK, WEIGHTS.clone().requires_grad_(True), 3), "require a gradient"),
    "no kernel": ((MASK, WEIGHTS, 0), r"window: got \(0, 1, 0\)"),
    "no stride": ((MASK, WEIGHTS, 3, 0), r"window: got \(3, 0, 0\)"),
    "padding": ((MASK, WEIGHTS, 3, 1, 3), r"window: got \(3, 1, 3\)"),
    "large kernel": ((MASK, WEIGHTS, 9), "kernel: got 9; allowed: at most 8"),
}
IMAGE, RATIO = torch.ones(2, 3, 8, 8), torch.ones(8, 8)
BAD_FEATURES = {
    "three axes": ((IMAGE[0], RATIO), r"features: got torch.float32 \(3, 8, 8\)"),
    "integers": ((IMAGE.int(), RATIO), "features: got torch.int32"),
    "ratio grid": ((IMAGE, RATIO[:, :7]), r"ratio shape: got \(8, 7\)"),
    "ratio batch": ((IMAGE, RATIO.expand(3, 8, 8)), r"ratio shape: got \(3, 8, 8\)"),
    "ratio dtype": ((IMAGE, RATIO.double()), "ratio: got torch.float64"),
    "bias": ((IMAGE, RATIO, torch.ones(2)), r"bias shape: got \(2,\)"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_WINDOWS.values(), ids=BAD_WINDOWS.keys())
def test_bad_windows_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        window_ratio(*arguments)


@pytest.mark.parametrize(("arguments", "message"), BAD_FEATURES.values(), ids=BAD_FEATURES.keys())
def test_bad_features_are_named(arguments, message):
    for function in (renormalise, renormalise_):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_in_place_refuses_a_leaf():
    with pytest.raises(ValueError, match="use renormalise"):
        renormalise_(IMAGE.clone().requires_grad_(True), RATIO)


@pytest.mark.parametrize("backend_name", ["native", "reference"])
def test_a_mask_of_255_counts_as_one_of_1(backend_name, generator):
    measured = torch.rand(9, 11, generator=generator) > 0.4
    weights = torch.rand(9, 11, generator=generator) + 0.1
    with backend.use(backend_name):
        wanted = window_ratio(measured, weights, 3, 1, 1)
        found = window_ratio(measured.to(torch.uint8) * 255, weights, 3, 1, 1)
    assert torch.equal(found[0], wanted[0]) and torch.equal(found[1], wanted[1])
