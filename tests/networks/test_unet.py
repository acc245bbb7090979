"""The untrained U-Net: shapes, weights from a generator alone, and its preference for images over noise."""

import pytest
import torch

from cdipipe.networks.layers.unet import make_unet


def small(seed=0, **sizes):
    generator = torch.Generator().manual_seed(seed)
    return make_unet(generator, **{"in_channels": 3, "out_channels": 2, "width": 8, "levels": 2, "skip": 2, **sizes})


@pytest.mark.parametrize("ndim", [2, 3])
def test_an_image_comes_out_on_the_grid_of_the_input(ndim):
    shape = (8, 12, 16)[-ndim:]
    assert small(ndim=ndim)(torch.rand(1, 3, *shape)).shape == (1, 2, *shape)


def test_weights_come_from_the_generator_and_from_nothing_else():
    before = torch.random.get_rng_state()
    first, again, other = small(0), small(0), small(1)
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [torch.cat([p.flatten() for p in network.parameters()]) for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert all(torch.isfinite(w).all() for w in weights)


def test_parameters_do_not_grow_with_the_grid_and_are_as_counted():
    network = small(in_channels=32, out_channels=1, width=32, levels=4, skip=4)
    assert sum(p.numel() for p in network.parameters()) == 121_713


def test_every_weight_has_a_gradient():
    network = small()
    network(torch.rand(1, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def steps_to_fit(target, share, limit=400):
    """Steps of Adam until the network explains this share of the target's variance."""
    generator = torch.Generator().manual_seed(0)
    network = make_unet(generator, in_channels=8, out_channels=1, width=16, levels=3, skip=4)
    noise = 0.1 * torch.rand(1, 8, *target.shape, generator=generator)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(limit):
        loss = (network(noise)[0, 0] - target).square().mean()
        if loss.item() < (1 - share) * float(target.var()):
            return step
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return limit


def test_it_draws_a_picture_sooner_than_noise():
    axis = torch.linspace(-1, 1, 32)
    picture = ((axis[:, None] ** 2 + axis**2) < 0.5).float() + 0.5 * (axis > 0.2)
    scrambled = picture.flatten()[torch.randperm(picture.numel(), generator=torch.Generator().manual_seed(1))]
    assert 3 * steps_to_fit(picture, 0.9) < steps_to_fit(scrambled.reshape(picture.shape), 0.9)
