"""Layers whose gradients are sums in a fixed order: the values and gradients of torch's own."""

import pytest
import torch
from torch.nn import functional

from cdipipe.networks.layers.ordered import Doubling, Halving3d, ReflectedConv2d, pad_reflected
from cdipipe.ops.repeatable import repeatable

pytestmark = pytest.mark.pretended
LAYERS = {
    "padding": (lambda x: pad_reflected(x, (2, 3)), lambda x: functional.pad(x, (3, 3, 2, 2), mode="reflect"), 2),
    "halving": (Halving3d(), torch.nn.AvgPool3d(2), 3),
    "bilinear": (Doubling("bilinear"), lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"), 2),
    "trilinear": (Doubling("trilinear"), lambda x: functional.interpolate(x, scale_factor=2, mode="trilinear"), 3),
}


def value_and_gradient(layer, x, weights):
    x = x.requires_grad_()
    out = layer(x)
    (out * weights).sum().backward()
    return out.detach().cpu(), x.grad.cpu()


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_those_of_torch(name, gpu):
    ordered, known, ndim = LAYERS[name]
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(((2, 3, 7, 6) if ndim == 2 else (2, 3, 4, 6, 8)), generator=generator, dtype=torch.float64)
    weights = torch.randn(known(x).shape, generator=generator, dtype=torch.float64)
    with repeatable("cuda"):
        there = value_and_gradient(ordered, x.to("cuda"), weights.to("cuda"))
    assert not gpu.unordered
    for one, other in zip(there, value_and_gradient(known, x.clone(), weights), strict=True):
        torch.testing.assert_close(one, other)


def test_a_convolution_with_reflected_borders(gpu):
    layer = ReflectedConv2d(2, 4, 5, stride=2)
    known = torch.nn.Conv2d(2, 4, 5, stride=2, padding=2, bias=False, padding_mode="reflect")
    known.load_state_dict(layer.state_dict())
    x, weights = torch.randn(1, 2, 9, 8), torch.randn(1, 4, 5, 4)
    here = value_and_gradient(known, x.clone(), weights)
    assert torch.equal(layer(x), here[0])  # on a CPU it is torch's own
    there = value_and_gradient(layer.to("cuda"), x.to("cuda"), weights.to("cuda"))
    for one, other in zip(there, here, strict=True):
        torch.testing.assert_close(one, other)
