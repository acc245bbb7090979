"""Figures of trainings: curves, and what the layers make of a pattern."""

import numpy as np
import pytest
import torch

from cdipipe.cli.plot import read_training
from cdipipe.errors import InputError
from cdipipe.io.cxi import write_measurement
from cdipipe.networks.activation_maps import activations
from cdipipe.networks.checkpoint import Checkpoint, write_checkpoint
from cdipipe.networks.registry import get_network
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def checkpoint(name, **settings):
    network = get_network(name)
    chosen = validate(network.settings, {"network": settings}, "test")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Checkpoint(network, chosen, network.build(chosen.network).state_dict())


def shots(size=32):
    scene = get_scene("polygons")
    return simulate(scene, scene.parameters(size=size, count=2, photons=1e5))[0]


def test_every_convolution_is_there_in_order():
    found = activations(checkpoint("cdi_nn", widths=[4, 8], corrector=[4]), shots())
    shapes = [values.shape for _, values in found]
    assert shapes[:5] == [(4, 32, 32), (4, 32, 32), (8, 16, 16), (8, 16, 16), (8, 8, 8)]
    assert shapes[-1] == (2, 32, 32) and all((values >= 0).all() for _, values in found)
    assert [name.split(".")[0] for name, _ in found] == ["layers"] * 9 + ["corrector"] * 3
    assert activations(checkpoint("cdi_nn", widths=[4]), shots(64))[0][1].shape == (4, 32, 32)
    with pytest.raises(InputError, match="smaller than the network's 64"):
        activations(checkpoint("cdi_nn", widths=[4], size=64), shots())
    with pytest.raises(InputError, match="takes patterns of 3 dimensions; got 2"):
        activations(checkpoint("cdi_nn_3d", widths=[4], size=16), shots())


def test_a_checkpoint_and_curves_are_drawn(tmp_path, cli):
    write_checkpoint(tmp_path / "best.pt", checkpoint("dpr", size=32, width=16, downsamplings=1))
    write_measurement(tmp_path / "M.cxi", shots())
    drawn = cli("plot", tmp_path / "best.pt", "--measurement", tmp_path / "M.cxi", "-o", tmp_path / "layers.png")
    assert drawn.code == 0 and (tmp_path / "layers.png").stat().st_size > 10_000
    assert "--measurement" in cli("plot", tmp_path / "best.pt", "-o", tmp_path / "x.png").complaint
    head = "stage\tepoch\tstep\tsamples\tseconds\tlearning_rate\ttrain_loss\tvalidation_loss\tvalidation_shape\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = "shape\t1\t4\t32\t1.0\t0.001\t0.5\t0.4\t0.1\nall\t1\t8\t64\t2.0\t0.001\t0.4\t0.3\t\n"
        (tmp_path / name / "curve.tsv").write_text(head + rows)
    curve = read_training(tmp_path / "one" / "curve.tsv")
    np.testing.assert_array_equal(curve["validation_shape"], [0.1, np.nan])
    for names in (["one"], ["one", "two"]):
        figure = tmp_path / f"{len(names)}.png"
        assert cli("plot", *(tmp_path / n / "curve.tsv" for n in names), "-o", figure).code == 0
        assert figure.stat().st_size > 10_000
    (tmp_path / "bad.tsv").write_text("a\tb\n1\n")
    assert "not a training's curve" in cli("plot", tmp_path / "bad.tsv", "-o", tmp_path / "x.png").complaint
