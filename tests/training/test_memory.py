"""What a step of a training holds is known before the first, and one that cannot be is refused."""

import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.training.memory import check_step


def layers() -> torch.nn.Module:
    """What their backward pass needs of a sample: 1000 numbers that come in, and twice 3000 within."""
    return torch.nn.Sequential(torch.nn.Conv1d(1, 3, 1), torch.nn.BatchNorm1d(3), torch.nn.Sigmoid())


def need(count: int) -> float:
    """Bytes that are counted for a step of so many samples."""
    module, samples = layers(), torch.ones(2, 1, 1000)
    low, high = 0.0, 1e12
    while high - low > 4:
        limit = (low + high) / 2
        try:
            check_step(module, lambda: module(samples).sum(), 2, count, limit, "test")
            high = limit
        except InputError:
            low = limit
    return high


def test_what_grows_with_the_batch_is_counted_once_for_each_sample():
    assert need(2000) - need(1000) == pytest.approx(1000 * 4 * 7000, rel=0.01)
    assert need(2) == pytest.approx(2 * 4 * 7000, rel=0.01)


def test_the_module_and_the_random_numbers_stay_as_they_are():
    module = torch.nn.Sequential(layers(), torch.nn.Dropout())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.random.get_rng_state()
    check_step(module, lambda: module(torch.rand(2, 1, 1000)).sum(), 2, 2, 1e12, "test")
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_training_that_does_not_fit_is_refused_before_it_begins(cli, tmp_path, monkeypatch):
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    assert cli("corpus", "polygons", "-o", corpus, "--count", "40", "--set", "size=32", "--set", "photons=0").code == 0
    train = ["train", "cdi_nn", "--corpus", corpus, "-o", out, "--set=network.widths=[16,32]", "--set=epochs=1"]
    monkeypatch.setenv("CDIPIPE_MAX_GIB", "0.01")
    done = cli(*train, "--set=batch_size=36")
    assert done.code == 2 and not out.exists()
    assert "cdi_nn: a step of 36 samples needs more than the 0.01 GiB of memory" in done.complaint
    assert cli(*train, "--set=batch_size=2").code == 0
