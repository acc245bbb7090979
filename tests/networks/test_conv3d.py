"""3-D convolutions by planes: the same sums as PyTorch's own, and its slow path is never taken."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from cdipipe.networks.cdi_nn_3d.model import EncoderTwoDecoders
from cdipipe.networks.layers.conv3d import Conv3d
from cdipipe.networks.layers.unet import UNet
from cdipipe.networks.pid3net.model import FrameNetwork


def pair(*settings, **more):
    torch.manual_seed(0)
    own, other = Conv3d(*settings, **more), nn.Conv3d(*settings, **more)
    other.load_state_dict(own.state_dict())
    return own.double(), other.double()


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 3, 3), (5, 3, 3), (3, 1, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(1, 2, 4, 7, 8), (1, 2, 5, 6, 9)])
def test_values_and_gradients_are_those_of_pytorch(kernel, stride, shape, monkeypatch):
    monkeypatch.setattr("cdipipe.networks.layers.conv3d._is_slow", lambda volumes: True)
    own, other = pair(2, 3, kernel, stride, tuple(size // 2 for size in kernel))
    found = []
    for layer in (own, other):
        volumes = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        out = layer(volumes)
        out.backward(torch.rand(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
        found.append((out, volumes.grad, layer.weight.grad, layer.bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_single_precision_and_layout(layout):
    torch.manual_seed(0)
    own, other = Conv3d(16, 8, 3, padding=1), nn.Conv3d(16, 8, 3, padding=1)
    other.load_state_dict(own.state_dict())
    volumes = torch.rand(1, 16, 12, 12, 12).contiguous(memory_format=layout)
    torch.testing.assert_close(own(volumes), other(volumes), rtol=1e-4, atol=1e-5)
    many = torch.rand(3, 16, 12, 12, 12)
    assert torch.equal(own(many), other(many))


NETWORKS = {
    "cdi_nn_3d": (lambda: EncoderTwoDecoders((16, 32, 64), 0.0), (1, 1, 32, 32, 32)),
    "pid3net": (lambda: FrameNetwork(8, 3), (1, 5, 64, 64)),
    "dip": (lambda: UNet(1, 2, 16, 2, 4, ndim=3), (1, 1, 16, 16, 16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_takes_the_slow_path(name):
    build, shape = NETWORKS[name]
    network = build()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as recorded:
        network(torch.rand(shape)).abs().sum().backward()
    kernels = [event.input_shapes[1][2:] for event in recorded.events() if event.name == "aten::slow_conv3d_forward"]
    assert all(kernel == [1, 1, 1] for kernel in kernels), kernels
