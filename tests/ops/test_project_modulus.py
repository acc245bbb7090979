"""Modulus projection: compiled code against the reference, gradients, and what a projection must be."""

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend
from cdipipe.ops.projection import native, project_modulus, project_modulus_, reference_project_modulus

# leading shape, grid, modes
CASES = {
    "one pattern": ((), (32, 48), None),
    "batch": ((5,), (64, 64), None),
    "odd": ((3,), (67, 131), None),
    "volume": ((2,), (17, 20, 33), None),
    "tiny": ((4,), (1, 1), None),
    "two leading axes": ((2, 3), (16, 9), None),
    "several blocks": ((2,), (96, 101), None),
    "empty batch": ((0,), (8, 8), None),
    "modes": ((2,), (33, 35), 3),
    "modes of a volume": ((), (9, 10, 11), 2),
    "one mode": ((2,), (12, 13), 1),
}
MASKS = ("none", "shared", "per batch")


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def arrays(case, mask, random_complex, random_real, dtype=torch.float32):
    leading, grid, modes = case
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
    wave = random_complex(*leading, *((modes,) if modes else ()), *grid, dtype=complex_dtype)
    shared = mask != "per batch"
    modulus = random_real(*(() if shared else leading), *grid, dtype=dtype)
    measured = None if mask == "none" else random_real(*(() if shared else leading), *grid) > 0.3
    return wave, modulus, measured, {"modes": bool(modes), "ndim": len(grid)}


@pytest.mark.parametrize("mask", MASKS)
def test_forward_matches_reference(case, mask, random_complex, random_real):
    wave, modulus, measured, options = arrays(case, mask, random_complex, random_real)
    projected, error = project_modulus(wave, modulus, measured, **options)
    wanted, wanted_error = reference_project_modulus(wave, modulus, measured, **options)
    assert_close(projected, wanted)
    assert_close(error, wanted_error)
    in_place, error_out = wave.clone(), torch.full_like(error, 7.0)
    assert project_modulus_(in_place, modulus, measured, error_out, **options) is in_place
    assert torch.equal(in_place, projected) and torch.equal(error_out, error)


@pytest.mark.parametrize("mask", MASKS)
def test_scales_on_both_sides(case, mask, random_complex, random_real):
    wave, modulus, measured, options = arrays(case, mask, random_complex, random_real)
    scale = 0.3
    if wave.numel():
        wave.flatten()[0] = 0
    wanted, wanted_error = reference_project_modulus(scale * wave, modulus, measured, **options)
    error = torch.full_like(wanted_error, 7.0)
    assert_close(project_modulus_(wave, modulus, measured, error, scale=scale, **options), scale * wanted)
    assert_close(error, wanted_error)


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_match_reference(case, mask, random_complex, random_real):
    wave, modulus, measured, options = arrays(case, mask, random_complex, random_real)
    weight, error_weight = random_complex(*wave.shape), random_real(*case[0], dtype=torch.float64) - 0.5
    grads = []
    for function in (project_modulus, reference_project_modulus):
        leaves = [x.clone().requires_grad_(True) for x in (wave, modulus)]
        projected, error = function(*leaves, measured, **options)
        loss = (projected * weight.conj()).real.sum() + (error * error_weight).sum()
        grads.append(torch.autograd.grad(loss, leaves))
    for got, wanted in zip(*grads, strict=True):
        assert_close(got, wanted, 2e-5)


def test_non_contiguous_and_conjugated_inputs(random_complex, random_real):
    wave, modulus = random_complex(32, 24, 2).permute(2, 1, 0).conj(), random_real(32, 24).T
    measured = random_real(32, 48).T[::2] > 0.3
    wanted, wanted_error = reference_project_modulus(wave, modulus, measured)
    projected, error = project_modulus(wave, modulus, measured)
    assert_close(projected, wanted)
    assert_close(error, wanted_error)
    in_place = random_complex(32, 24, 2).permute(2, 1, 0)
    in_place.copy_(wave)
    error_out = torch.empty(2, dtype=torch.float64, device=wave.device)
    assert_close(project_modulus_(in_place, modulus, measured, error_out), wanted)
    assert_close(error_out, wanted_error)


def test_double_precision_goes_to_the_reference(random_complex, random_real):
    wave, modulus = random_complex(2, 8, 8, dtype=torch.complex128), random_real(8, 8, dtype=torch.float64)
    assert torch.equal(project_modulus(wave, modulus)[0], reference_project_modulus(wave, modulus)[0])


@pytest.mark.parametrize("modes", [None, 2])
def test_gradcheck_in_double(modes, random_complex, random_real):
    case = ((2,), (3, 4), modes)
    wave, modulus, measured, options = arrays(case, "shared", random_complex, random_real, torch.float64)
    wave = wave + 0.5 * wave / wave.abs()
    leaves = wave.requires_grad_(True), modulus.requires_grad_(True)
    torch.autograd.gradcheck(lambda z, b: project_modulus(z, b, measured, **options), leaves)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_opcheck(dtype, random_complex, random_real):
    wave = random_complex(2, 3, 5, 6, dtype=dtype).requires_grad_(True)
    modulus = random_real(2, 5, 6, dtype=wave.real.dtype)
    torch.library.opcheck(torch.ops.cdipipe.project_modulus, (wave, modulus, modulus > 0.2, True, 2))


def test_projection_is_idempotent_and_keeps_phases(random_complex, random_real):
    wave, modulus = random_complex(2, 40, 40), random_real(40, 40) + 0.1
    once, _ = project_modulus(wave, modulus)
    twice, error = project_modulus(once, modulus)
    assert_close(twice, once)
    assert_close(once.abs(), modulus.expand(2, 40, 40))
    assert error.max() < 1e-6 * modulus.sum()
    assert (once * wave.conj()).imag.abs().max() < 1e-5


def test_modes_share_one_factor_and_sum_to_the_measured_intensity(random_complex, random_real):
    wave, modulus = random_complex(2, 4, 20, 21), random_real(20, 21)
    measured = random_real(20, 21) > 0.5
    projected, _ = project_modulus(wave, modulus, measured, modes=True)
    total = projected.abs().square().sum(1)
    assert_close(total[:, measured], modulus.square().expand(2, 20, 21)[:, measured])
    ratio = (projected / wave)[:, :, measured]
    assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_pixels_that_were_not_measured_keep_their_bits(random_complex, random_real):
    wave, modulus = random_complex(2, 33, 33), random_real(33, 33)
    measured = random_real(33, 33) > 0.5
    wave[:, ~measured] *= 1e-30
    wave[0, ~measured] = complex(-0.0, -0.0)
    modulus[~measured] = float("nan")
    for modes in (False, True):
        batch = wave[:, None] if modes else wave
        projected, error = project_modulus(batch, modulus, measured, modes=modes)
        kept, before = (torch.view_as_real(x.reshape(wave.shape)[:, ~measured]) for x in (projected, wave))
        assert torch.equal(kept.view(torch.int32), before.view(torch.int32))
        assert error.isfinite().all()


@pytest.mark.parametrize("modes", [None, 4])
def test_dark_pixels_get_the_modulus_with_phase_zero(modes, random_real, device):
    modulus = random_real(3, 5) + 0.5
    wave = torch.zeros(*([modes] if modes else []), 3, 5, dtype=torch.complex64, device=device, requires_grad=True)
    projected, error = project_modulus(wave, modulus, modes=bool(modes))
    assert_close(projected.detach(), (modulus / (modes or 1) ** 0.5).expand_as(wave).to(torch.complex64))
    assert error.item() == pytest.approx(modulus.double().sum().item(), rel=1e-6)
    (projected.abs().sum() + error).backward()
    assert torch.equal(wave.grad, torch.zeros_like(wave))


def test_a_nan_is_not_healed(random_complex, random_real):
    wave, modulus = random_complex(1, 8, 8), random_real(8, 8)
    wave[0, 3, 3] = complex(float("nan"), 0)
    projected, error = project_modulus(wave, modulus)
    assert projected[0, 3, 3].isnan() and error.isnan().all()


def test_bits_do_not_depend_on_the_thread_count(random_complex, random_real):
    wave, modulus = random_complex(3, 300, 301), random_real(300, 301)
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(project_modulus(wave, modulus, modulus > 0.1))
    finally:
        torch.set_num_threads(threads)
    for projected, error in results[1:]:
        assert torch.equal(projected, results[0][0]) and torch.equal(error, results[0][1])


def test_reference_backend_can_be_chosen(random_complex, random_real):
    wave, modulus = random_complex(16, 16), random_real(16, 16)
    with backend.use("reference"):
        got = project_modulus(wave, modulus)[0]
    assert torch.equal(got, reference_project_modulus(wave, modulus)[0])


def test_messages_say_what_was_got_and_what_is_allowed(random_complex, random_real):
    wave, modulus = random_complex(2, 8, 9), random_real(8, 9)
    wrong = [
        ((wave.real, modulus), "wavefront dtype: got torch.float32; allowed: torch.complex64"),
        ((wave, modulus.double()), "modulus dtype: got torch.float64; allowed: torch.float32"),
        ((wave, modulus[:, :5]), r"modulus shape: got \(8, 5\); allowed: \(8, 9\) or \(2, 8, 9\)"),
        ((wave, modulus.expand(3, 8, 9)), r"modulus shape: got \(3, 8, 9\); allowed"),
        ((wave, modulus, modulus), "measured dtype: got torch.float32; allowed: torch.bool, torch.uint8"),
        ((wave, modulus, modulus[0] > 0), r"measured shape: got \(9,\); allowed"),
        ((wave[0, 0], modulus), r"wavefront shape: got \(9,\); allowed: at least 2 axes"),
    ]
    for arguments, message in wrong:
        for function in (project_modulus, project_modulus_):
            with pytest.raises(ValueError, match=message):
                function(*arguments)
    with pytest.raises(
        ValueError, match=r"error_out: got torch.float32 \(2,\) on .*; allowed: contiguous torch.float64"
    ):
        project_modulus_(wave, modulus, None, torch.empty(2, device=wave.device))
    with pytest.raises(ValueError, match="use project_modulus"):
        project_modulus_(wave.requires_grad_(True), modulus)
    with pytest.raises(ValueError, match=r"modulus device: got meta; allowed"):
        project_modulus(wave, modulus.to("meta"))


def test_what_loops_give_is_seen_at_a_glance_and_the_rest_is_looked_at(random_complex, random_real):
    wave, modulus, measured = random_complex(2, 8, 9), random_real(8, 9), random_real(8, 9) > 0.3
    error = torch.empty(2, dtype=torch.float64, device=wave.device)
    usual = (wave, modulus, measured, error, 2)
    assert native.project_usual(*usual) == (wave.is_cpu and backend.use_native("cpu"))
    others = {0: wave.conj(), 1: modulus.T, 2: measured.expand(2, 8, 9), 3: error[:1], 4: 3}
    for place, other in others.items():
        assert not native.project_usual(*usual[:place], other, *usual[place + 1 :])
    with pytest.raises(ValueError, match="modulus shape"):
        project_modulus_(wave, modulus.T, measured, error)
