import torch

from cdipipe.phasing.best import Best


def test_each_item_keeps_its_own_lowest():
    best, wave = Best(3, "cpu"), torch.arange(6.0).reshape(3, 2)
    best.restore(wave)
    assert torch.equal(wave, torch.arange(6.0).reshape(3, 2))  # nothing is kept yet
    best.offer(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), wave)
    wave += 10
    best.offer(torch.tensor([0.5, 5.0, 3.0], dtype=torch.float64), wave)
    assert not best.kept_last_offer
    wave += 10
    best.restore(wave)
    assert wave.tolist() == [[10, 11], [2, 3], [4, 5]]
    assert best.score.tolist() == [0.5, 2.0, 3.0]


def test_forgotten_items_begin_anew_and_nan_is_never_best():
    best, wave = Best(2, "cpu"), torch.zeros(2, 2)
    best.offer(torch.tensor([1.0, 1.0], dtype=torch.float64), wave)
    best.forget(torch.tensor([True, False]))
    wave += 1
    best.restore(wave)
    assert wave.tolist() == [[1, 1], [0, 0]]
    best.offer(torch.tensor([torch.nan, 0.5], dtype=torch.float64), wave + 5)
    assert best.score.tolist() == [torch.inf, 0.5]
    best.forget()
    best.restore(wave)
    assert wave.tolist() == [[1, 1], [0, 0]]
