import pytest
import torch

from cdipipe.networks.fields.planes import HEADS, PlaneField


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def plain_field(field, seed, x, y, z):
    """The field of one seed at one cell, written out: features side by side through ordinary layers."""
    xy, xz, yz = (plane[seed] for plane in field.planes)
    features = torch.cat((xy[x, y], xz[x, z], yz[y, z]))
    act = torch.sin if field.head == "sine" else lambda h: torch.nn.functional.leaky_relu(h, 0.01)
    values = act(field.omega * (features @ torch.cat([w[seed] for w in field.mixing]) + field.biases[0][seed, 0]))
    for weight, bias in zip(field.weights[:-1], field.biases[1:-1], strict=True):
        values = act(field.omega * (values @ weight[seed] + bias[seed, 0]))
    return values @ field.weights[-1][seed] + field.biases[-1][seed, 0]


@pytest.mark.parametrize("head", HEADS)
def test_mixing_the_planes_first_equals_a_layer_on_their_features(head):
    field = PlaneField((5, 7, 3), generators(1, 2), channels=4, hidden=6, layers=3, head=head)
    found = field()
    assert found.shape == (2, 5, 7, 3, 2)
    for seed, cell in ((0, (0, 0, 0)), (1, (4, 6, 2)), (1, (2, 5, 1))):
        assert torch.allclose(found[(seed, *cell)], plain_field(field, seed, *cell), rtol=1e-4, atol=1e-5)


def test_a_seed_does_not_depend_on_those_beside_it():
    together = PlaneField((6, 6, 2), generators(3, 4, 5))()
    alone = PlaneField((6, 6, 2), generators(4))()
    assert torch.allclose(together[1], alone[0], atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def test_a_window_is_a_part_of_the_whole():
    field = PlaneField((8, 9, 4), generators(1))
    window = (slice(2, 5), slice(0, 9), slice(1, 3))
    assert torch.allclose(field(window), field()[(slice(None), *window)], atol=1e-6)


def test_between_the_cells_it_is_continuous():
    field = PlaneField((8, 8, 2), generators(1))
    axes = [torch.linspace(-1, 1, n) for n in (8, 8, 2)]
    with torch.no_grad():
        assert torch.allclose(field.sample(axes), field(), atol=1e-4)
        finer = field.sample([torch.linspace(-1, 1, 71), axes[1], axes[2]])
    assert finer.shape == (1, 71, 8, 2, 2)
    assert torch.allclose(finer[:, ::10], field(), atol=1e-4)
    assert finer.diff(dim=1).abs().max() < field().diff(dim=1).abs().max()


def test_what_it_does_not_know_is_refused():
    with pytest.raises(ValueError, match="sine, leaky_relu"):
        PlaneField((4, 4, 2), generators(1), head="relu")
