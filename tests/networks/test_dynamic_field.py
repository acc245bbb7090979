import pytest
import torch

from cdipipe.networks.fields.dynamic import MovieField

CELLS = (6, 5, 2, 4)


def make_field(seed=0, **options):
    return MovieField(CELLS, torch.Generator().manual_seed(seed), channels=4, hidden=8, **options)


@pytest.mark.parametrize("fusion", ["pairs", "product", "concatenation"])
@pytest.mark.parametrize("head", ["sine", "leaky_relu"])
def test_every_parameter_learns(fusion, head):
    field = make_field(fusion=fusion, head=head)
    outputs = field(torch.tensor([-0.4, 0.9, 0.1]))
    assert outputs.shape == (3, 6, 5, 2, 2)
    (outputs * torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    for parameter in field.parameters():
        assert parameter.grad.abs().max() > 0


def test_frames_do_not_depend_on_those_beside_them():
    field, times = make_field(), torch.linspace(-1, 1, 7)
    together = field(times)
    assert torch.allclose(together, torch.cat([field(some) for some in times.split(2)]), atol=1e-6)


def test_features_are_linear_between_time_cells():
    """Of a head without bends only the products of two planes are left, of which one lacks the time."""
    field = make_field(head="leaky_relu", layers=1)
    with torch.no_grad():
        field.biases[0].fill_(100.0)
    cells = torch.linspace(-1, 1, CELLS[3])
    first, middle, last = field(torch.stack((cells[1], cells[1:3].mean(), cells[2])))
    assert torch.allclose(middle, (first + last) / 2, rtol=1e-4, atol=1e-4)


def test_the_generator_decides():
    times = torch.zeros(1)
    assert torch.equal(make_field(3)(times), make_field(3)(times))
    assert not torch.equal(make_field(3)(times), make_field(4)(times))


def test_an_unknown_head_is_named():
    with pytest.raises(ValueError, match="got 'tanh' and 'pairs'; allowed: sine, leaky_relu and pairs, product"):
        make_field(head="tanh")
