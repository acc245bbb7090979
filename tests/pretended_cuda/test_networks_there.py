"""Training of every network on the pretended device: the steps of a CPU, sums in a fixed order."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from pretended import CPU, CUDA

from cdipipe.io.corpus.read import open_corpus
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.registry import all_networks, get_network
from cdipipe.settings import validate
from cdipipe.training.fit import fit

pytestmark = pytest.mark.pretended
BATCH = {"batch_size": 2, "epochs": 1, "validation_share": 0.25}
POLYGONS = ("polygons", "size=32", "photons=0")
TRAININGS = {
    "cdi_nn": (POLYGONS, {"network": {"widths": [4, 8]}}),
    "cdi_nn_3d": (
        ("polygons", "size=16", "dimensions=3", "object_size=8", "photons=0"),
        {"network": {"widths": [4], "size": 16}},
    ),
    "denoiser": (("pictures", "size=32"), {"network": {"width": 4}}),
    "dpr": (
        ("pseudo_objects", "size=32"),
        {"network": {"size": 32, "width": 16, "downsamplings": 1, "blocks": 1, "compensated_blocks": 1}},
    ),
    "unrolled": (
        ("pseudo_objects", "size=32"),
        {"network": {"size": 32, "box_px": 12, "steps": 2, "start_iterations": 2, "iterations": 2, "widths": [4, 6]}},
    ),
    "unrolled volumes": (
        ("polygons", "size=16", "dimensions=3", "object_size=8", "photons=0"),
        {
            "network": {
                "size": 16,
                "box_px": 12,
                "steps": 2,
                "start_iterations": 2,
                "iterations": 2,
                "widths": [4, 6],
                "dimensions": 3,
            }
        },
    ),
}


def test_every_network_is_tried():
    assert {name.split()[0] for name in TRAININGS} == set(all_networks())


def fabric(device):
    """One process on a device, as Lightning's Fabric would have it."""
    return SimpleNamespace(
        device=device,
        global_rank=0,
        world_size=1,
        is_global_zero=True,
        setup=lambda module, optimiser: (module, optimiser),
        backward=lambda loss: loss.backward(),
        all_reduce=lambda tensor, reduce_op: tensor,
        broadcast=lambda value: value,
        strategy=SimpleNamespace(num_nodes=1),
        autocast=nullcontext,
    )


@pytest.mark.parametrize("name", TRAININGS)
def test_the_first_steps_are_those_of_a_cpu(name, tmp_path, gpu):
    from cdipipe.cli.main import run

    (scene, *settings), own = TRAININGS[name]
    settings = [f"--set={one}" for one in settings]
    assert run(["corpus", scene, "-o", str(tmp_path / "corpus"), "--count=8", "--chunk=2", *settings]) == 0
    network, corpus = get_network(name := name.split()[0]), open_corpus(tmp_path / "corpus")
    chosen = validate(network.settings, BATCH | own, name)
    losses = {
        device.type: fit(network, chosen, corpus, tmp_path / device.type, fabric(device)) for device in (CPU, CUDA)
    }
    assert gpu.launches > 100 and not gpu.unordered
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)
    here, there = (read_checkpoint(tmp_path / device / "best.pt", name).weights for device in ("cpu", "cuda"))
    assert here.keys() == there.keys()
    assert all(type(value) is torch.Tensor for value in there.values())
