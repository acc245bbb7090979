"""When each start of a batch ends a step: by itself, whatever the others do."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from objects import correlation

from cdipipe.phasing.ends import Ends
from cdipipe.phasing.loop import State
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.steps import StepRun
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def follow(traces, planned, averaged=0, stop_below=0.01):
    """Ends of starts with given R-factors; the iterations after which they were held, and what was averaged."""
    traces = torch.tensor(traces, dtype=torch.float32)
    ends, held = Ends(len(traces), planned, averaged, stop_below), {}
    state = State(
        torch.zeros(len(traces), 1), torch.ones(len(traces), 1), torch.full((len(traces), planned), torch.nan)
    )
    for iteration in range(planned):
        state.record(ends.without_ended(traces[:, iteration]))
        ends.average(iteration, lambda now=iteration: torch.full((len(traces), 1), float(now)))
        ends.settle(iteration, state, lambda items, now=iteration: held.update({now + 1: items.tolist()}))
        if ends.all_settled(iteration):
            break
    return ends, held, state.error_trace[:, : state.done]


def test_each_start_ends_where_its_own_r_factor_settles():
    still, falling = [0.5] * 100, np.linspace(1, 0.1, 100).tolist()
    _, held, trace = follow([still, falling], 100)
    assert held == {40: [True, False]}
    assert torch.isfinite(trace[0]).sum() == 40 and torch.isfinite(trace[1]).all()
    _, held, trace = follow([still, falling[:50] + still[:50]], 100)
    assert held == {40: [True, False], 80: [False, True]} and trace.shape[1] == 80


def test_without_a_limit_all_go_to_the_end():
    _, held, trace = follow([[0.5] * 60], 60, stop_below=0.0)
    assert not held and trace.shape[1] == 60


def test_the_iterations_that_are_averaged_come_after_a_start_has_settled():
    ends, held, trace = follow([[0.5] * 100, np.linspace(1, 0.1, 100).tolist()], 100, averaged=4)
    assert held == {44: [True, False]} and torch.isfinite(trace[0]).sum() == 44
    assert ends.mean().flatten().tolist() == [(40 + 41 + 42 + 43) / 4, (96 + 97 + 98 + 99) / 4]
    ends, held, _ = follow([[0.5] * 50], 50, averaged=20)  # not so many are left: the last ones, as planned
    assert not held and ends.mean().item() == np.arange(30, 50).mean()


@pytest.mark.parametrize(
    "sequence, more",
    [("60*HIO+80*ER+40*HIO+60*ER", {}), ("100*HIO+100*ER", {"average_last": 7}), ("80*GPS+60*ML", {})],
)
def test_no_start_depends_on_which_others_it_is_computed_with(sequence, more):
    scene = get_scene("polygons")
    measurement, _ = simulate(scene, scene.parameters(size=32, photons=1e6), seed=2)
    shared = {"sequence": sequence, "restarts": 5, "stop_below": 0.02, **more}
    found = [
        reconstruct(measurement, recipe_from_mapping({**shared, "batch": size}), seed=4, keep_runs=True)
        for size in (1, 5)
    ]
    lengths = np.isfinite(found[0].error_trace).sum(1)
    assert len(set(lengths)) > 1, "all starts end together: nothing is tested"
    assert np.array_equal(*(np.isfinite(one.error_trace) for one in found))
    assert np.array_equal(*(one.run_scores["seed"] for one in found))
    np.testing.assert_allclose(*(one.run_scores["r_factor"] for one in found), rtol=1e-5)
    for alone, together in zip(*(one.runs for one in found), strict=True):
        assert correlation(alone, together) > 1 - 1e-5


class IdleRun(StepRun):
    def iterate(self):
        yield self.state.error_trace[:, 0]


def test_what_is_held_keeps_its_wave_its_support_and_its_light():
    problem = SimpleNamespace(coherence_px=torch.tensor([1.0, 2.0, 3.0]), background=0.0)
    problem.set_light = lambda width, background: setattr(problem, "coherence_px", width)
    state = State(torch.arange(3.0)[:, None], torch.tensor([[True], [True], [True]]), torch.zeros(3, 1))
    run = IdleRun(state, problem, None, None, None)
    run.hold(torch.tensor([True, False, False]))
    state.exit_wave += 10
    state.support, problem.coherence_px = ~state.support, problem.coherence_px + 10
    run.hold(torch.tensor([False, True, False]))
    state.exit_wave += 10
    problem.coherence_px = problem.coherence_px + 10
    wave, support = run.result()
    assert wave.flatten().tolist() == [0, 11, 22] and support.flatten().tolist() == [True, False, False]
    assert problem.coherence_px.tolist() == [1, 12, 23]
