"""Primal-dual step on the detector: compiled code against the reference, and what it is in special cases."""

import math

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend
from cdipipe.ops.projection import project_modulus
from cdipipe.ops.projection.relax import reference_relax_modulus, relax_modulus_

CASES = {
    "one pattern": ((), (32, 48), None),
    "batch": ((3,), (67, 131), None),
    "volume": ((2,), (17, 20, 33), None),
    "tiny": ((2,), (1, 1), None),
    "empty batch": ((0,), (8, 8), None),
    "modes": ((2,), (67, 75), 3),
    "modes of a volume": ((), (9, 10, 11), 2),
}
STEPS = {"t": 0.8, "s": 0.9, "softness": 0.3, "keep": 1.0}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def arrays(case, random_complex, random_real, dtype=torch.complex64):
    leading, grid, modes = case
    middle = (modes,) if modes else ()
    real = torch.float32 if dtype == torch.complex64 else torch.float64
    z, dual = (random_complex(*leading, *middle, *grid, dtype=dtype) for _ in range(2))
    modulus, measured = random_real(*grid, dtype=real), random_real(*grid) > 0.3
    low_pass, reference = random_real(*grid, dtype=real), 3 * random_complex(*middle, *grid, dtype=dtype)
    return (z, dual, modulus, measured), low_pass, reference, {"modes": bool(modes), "ndim": len(grid)}


@pytest.mark.parametrize("keep", [0.0, 1.0])
@pytest.mark.parametrize("with_filter", [False, True])
@pytest.mark.parametrize("with_reference", [False, True])
def test_matches_reference(case, with_filter, with_reference, keep, random_complex, random_real):
    (z, dual, modulus, measured), low_pass, reference, layout = arrays(case, random_complex, random_real)
    extra = {"low_pass": low_pass if with_filter else None, "reference": reference if with_reference else None}
    if z.numel():
        z.flatten()[0] = dual.flatten()[0] = 0  # a dark pixel, where there is one mode and no reference
    rule = (0.8, 0.9, 0.8 / 1.1, keep, 1.0)
    wanted = reference_relax_modulus(z, dual, modulus, measured, rule, **extra, **layout)
    error = torch.full(case[0], 7.0, dtype=torch.float64, device=z.device)
    assert relax_modulus_(z, dual, modulus, measured, error, **{**STEPS, "keep": keep}, **extra, **layout) is z
    for got, want in zip((z, dual, error), wanted, strict=True):
        assert_close(got, want)


def test_scales_the_dual_on_both_sides(case, random_complex, random_real):
    (z, dual, modulus, measured), low_pass, reference, layout = arrays(case, random_complex, random_real)
    extra, scale = (
        {"low_pass": low_pass, "reference": reference, **STEPS, **layout},
        0.25,
    )  # a power of two: no rounding
    wanted, moved = z.clone(), scale * dual
    relax_modulus_(wanted, moved, modulus, measured, **extra)
    relax_modulus_(z, dual, modulus, measured, scale=scale, **extra)
    assert_close(z, wanted)
    assert_close(dual, scale * moved)


@pytest.mark.parametrize("modes", [None, 3])
def test_is_the_proximal_step_written_out(modes, random_complex, random_real):
    case = ((2,), (12, 13), modes)
    (z, dual, modulus, measured), low_pass, reference, layout = arrays(
        case, random_complex, random_real, torch.complex128
    )
    t, s, softness = STEPS["t"], STEPS["s"], STEPS["softness"]
    y = dual * low_pass
    h = z - t * y
    projected, wanted_error = project_modulus(h + reference, modulus, measured, **layout)
    wanted = (t * (projected - reference) + softness * h) / (t + softness)
    before, error = z.clone(), torch.empty(2, dtype=torch.float64, device=z.device)
    relax_modulus_(z, dual, modulus, measured, error, low_pass=low_pass, reference=reference, **STEPS, **layout)
    trusted = measured.expand_as(z)
    torch.testing.assert_close(z[trusted], wanted[trusted])
    torch.testing.assert_close(z[~trusted], h[~trusted])
    torch.testing.assert_close(dual, y + s * (2 * z - before))
    torch.testing.assert_close(error, wanted_error)


def test_minimises_misfit_and_distance(random_complex, random_real):
    """z' is the minimum of t / (2 softness) (|z| - b)^2 + |z - h|^2 / 2 on every measured pixel."""
    h, b, t, softness = random_complex(20, 20, dtype=torch.complex128), random_real(20, 20).double(), 0.7, 0.4
    everywhere = torch.ones_like(b, dtype=torch.bool)
    z, dual = h.clone(), torch.zeros_like(h)
    relax_modulus_(z, dual, b, everywhere, t=t, softness=softness)

    def cost(x):
        return t / (2 * softness) * (x.abs() - b).square() + (x - h).abs().square() / 2

    for step in (1e-3, 1e-3j, -1e-3, -1e-3j, 0.1, -0.1j):
        assert (cost(z + step) >= cost(z)).all()


def test_untrusted_pixels_are_free_and_never_read(random_complex, random_real):
    for shape in ((2, 33, 33), (2, 2, 33, 33)):
        z, dual, modulus = random_complex(*shape), random_complex(*shape), random_real(33, 33)
        measured = random_real(33, 33) > 0.5
        modulus[~measured] = float("nan")
        h, error = z - 0.5 * dual, torch.empty(2, dtype=torch.float64, device=z.device)
        relax_modulus_(z, dual, modulus, measured, error, t=0.5, modes=len(shape) == 4)
        assert torch.equal(z[..., ~measured], h[..., ~measured]) and error.isfinite().all() and z.isfinite().all()


def test_dark_pixels_get_their_share_with_phase_zero(random_real):
    for modes in (None, 4):
        modulus = random_real(3, 5) + 0.5
        shape = (modes, 3, 5) if modes else (3, 5)
        z, dual = (torch.zeros(shape, dtype=torch.complex64, device=modulus.device) for _ in range(2))
        everywhere = torch.ones_like(modulus, dtype=torch.bool)
        relax_modulus_(z, dual, modulus, everywhere, t=1, softness=0.5, modes=bool(modes))
        assert_close(z, (modulus / 1.5 / math.sqrt(modes or 1)).expand(shape).to(torch.complex64))


def test_bits_do_not_depend_on_the_thread_count(random_complex, random_real):
    (z, dual, modulus, measured), low_pass, _, _ = arrays(((3,), (200, 301), None), random_complex, random_real)
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            copies = z.clone(), dual.clone(), torch.empty(3, dtype=torch.float64, device=z.device)
            relax_modulus_(*copies[:2], modulus, measured, copies[2], low_pass=low_pass, **STEPS)
            results.append(copies)
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_strides_and_the_reference_backend(random_complex, random_real):
    (z, dual, modulus, measured), low_pass, _, _ = arrays(((2,), (24, 32), None), random_complex, random_real)
    strided = random_complex(32, 24, 2).permute(2, 1, 0)
    strided.copy_(z)
    other_dual, third, third_dual = dual.clone(), z.clone(), dual.clone()
    relax_modulus_(strided, other_dual, modulus, measured, low_pass=low_pass.T.contiguous().T, **STEPS)
    relax_modulus_(z, dual, modulus, measured, low_pass=low_pass, **STEPS)
    with backend.use("reference"):
        relax_modulus_(third, third_dual, modulus, measured, low_pass=low_pass, **STEPS)
    for a, b in ((strided, other_dual), (third, third_dual)):
        assert_close(a, z)
        assert_close(b, dual)


def test_messages_say_what_was_got_and_what_is_allowed(random_complex, random_real):
    z, dual, modulus = random_complex(2, 8, 9), random_complex(2, 8, 9), random_real(8, 9)
    measured = modulus > 0.5
    wrong = [
        ({"dual": dual[0]}, r"dual: got torch.complex64 \(8, 9\) on .*; allowed: torch.complex64 \(2, 8, 9\)"),
        ({"low_pass": modulus.double()}, "low_pass: got torch.float64"),
        ({"reference": dual}, r"reference: got torch.complex64 \(2, 8, 9\) on .*; allowed: torch.complex64 \(8, 9\)"),
        ({"t": 0.0}, "t: got 0.0; allowed: above 0"),
        ({"modulus": modulus[:4]}, r"modulus shape: got \(4, 9\)"),
        ({"wavefront": z.clone().requires_grad_(True)}, "wavefront requires a gradient"),
    ]
    for change, message in wrong:
        arguments = {"wavefront": z, "dual": dual, "modulus": modulus, "measured": measured, **change}
        with pytest.raises(ValueError, match=message):
            relax_modulus_(**arguments)
