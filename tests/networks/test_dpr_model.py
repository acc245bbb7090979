"""DPR: its size, what its mask does, and that the fast path is the same function."""

import pytest
import torch

from cdipipe.networks.dpr.inference import FusedDPR
from cdipipe.networks.dpr.model import DPR, fourier_projection, photon_scale
from cdipipe.networks.layers.ffc import FourierUnit, stack_quarters
from cdipipe.networks.layers.partial_conv import PartialConv
from cdipipe.ops import backend
from cdipipe.optics import fourier

SMALL = {"size": 64, "width": 16, "downsamplings": 2, "blocks": 1, "compensated_blocks": 1}


def trained(seed=0, **options):
    """A small network whose normalisations have statistics of their own."""
    torch.manual_seed(seed)
    network = DPR(**{**SMALL, **options})
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def pattern(batch=1, size=64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    objects = torch.zeros(batch, size, size, dtype=torch.complex64)
    objects[:, 26:38, 24:40] = torch.rand(batch, 12, 16, generator=generator).to(torch.complex64)
    intensity = torch.poisson(fourier.forward(objects * 30).abs().square(), generator=generator)
    measured = torch.rand(size, size, generator=generator) > 0.1
    measured[28:36, 28:36] = False
    measured[:20, :20] = False
    return intensity, measured


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 15_243_570),
        ({"encoder": "pc"}, 15_243_570),
        ({"encoder": "ffc"}, 15_098_418),
        ({"compensated": False}, 26_680_864),
    ],
)
def test_parameter_counts(options, count):
    with torch.device("meta"):
        network = DPR(**options)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("encoder", ["wpc", "pc", "ffc"])
@pytest.mark.parametrize("compensated", [True, False])
def test_every_weight_learns(encoder, compensated):
    network = trained(encoder=encoder, compensated=compensated).train()
    intensity, measured = pattern(2)
    network(intensity, measured.expand(2, 64, 64)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_objects_carry_the_measured_photons():
    intensity, measured = pattern(3)
    with torch.no_grad():
        objects = trained()(intensity, measured)
    assert objects.shape == (3, 16, 16) and objects.min() >= 0
    power = fourier.forward_box_corner(objects, (64, 64)).abs().square()
    seen = (power * fourier.to_corner(measured)).sum((-2, -1))
    torch.testing.assert_close(seen, (intensity * measured).sum((-2, -1)))


@pytest.mark.parametrize("encoder", ["wpc", "pc"])
def test_what_was_not_measured_does_not_matter(encoder):
    network, (intensity, measured) = trained(encoder=encoder), pattern()
    spoilt = torch.where(measured, intensity, torch.nan)
    spoilt[:, ~measured] = 1e9
    with torch.no_grad():
        torch.testing.assert_close(network(spoilt, measured), network(intensity, measured))


def test_the_mask_of_a_call_does_not_reach_the_next():
    network, (intensity, measured) = trained(), pattern()
    everything = torch.ones_like(measured)
    with torch.no_grad():
        before = network(intensity, everything)
        network(intensity, measured)
        assert torch.equal(network(intensity, everything), before)


def test_masks_of_their_own_are_as_good_as_one_for_all():
    network, (intensity, measured) = trained(), pattern(2)
    with torch.no_grad():
        torch.testing.assert_close(network(intensity, measured.expand(2, -1, -1)), network(intensity, measured))


@pytest.mark.parametrize("encoder", ["wpc", "pc", "ffc"])
def test_mixed_precision_gives_the_same_object_and_gradients(encoder):
    network, (intensity, measured) = trained(encoder=encoder), pattern(2)
    whole = network(intensity, measured)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(intensity, measured)
    assert float(((mixed - whole).norm() / whole.norm()).detach()) < 0.05
    mixed.float().square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


def test_partial_convolution_of_a_full_mask_is_a_convolution():
    layer, x = PartialConv(3, 5, 3, 2, 8), torch.randn(2, 3, 32, 32)
    features, valid = layer(x, torch.ones(32, 32, dtype=torch.bool))
    assert valid.all() and valid.shape == (16, 16)
    torch.testing.assert_close(features, layer.conv(x))


def test_partial_convolution_makes_up_for_what_is_missing():
    layer = PartialConv(1, 1, 3, 1, 8, weighting="flat")
    torch.nn.init.constant_(layer.conv.weight, 1 / 9)
    measured = torch.rand(24, 24, generator=torch.Generator().manual_seed(0)) > 0.4
    measured[4:11, 4:11] = False
    features, valid = layer(torch.full((1, 1, 24, 24), 7.0), measured)
    assert not valid[6:9, 6:9].any() and not features[0, 0, ~valid].any()
    inner = valid.clone()
    inner[[0, -1]] = inner[:, [0, -1]] = False  # borders are reflected for the features, not for the weights
    torch.testing.assert_close(features[0, 0, inner], torch.full((int(inner.sum()),), 7.0))


def test_fourier_unit_sees_the_whole_picture():
    unit = FourierUnit(4).eval()
    x = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    other = x.clone()
    other[0, 0, 3, 5] += 1
    with torch.no_grad():
        assert ((unit(other) - unit(x))[0].abs().amax(0) > 1e-5).float().mean() > 0.9


def test_quarters_are_stacked_and_none_is_lost():
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).float()
    quarters = stack_quarters(x)
    assert quarters.shape == (2, 12, 2, 3)
    assert torch.equal(quarters[:, :3], x[:, :, :2, :3]) and torch.equal(quarters[:, 3:6], x[:, :, 2:, :3])
    assert torch.equal(quarters[:, 6:9], x[:, :, :2, 3:]) and torch.equal(quarters[:, 9:], x[:, :, 2:, 3:])


def test_the_truth_is_a_fixed_point_of_the_fourier_projection():
    picture = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    whole = torch.nn.functional.pad(picture[:, 0], (24, 24, 24, 24))
    intensity = 500 * fourier.forward(whole.to(torch.complex64)).abs().square()
    measured = pattern()[1]
    seen = torch.where(measured, intensity, 0)
    torch.testing.assert_close(fourier_projection(picture, seen, measured), picture, rtol=1e-4, atol=1e-5)
    wavefront = fourier.forward_box_corner(picture[:, 0], (64, 64))
    assert float(photon_scale(wavefront, seen, measured)) == pytest.approx(500**0.5, rel=1e-5)


@pytest.mark.parametrize("choice", ["auto", "reference"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoder": "pc"},
        {"encoder": "ffc"},
        {"compensated": False},
        {"width": 32, "size": 128, "blocks": 2},
        {"input_power": 0.5},
    ],
    ids=["wpc", "pc", "ffc", "one decoder", "wider", "modulus"],
)
def test_the_fast_path_is_the_same_function(options, choice):
    network = trained(**options)
    intensity, measured = pattern(2, network.size)
    with backend.use(choice):
        fast = FusedDPR(network)
        got = fast(intensity, fast.plan(measured))
    with torch.no_grad():
        wanted = network(intensity, measured)
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="size 100, width 64"):
        DPR(size=100)
    with pytest.raises(ValueError, match="width 40"):
        DPR(width=40)
    with pytest.raises(ValueError, match="encoder: got 'cnn'; allowed: wpc, pc, ffc"):
        DPR(encoder="cnn")
