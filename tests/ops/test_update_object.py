"""Object update: compiled code against the reference, gradients, and the identities of the algorithms."""

import math

import pytest
import torch
from closeness import assert_close

from cdipipe.ops.projection import (
    CONSTRAINTS,
    project_object,
    reference_update_object,
    update_object,
    update_object_,
)

ER = {"a": 0.0, "b": 0.0, "c": 1.0, "g": 0.0}
HIO = {"a": 1.0, "b": -0.9, "c": 0.0, "g": 0.0}
RAAR = {"a": 0.8, "b": 1 - 2 * 0.8, "c": 0.8, "g": 1.0}
RULES = {"er": ER, "hio": HIO, "raar": RAAR, "general": {"a": 0.3, "b": -0.4, "c": 0.7, "g": 0.5}}
RANGES = {"half turn": (-math.pi / 2, math.pi / 2), "narrow": (0.3, 0.9), "wide": (-2.5, 2.0), "shifted": (2.8, 4.0)}
SETS = [(name, RANGES["half turn"]) for name in CONSTRAINTS[:-1]] + [("phase_range", r) for r in RANGES.values()]
SHAPES = {
    "one": ((), (16, 24)),
    "batch": ((3,), (67, 131)),
    "volume": ((2,), (9, 17, 33)),
    "tiny": ((3,), (1, 1)),
    "empty": ((0,), (8, 8)),
}


@pytest.fixture(params=SETS, ids=lambda s: s[0] if s[0] != "phase_range" else f"phase_range{s[1]}")
def object_set(request):
    return request.param


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def shape(request):
    return request.param


def arrays(shape, per_batch, random_complex, random_real, dtype=torch.complex64):
    leading, grid = shape
    support = random_real(*(leading if per_batch else ()), *grid) > 0.4
    return random_complex(*leading, *grid, dtype=dtype), random_complex(*leading, *grid, dtype=dtype), support


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("per_batch", [False, True], ids=["shared", "per batch"])
def test_forward_matches_reference(shape, object_set, rule, per_batch, random_complex, random_real):
    u, p, support = arrays(shape, per_batch, random_complex, random_real)
    constraint, phase_range = object_set
    wanted = reference_update_object(u, p, support, constraint, phase_range_rad=phase_range, **rule)
    assert_close(update_object(u, p, support, constraint, phase_range_rad=phase_range, **rule), wanted)
    in_place = u.clone()
    got = update_object_(in_place, p, support, constraint, phase_range_rad=phase_range, **rule)
    assert got is in_place
    assert_close(in_place, wanted)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_gradients_match_reference(object_set, rule, random_complex, random_real):
    u, p, support = arrays(((2,), (31, 37)), False, random_complex, random_real)
    constraint, phase_range = object_set
    weight, grads = random_complex(*u.shape), []
    for function in (update_object, reference_update_object):
        leaves = [x.clone().requires_grad_(True) for x in (u, p)]
        out = function(*leaves, support, constraint, phase_range_rad=phase_range, **rule)
        loss = (out * weight.conj()).real.sum() + 0 * sum(x.real.sum() for x in leaves)
        grads.append(torch.autograd.grad(loss, leaves))
    for got, wanted in zip(*grads, strict=True):
        assert_close(got, wanted)


@pytest.mark.parametrize("rule", [HIO, RAAR, RULES["general"]], ids=["hio", "raar", "general"])
def test_gradcheck_in_double(object_set, rule, random_complex, random_real):
    u, p, support = arrays(((2,), (3, 4)), False, random_complex, random_real, torch.complex128)
    constraint, phase_range = object_set
    torch.autograd.gradcheck(
        lambda u, p: update_object(u, p, support, constraint, phase_range_rad=phase_range, **rule),
        (u.requires_grad_(True), p.requires_grad_(True)),
    )


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("constraint", ["support", "phase_range"])
def test_opcheck(dtype, constraint, random_complex, random_real):
    u, p, support = arrays(((2,), (5, 6)), False, random_complex, random_real, dtype)
    leaves = u.requires_grad_(True), p.requires_grad_(True)
    torch.library.opcheck(
        torch.ops.cdipipe.update_object, (*leaves, support, constraint, [0.9, -0.8, 0.9, 1.0], [-1, 1])
    )


def test_non_contiguous_inputs(random_complex, random_real):
    u, p = random_complex(24, 32, 2).permute(2, 1, 0), random_complex(2, 32, 24).conj()
    support = random_real(24, 32).T > 0.5
    wanted = reference_update_object(u, p, support, **RAAR)
    assert_close(update_object(u, p, support, **RAAR), wanted)
    assert_close(update_object_(u, p, support, **RAAR), wanted)


def test_support_of_restarts_broadcasts_over_modes(random_complex, random_real):
    u, p, support = random_complex(3, 2, 8, 9), random_complex(3, 2, 8, 9), random_real(3, 1, 8, 9) > 0.5
    assert_close(update_object(u, p, support, **HIO), reference_update_object(u, p, support, **HIO))


def test_the_projection_is_idempotent_and_nearest(object_set, random_complex, random_real):
    constraint, phase_range = object_set
    x, support = random_complex(4, 40, 40), random_real(40, 40) > 0.4
    projected = project_object(x, support, constraint, phase_range)
    assert_close(project_object(projected, support, constraint, phase_range), projected)
    assert projected[:, ~support].abs().max() == 0
    for _ in range(5):
        member = project_object(random_complex(4, 40, 40), support, constraint, phase_range)
        assert ((x - projected).abs() <= (x - member).abs() + 1e-6).all()


def test_the_phase_range_is_the_angle_test(random_complex, device):
    x = random_complex(50, 50)
    everywhere = torch.ones(50, 50, dtype=torch.bool, device=device)
    for low, high in RANGES.values():
        inside = (x.angle() - low) % (2 * math.pi) <= high - low
        unchanged = project_object(x, everywhere, "phase_range", (low, high)) == x
        assert torch.equal(unchanged, inside)
    assert torch.equal(project_object(x, everywhere, "phase_range", (-math.pi, math.pi)), x)


def test_raar_is_the_average_of_reflections(object_set, random_complex, random_real):
    """u+ = beta/2 (R_S R_M + 1) u + (1 - beta) P_M u, with R = 2 P - 1."""
    constraint, phase_range = object_set
    beta = 0.87
    u, p, support = arrays(((2,), (30, 31)), False, random_complex, random_real)
    if constraint == "real_nonneg":
        u, p = (torch.complex(x.real, torch.zeros_like(x.real)) for x in (u, p))
    reflected = 2 * p - u
    twice = 2 * project_object(reflected, support, constraint, phase_range) - reflected
    wanted = beta / 2 * (twice + u) + (1 - beta) * p
    rule = {"a": beta, "b": 1 - 2 * beta, "c": beta, "g": 1.0}
    assert_close(update_object(u, p, support, constraint, phase_range_rad=phase_range, **rule), wanted)


def test_difference_map_with_a_support_is_hio(random_complex, random_real):
    """beta = 1: u + P_S(2 P - u) - P = HIO(1) = Douglas-Rachford."""
    u, p, support = arrays(((2,), (30, 31)), False, random_complex, random_real)
    difference_map = u + project_object(2 * p - u, support) - p
    hio = update_object(u, p, support, a=1.0, b=-1.0, c=0.0, g=0.0)
    assert_close(difference_map, hio)
    assert_close(update_object(u, p, support, a=1.0, b=-1.0, c=1.0, g=1.0), hio)


def test_error_reduction_is_the_object_projection(object_set, random_complex, random_real):
    constraint, phase_range = object_set
    u, p, support = arrays(((2,), (30, 31)), False, random_complex, random_real)
    u[:] = float("nan")  # a = g = 0: never read
    got = update_object(u, p, support, constraint, phase_range_rad=phase_range, **ER)
    assert torch.equal(got, project_object(p, support, constraint, phase_range))


def test_a_member_of_both_sets_stays(object_set, random_complex, random_real):
    constraint, phase_range = object_set
    support = random_real(30, 30) > 0.5
    narrower = (phase_range[0] + 0.1, phase_range[1] - 0.1)
    member = project_object(random_complex(2, 30, 30), support, constraint, narrower)
    for rule in (ER, HIO, RAAR):
        got = update_object(member, member, support, constraint, phase_range_rad=phase_range, **rule)
        assert_close(got, member)


def test_messages_say_what_was_got_and_what_is_allowed(random_complex, random_real):
    u, p, support = random_complex(2, 8, 9), random_complex(2, 8, 9), random_real(8, 9) > 0.5
    wrong = [
        ((u, p.real, support), {}, "projected dtype: got torch.float32; allowed: torch.complex64"),
        (
            (u[0], p, support),
            {},
            r"exit_wave: got torch.complex64 \(8, 9\) on .*; allowed: torch.complex64 \(2, 8, 9\)",
        ),
        ((u, p, support[:4]), {}, r"support shape: got \(4, 9\); allowed: what broadcasts to \(2, 8, 9\)"),
        ((u, p, u.real), {}, "support dtype: got torch.float32; allowed: torch.bool"),
        ((u, p, support, "positive"), {}, "constraint: got 'positive'; allowed: support, real_nonneg"),
        (
            (u, p, support, "phase_range"),
            {"phase_range_rad": (1.0, 0.5)},
            r"phase_range_rad: got \(1.0, 0.5\); allowed",
        ),
        ((u, p, support, "phase_range"), {"phase_range_rad": (0.0, 7.0)}, r"0 < max - min <= 2 pi"),
    ]
    for arguments, options, message in wrong:
        for function in (update_object, update_object_):
            with pytest.raises(ValueError, match=message):
                function(*arguments, **options, **HIO)
    with pytest.raises(ValueError, match="use update_object"):
        update_object_(u.requires_grad_(True), p, support, **HIO)


def test_without_a_gradient_the_registered_operation_is_passed_by(random_complex, random_real):
    """Its first call loads torch's compiler, which takes a second of every program."""
    u, p, support = random_complex(2, 8, 9), random_complex(2, 8, 9), random_real(8, 9) > 0.5
    plain = update_object(u, p, support, **RAAR)
    followed = update_object(u, p.clone().requires_grad_(), support, **RAAR)
    assert torch.equal(plain, followed.detach())
    assert followed.requires_grad and not plain.requires_grad
    with torch.no_grad():
        assert torch.equal(update_object(u, p.clone().requires_grad_(), support, **RAAR), plain)
