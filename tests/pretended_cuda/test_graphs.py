"""Small batches replay iterations as CUDA graphs: the same bits in one launch, and plain launches where that fails."""

import logging

import numpy as np
import pytest
import small_runs
import torch
from capture import Capture
from pretended import pretend

from cdipipe.errors import InputError
from cdipipe.ops import graphs

pytestmark = pytest.mark.pretended
RECIPES = {
    "er": {},
    "hio": {"er_every": 3, "restarts": 3},
    "raar": {"shrink_wrap": {"every": 4}, "constraint": "re_nonneg"},
    "dm": {"stop_below": 0.3, "restarts": 2, "iterations": 60},
    "hio_static": {},
}


@pytest.fixture(autouse=True)
def as_at_the_start(monkeypatch):
    monkeypatch.setattr(graphs, "_refusal", None)


@pytest.mark.parametrize("name", RECIPES)
def test_same_bits_with_and_without(name, folder, monkeypatch):
    options = {"iterations": 30, **RECIPES[name]}
    found, launches = [], []
    for wanted in "10":
        monkeypatch.setenv(graphs.VARIABLE, wanted)
        with pretend() as counts:
            found.append(small_runs.run(name, folder, extra={"device": "cuda"}, **options))
        launches.append(counts.launches)
        assert bool(counts.by_name["graph"]) == (wanted == "1")
    for part in ("object", "support", "error_trace"):
        np.testing.assert_array_equal(getattr(found[0], part), getattr(found[1], part))
    assert launches[0] < launches[1] - 50


def halved(batch, weight):
    return batch.mul_(weight), (batch * 2).sum()


def test_an_update_is_recorded_at_its_third_call(gpu):
    batch, weight = torch.ones(4, device="cuda"), torch.full((4,), 0.5, device="cuda")
    assert graphs.pay(batch, 100)
    call, kept = graphs.Replayed(halved), weight.clone()
    sums = [float(call(batch, weight)[1]) for _ in range(4)]
    assert sums == [4.0, 2.0, 1.0, 0.5] and gpu.by_name["graph"] == 2
    other = torch.full((4,), 0.25, device="cuda")
    assert float(call(batch, other)[1]) == 0.125
    assert float(call(batch, weight)[1]) == 0.0625
    assert torch.equal(weight.cpu(), kept.cpu())


@pytest.mark.parametrize("why", ["large", "other device", "few calls", "not wanted"])
def test_what_goes_as_it_is(why, gpu, monkeypatch):
    batch = torch.ones(4, device="cpu" if why == "other device" else "cuda")
    if why == "large":
        monkeypatch.setattr(graphs, "MOST_PIXELS", 3)
    if why == "not wanted":
        monkeypatch.setenv(graphs.VARIABLE, "0")
    assert not graphs.pay(batch, 19 if why == "few calls" else 20)


def test_a_misspelt_setting_is_refused(monkeypatch):
    monkeypatch.setenv(graphs.VARIABLE, "no")
    with pytest.raises(InputError, match="CDIPIPE_CUDA_GRAPHS: got 'no'; allowed: 0, 1"):
        graphs.are_wanted()


REFUSED = {
    "a wait": lambda a: a.mul_(float(a.sum())),
    "an upload": lambda a: a.mul_(torch.tensor([2.0]).to("cuda")),
    "a copy to the CPU": lambda a: a.mul_(a.cpu().to("cuda")),
    "a mask that asks": lambda a: a.add_(a[a > 0].sum()),
    "random numbers": lambda a: a.add_(torch.rand_like(a)),
    "an index of the CPU": lambda a: a.add_(a[torch.tensor([0, 1, 2, 3])]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_capture_refuses_is_launched_plainly_and_told_once(what, gpu, caplog):
    def update(batch):
        return (REFUSED[what](batch.add_(1)),)

    batch, plain = torch.ones(4, device="cuda"), torch.ones(4, device="cuda")
    with caplog.at_level(logging.WARNING):
        call, second = graphs.Replayed(update), graphs.Replayed(update)
        torch.manual_seed(1)
        for _ in range(5):
            call(batch)
        torch.manual_seed(1)
        for _ in range(5):
            second(plain)
    assert torch.equal(batch.cpu(), plain.cpu()) and gpu.by_name["graph"] == 0
    assert [record.message for record in caplog.records] == [f"CUDA graphs are not used: {graphs._refusal}"]
    assert "not permitted when stream is capturing" in caplog.text and Capture.current is None
    assert not graphs.pay(batch, 100)


def test_a_plan_of_a_transform_must_be_there_before(gpu):
    wave = torch.ones(4, 4, dtype=torch.complex64, device="cuda")
    with pytest.raises(RuntimeError, match="plan of cuFFT"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        torch.fft.fft2(wave)
    torch.fft.fft2(wave)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        torch.fft.fft2(wave)


def test_a_capture_computes_nothing_and_leaves_no_values(gpu):
    batch, graph = torch.ones(4, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = batch.mul_(2) + 1
    assert batch.cpu().tolist() == [1.0] * 4 and made.cpu().isnan().all()
    graph.replay()
    assert batch.cpu().tolist() == [2.0] * 4 and made.cpu().tolist() == [3.0] * 4
