"""Distance to the object set: compiled code against the projection."""

import math

import pytest
import torch
from closeness import assert_close

from cdipipe.ops import backend
from cdipipe.ops.projection import CONSTRAINTS, project_object, subtract_projection_

SETS = [(name, (-math.pi / 2, math.pi / 2)) for name in CONSTRAINTS] + [
    ("phase_range", r) for r in ((0.3, 0.9), (-2.5, 2.0), (-math.pi, math.pi))
]
CONVEX = [(name, phases) for name, phases in SETS if not math.pi < phases[1] - phases[0] < 2 * math.pi]
"""A sector wider than half a turn is not convex."""


@pytest.fixture(params=SETS, ids=str)
def object_set(request):
    return request.param


@pytest.mark.parametrize("shape", [(16, 24), (3, 67, 131), (2, 9, 17, 33), (0, 8, 8)], ids=str)
@pytest.mark.parametrize("per_batch", [False, True], ids=["shared", "per batch"])
def test_with_the_projection_it_adds_up(shape, per_batch, object_set, random_complex, random_real):
    v = random_complex(*shape)
    support = random_real(*(shape if per_batch else shape[len(shape) % 2 :])) > 0.4
    if shape == (2, 9, 17, 33) and not per_batch:
        support = random_real(9, 17, 33) > 0.4
    wanted = v - project_object(v, support, *object_set)
    kept = v.clone()
    assert subtract_projection_(v, support, *object_set) is v
    assert_close(v, wanted)
    with backend.use("reference"):
        assert_close(subtract_projection_(kept, support, *object_set), wanted)


@pytest.mark.parametrize("object_set", CONVEX, ids=str)
def test_is_orthogonal_to_the_projection(object_set, random_complex, random_real):
    """Moreau: v = P v + (v - P v), the two at right angles, for the sets that are convex cones."""
    v, support = random_complex(3, 30, 31), random_real(30, 31) > 0.4
    nearest = project_object(v, support, *object_set)
    rest = subtract_projection_(v.clone(), support, *object_set)
    inner = nearest.real * rest.real + nearest.imag * rest.imag
    assert inner.abs().max() < 1e-5


def test_strided_double_and_wrong_arguments(random_complex, random_real):
    v, support = random_complex(32, 24, 2).permute(2, 1, 0), random_real(24, 32) > 0.5
    wanted = v - project_object(v, support, "quadrant")
    assert_close(subtract_projection_(v, support, "quadrant"), wanted)
    double = random_complex(8, 9, dtype=torch.complex128)
    inside = random_real(8, 9) > 0.5
    wanted = double - project_object(double, inside, "real_nonneg")
    assert torch.equal(subtract_projection_(double, inside, "real_nonneg"), wanted)
    with pytest.raises(ValueError, match=r"support shape: got \(4, 9\)"):
        subtract_projection_(double, inside[:4])
    with pytest.raises(ValueError, match="use project_object"):
        subtract_projection_(double.requires_grad_(True), inside)
