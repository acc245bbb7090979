"""Numbers that arithmetic does not survive, and work that no memory holds, are refused before anything runs."""

import math
import re

import pytest

from cdipipe.bounds import LARGEST_INTEGER, MOST_VALUES, out_of_bounds
from cdipipe.errors import InputError
from cdipipe.phasing.recipe import recipe_from_mapping


@pytest.mark.parametrize("value", [0, -1, 1e30, 1e-30, 0.0, None, True, "x", [1, 2], {"a": [1.5]}, LARGEST_INTEGER])
def test_what_is_usual_is_within_bounds(value):
    assert out_of_bounds(value) is None


DEEP = [1]
for _ in range(80):
    DEEP = [DEEP]
ODD = [
    1e31,
    1e-31,
    -1e300,
    math.nan,
    math.inf,
    2**63,
    10**30,
    "x" * 70_000,
    [0] * (MOST_VALUES + 1),
    DEEP,
    [[math.nan]],
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_what_is_beyond_is_named(value):
    assert out_of_bounds(value)
    with pytest.raises(InputError, match=r"recipe: (beta|start_support): "):
        recipe_from_mapping({"method": "hio", "beta" if not isinstance(value, list) else "start_support": value})


@pytest.mark.parametrize(
    "settings, said",
    [
        (["--set", "iterations=1e10"], r"plans 1e\+10 iterations; at most"),
        (["--set", "iterations=900000000", "--restarts", "100000"], r"needs .* GiB, the limit is"),
        (["--restarts", "1000000000"], "restarts: input should be less than or equal to 100000"),
        (["--set", "shrink_wrap.sigma_start_px=1e300"], "1e\\+300 is out of range"),
        (["--set", "shrink_wrap.sigma_start_px=.nan"], "nan is not a usable number"),
    ],
)
def test_a_reconstruction_that_cannot_be_is_refused(cli, tmp_path, settings, said):
    measured = tmp_path / "M.cxi"
    assert cli("simulate", "polygons", "--set", "size=32", "-o", measured).code == 0
    complaint = cli("reconstruct", measured, "-m", "hio", *settings, "-o", tmp_path / "R.cxi").complaint
    assert re.search(said, complaint), complaint
    assert [path.name for path in tmp_path.iterdir()] == ["M.cxi"]
