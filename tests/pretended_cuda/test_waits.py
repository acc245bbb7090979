"""An iteration launches few operations, waits for none of them and uploads nothing; nor does what is around it."""

import os
from unittest import mock

import numpy as np
import pytest
import small_runs
import torch
from pretended import pretend

from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.restarts import batch_size

pytestmark = pytest.mark.pretended
STILL = {"shrink_wrap": {"every": 0}, "closing_er": 0.0}
LAUNCHES = {
    "er": ({**STILL}, 6),
    "hio": ({**STILL}, 6),
    "raar": ({**STILL}, 6),
    "dm": ({**STILL}, 17),
    "gps": ({**STILL}, 7),
    "oss": ({**STILL}, 15.5),
    "hio with shrink-wrap": ({}, 10.5),
    "hio on background": ({**STILL, "background": {"photons": 2.0}}, 30),
    "hio in coherence": ({**STILL, "coherence": {"width_px": 3.0}}, 34),
    "hio with a fit of coherence": ({"coherence": {"fit": True, "start": 2, "every": 4}, "restarts": 2}, 240),
    "ad_refine": ({}, 42),
    "ad_refine with variation": ({"loss": "poisson", "tv_weight": 1.0, "restarts": 2}, 71),
    "poisson_ml": ({}, 174),
    "hio_static": ({}, 9),
    "in_situ": ({}, 30),
    "mf_pie": ({}, 519),
}
"""The most launches of an iteration, each by itself; of the joint ones for three frames."""
REPLAYED = {"er": 2, "hio": 2, "raar": 2, "dm": 2, "hio_static": 2, "hio with shrink-wrap": 6.7}
"""The same where small batches replay a CUDA graph: it, and the note of the R-factor."""


def counted(name, folder, graphs="0", **options):
    with pretend() as counts, mock.patch.dict(os.environ, {"CDIPIPE_CUDA_GRAPHS": graphs}):
        small_runs.run(name, folder, extra={"device": "cuda"}, **options)
    return np.array([counts.launches, counts.uploads, counts.waits.total()])


@pytest.mark.parametrize("what", LAUNCHES)
def test_an_iteration_waits_for_nothing(what, folder):
    options, most = LAUNCHES[what]
    name = what.split()[0]
    short, long = (counted(name, folder, iterations=count, **options) for count in (20, 40))
    launches, uploads, waits = (long - short) / 20
    assert waits == 0 and uploads == 0
    assert launches <= most


@pytest.mark.parametrize("what", REPLAYED)
def test_a_replayed_iteration_is_one_launch(what, folder):
    options, name = LAUNCHES[what][0], what.split()[0]
    short, long = (counted(name, folder, "1", iterations=count, **options) for count in (20, 40))
    assert (long - short)[0] / 20 <= REPLAYED[what]


def test_starts_scores_and_results_of_a_batch_cost_what_those_of_one_cost(folder):
    one, many = (counted("hio", folder, iterations=20, restarts=count, **STILL) for count in (1, 12))
    assert many[2] == one[2] and many[1] <= one[1]
    assert many[0] <= one[0] + 4


@pytest.mark.parametrize("name", ["hio", "gps", "oss"])
def test_an_iteration_of_three_patterns_costs_what_one_of_one_costs(name, folder):
    short, long = (counted(name, folder, kind="shots", iterations=count, **STILL) for count in (20, 40))
    launches, uploads, waits = (long - short) / 20
    assert launches <= LAUNCHES[name][1] and uploads == 0 and waits == 0


def test_a_batch_is_the_same_whatever_memory_is_free(folder):
    recipe, there = recipe_from_mapping({"method": "hio", "restarts": 200}), torch.device("cuda")
    assert batch_size(recipe, (512, 512), there) == 128
    assert batch_size(recipe, (1024, 1024, 1024), there) == 1
    found = []
    for free in (2**24, 2**33):
        with pretend(free_bytes=free):
            found.append(small_runs.run("hio", folder, restarts=5, stop_below=0.3, extra={"device": "cuda"}))
    assert np.array_equal(found[0].object, found[1].object)
    assert np.array_equal(found[0].error_trace, found[1].error_trace, equal_nan=True)


@pytest.mark.parametrize("name", [n for n in ("hio", "gps", "oss", "ad_refine") if get_method(n).honours("restarts")])
def test_a_start_does_not_depend_on_those_beside_it(name, folder, gpu):
    options = {"restarts": 5, "iterations": 60} | (
        {"stop_below": 0.3} if get_method(name).honours("stop_below") else {}
    )
    extra = {"device": "cuda", "keep_runs": True}
    together, in_twos = (small_runs.run(name, folder, batch=size, extra=extra, **options) for size in (5, 2))
    assert np.array_equal(together.runs, in_twos.runs)
    assert np.array_equal(together.run_scores["seed"], in_twos.run_scores["seed"])
    np.testing.assert_array_equal(together.error_trace, in_twos.error_trace)
