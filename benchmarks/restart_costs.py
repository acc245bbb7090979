"""What many restarts cost beyond their iterations: starts, scores, ranking, and laying kept runs over the best.

    python benchmarks/restart_costs.py restart_costs

100 restarts of HIO at 512^2 with few iterations and with more, in turns, on one thread: the difference is that of
iterations, what is left over is not. Shares are those of a recipe of 400 iterations, the default. Processor seconds;
results go to restart_costs.json.
"""

from __future__ import annotations

import statistics

import torch
from common import Part, processor_seconds, run_one

import cdipipe as cdi

RESTARTS, FEW, MORE, USUAL = 100, 10, 30, 400


def restart_costs(count: int) -> dict:
    """Seconds of an iteration and of everything else, for each start."""
    pattern = cdi.simulate("polygons", seed=1, size=512, photons=1e6)
    torch.set_num_threads(1)

    def seconds(iterations: int, **options) -> float:
        recipe = {"method": "hio", "iterations": iterations, "restarts": RESTARTS}
        return processor_seconds(lambda: cdi.reconstruct(pattern, recipe, seed=1, **options))[1]

    seconds(1)
    few, more, kept = zip(
        *((seconds(FEW), seconds(MORE), seconds(FEW, keep_runs=True)) for _ in range(count)), strict=True
    )
    iteration = statistics.median((b - a) / (MORE - FEW) for a, b in zip(few, more, strict=True)) / RESTARTS
    beyond = [a / RESTARTS - FEW * iteration for a in few]
    align = [(b - a) / RESTARTS for a, b in zip(few, kept, strict=True)]
    return {
        "restarts": RESTARTS,
        "size": 512,
        "iterations_compared": [FEW, MORE],
        "turns": count,
        "seconds_of_an_iteration": iteration,
        "seconds_beyond_of_a_start": statistics.median(beyond),
        "seconds_beyond_of_a_start_all": beyond,
        "share_beyond_of_400_iterations": statistics.median(beyond) / (USUAL * iteration),
        "seconds_of_laying_a_kept_run": statistics.median(align),
        "share_with_all_runs_kept": (statistics.median(beyond) + statistics.median(align)) / (USUAL * iteration),
    }


if __name__ == "__main__":
    run_one(__doc__, {"restart_costs": Part(restart_costs, "restart_costs", 3)})
