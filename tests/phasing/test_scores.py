"""Scores of a batch are those that ``evaluate`` gives of each object and pattern."""

import numpy as np
import pytest
import torch

from cdipipe.metrics.fourier import misfits
from cdipipe.phasing.scores import score_patterns


@pytest.mark.parametrize("withheld", [False, True])
def test_scores_are_those_of_each_pattern(withheld):
    rng = np.random.default_rng(1)
    predicted = rng.gamma(1.0, 5.0, (4, 9, 11)).astype(np.float32)
    counts = rng.poisson(predicted).astype(np.float32)
    measured = rng.random(counts.shape) > 0.2
    counts[~measured], counts[2], counts[0, 0, 0] = 1e9, 0, -3
    free = measured & (rng.random(counts.shape) > 0.8) if withheld else None
    used = measured if free is None else measured & ~free
    tensors = [None if a is None else torch.from_numpy(a) for a in (predicted, counts, used, free)]
    found = score_patterns(*tensors)
    assert set(found) == {"r_factor", "poisson_nll"} | ({"r_factor_free", "poisson_nll_free"} if withheld else set())
    for index in range(4):
        own = None if free is None else free[index]
        wanted = misfits(predicted[index].astype(np.float64), counts[index], measured[index], own)
        for name, values in found.items():
            assert values[index] == pytest.approx(wanted.get(name, np.nan), rel=1e-6, nan_ok=True)
