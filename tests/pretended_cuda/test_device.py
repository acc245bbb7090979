"""The pretended device refuses what a real one refuses, and counts."""

import numpy as np
import pytest
import torch
from pretended import CUDA, Pretended

from cdipipe.ops import projection  # noqa: F401  registers torch.ops.cdipipe
from cdipipe.ops.repeatable import repeatable

pytestmark = pytest.mark.pretended


@pytest.fixture
def there(gpu):
    return torch.rand(6, 6, device="cuda")


HERE = torch.ones(6, 6)
REFUSED = {
    "sum of two devices": lambda a: a + HERE,
    "written into the other device": lambda a: HERE.clone().add_(a),
    "joined": lambda a: torch.cat([a, HERE]),
    "chosen from": lambda a: torch.where(a > 0.5, a, HERE),
    "product of matrices": lambda a: a @ HERE,
    "a number of no dimension in a product": lambda a: torch.stack([a[0, 0], HERE[0, 0]]),
    "mask of the CPU": lambda a: a.masked_fill(HERE > 0, 0.0),
    "index of the device into the CPU": lambda a: HERE[a > 0.5],
    "places of the CPU": lambda a: a.gather(0, torch.zeros(1, 6, dtype=torch.long)),
    "NumPy": lambda a: a.numpy(),
    "NumPy by itself": lambda a: np.asarray(a),
    "pinned": lambda a: a.pin_memory(),
    "a generator of the CPU": lambda a: torch.rand(3, device=CUDA, generator=torch.Generator()),
    "a generator of the CPU, in place": lambda a: a.normal_(generator=torch.Generator()),
    "a generator of the GPU": lambda a: torch.rand(3, generator=torch.Generator("cuda")),
    "a layer of the CPU": lambda a: torch.nn.Linear(6, 2)(a),
    "a kernel": lambda a: torch.ops.cdipipe.project_modulus(torch.complex(a, a), HERE, None, False, 2),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_real_one_refuses(what, there):
    with pytest.raises((RuntimeError, TypeError), match=r"device|numpy|generator|pin"):
        REFUSED[what](there)


def test_what_a_real_one_takes(there):
    assert (there * torch.tensor(2.0)).device == CUDA
    assert there[torch.tensor([0, 2])].shape == (2, 6)
    assert torch.from_numpy(np.ones(3)).to("cuda").device == CUDA
    assert torch.rand(3, device="cuda", generator=torch.Generator("cuda")).device == CUDA
    assert isinstance(torch.zeros_like(there), Pretended) and there.cpu().numpy().shape == (6, 6)
    layer = torch.nn.Linear(6, 2).to("cuda")
    layer(there).sum().backward()
    assert layer.weight.grad.device == CUDA and isinstance(layer.weight, torch.nn.Parameter)


WAITS = {
    "item": lambda a: a.sum().item(),
    "float": lambda a: float(a.max()),
    "bool": lambda a: bool((a > 0).all()),
    "cpu": lambda a: a.cpu(),
    "to": lambda a: a.to("cpu"),
    "copied": lambda a: torch.empty(6, 6).copy_(a),
    "list": lambda a: a.tolist(),
    "places": lambda a: a.nonzero(),
    "by a mask": lambda a: a[a > 0.5],
    "into a mask": lambda a: a.index_put_((a > 0.5,), a[0, :1].expand(6)[:1].repeat(int((a > 0.5).sum()))),
    "selected": lambda a: a.masked_select(a > 0.5),
    "equal": lambda a: torch.equal(a, a),
    "different": lambda a: a.unique(),
}


@pytest.mark.parametrize("what", WAITS)
def test_waits_are_counted(what, there, gpu):
    gpu.clear()
    WAITS[what](there)
    assert gpu.waits.total() >= 1


def test_launches_are_counted_and_what_does_not_wait_counts_no_wait(there, gpu):
    gpu.clear()
    there.T[1:, None].expand(5, 3, 6)
    torch.empty(4, device="cuda")
    assert gpu.launches == 0
    (there * 2 + 1).clamp_(min=0)
    there[there > 0.5] = 0.0  # one number: a fill
    torch.where(there > 0.5, there, 0.0)
    assert gpu.launches == 7 and gpu.waits.total() == 0, gpu
    there + torch.tensor(1.0).to("cuda")
    assert gpu.uploads == 1


def test_sums_of_no_fixed_order_are_noted_or_refused(gpu):
    there = torch.rand(4, device="cuda")
    places = torch.zeros(4, dtype=torch.long, device="cuda")
    there.index_add(0, places, there)
    assert gpu.unordered["index_add"] == 1
    with repeatable("cuda"):
        there.index_add(0, places, there)
        assert gpu.unordered["index_add"] == 1
        image = torch.rand(1, 1, 6, 6, device="cuda", requires_grad=True)
        with pytest.raises(RuntimeError, match="deterministic"):
            torch.nn.functional.pad(image, (1, 1, 1, 1), mode="reflect").sum().backward()
    assert not torch.are_deterministic_algorithms_enabled()
    with repeatable("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()
