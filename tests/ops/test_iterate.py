"""A whole iteration in one call: the same as its four steps, on batches, volumes and with masks of each item."""

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend
from cdipipe.ops.projection import CONSTRAINTS, reference_project_modulus, reference_update_object
from cdipipe.ops.projection.iterate import iterate_

RULES = {
    "er": {"a": 0.0, "b": 0.0, "c": 1.0, "g": 0.0},
    "hio": {"a": 1.0, "b": -0.9, "c": 0.0, "g": 0.0},
    "raar": {"a": 0.8, "b": 1 - 2 * 0.8, "c": 0.8, "g": 1.0},
}
SHAPES = {"plane": ((), (80, 96)), "batch": ((3,), (31, 40)), "volumes": ((2,), (9, 16, 12))}


def steps(exit_wave, modulus, measured, support, constraint, rule, ndim):
    """Next exit wave, P and error sums of plain PyTorch."""
    axes = tuple(range(-ndim, 0))
    wavefront = torch.fft.fftn(exit_wave, dim=axes, norm="ortho")
    wavefront, error = reference_project_modulus(wavefront, modulus, measured, ndim=ndim)
    projected = torch.fft.ifftn(wavefront, dim=axes, norm="ortho")
    return reference_update_object(exit_wave, projected, support, constraint, **rule), projected, error


@pytest.mark.parametrize("each", [False, True], ids=["shared", "of each"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_same_as_its_steps(shape, rule, constraint, each, random_complex, random_real):
    leading, grid = shape
    own = leading if each else ()
    exit_wave, modulus = random_complex(*leading, *grid), random_real(*own, *grid)
    measured, support = random_real(*own, *grid) > 0.1, random_real(*own, *grid) > 0.4
    wanted = steps(exit_wave, modulus, measured, support, constraint, rule, len(grid))
    error = torch.empty(leading, dtype=torch.float64, device=exit_wave.device)
    projected = iterate_(exit_wave, modulus, measured, support, error, constraint, **rule, ndim=len(grid))
    for got, expected in zip((exit_wave, projected, error), wanted, strict=True):
        assert_close(got, expected, 2e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads_or_on_the_batch(threads, random_complex, random_real):
    waves, modulus = random_complex(3, 96, 64).cpu(), random_real(96, 64).cpu()
    masks = random_real(96, 64).cpu() > 0.1, random_real(96, 64).cpu() > 0.4
    alone, together = waves.clone(), waves.clone()
    error = torch.empty(2, 3, dtype=torch.float64)
    for item in range(3):
        iterate_(alone[item], modulus, *masks, error[0, item], **RULES["raar"])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        iterate_(together, modulus, *masks, error[1], **RULES["raar"])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, together) and torch.equal(error[0], error[1])


def test_double_precision_and_the_reference_alike(random_complex, random_real):
    wave, modulus, rule = random_complex(2, 20, 30), random_real(20, 30), RULES["hio"]
    masks = random_real(20, 30) > 0.1, random_real(20, 30) > 0.4
    double, error = wave.to(torch.complex128), torch.empty(2, dtype=torch.float64, device=wave.device)
    with backend.use("reference"):
        plain = wave.clone()
        iterate_(plain, modulus, *masks, error, **rule)
    iterate_(wave, modulus, *masks, error, **rule)
    iterate_(double, modulus.double(), *masks, error, **rule)
    assert_close(wave, plain, 2e-5)
    assert_close(wave, double.to(torch.complex64), 2e-5)


def test_what_does_not_fit_is_refused(random_complex, random_real):
    wave, modulus, inside = random_complex(8, 8), random_real(8, 8), random_real(8, 8) > 0.4
    error, rule = torch.empty((), dtype=torch.float64, device=wave.device), RULES["er"]
    with pytest.raises(ValueError, match="modulus shape"):
        iterate_(wave, modulus[:4], inside, inside, error, **rule)
    with pytest.raises(ValueError, match="support shape"):
        iterate_(wave, modulus, inside, inside[:4], error, **rule)
    with pytest.raises(ValueError, match="constraint: got 'round'"):
        iterate_(wave, modulus, inside, inside, error, "round", **rule)
    with pytest.raises(ValueError, match="phase_range_rad"):
        iterate_(wave, modulus, inside, inside, error, "phase_range", **rule, phase_range_rad=(1.0, 0.0))
