"""Every method on a measurement of a few pixels that has what it needs, with settings that take a moment."""

from __future__ import annotations

import functools

import torch

from cdipipe.networks.checkpoint import Checkpoint, write_checkpoint
from cdipipe.networks.registry import get_network
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.registry import Predictor, get_method
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SCENES = {
    "plain": ("polygons", {"size": 32, "photons": 1e5}),
    "shots": ("polygons", {"size": 32, "photons": 1e5, "count": 3}),
    "volume": ("polygons", {"size": 32, "photons": 1e5, "dimensions": 3}),
    "static": ("static_region", {"size": 32, "sample_photons_per_pixel": 100.0}),
    "open static": ("static_region", {"size": 32, "sample_photons_per_pixel": 100.0, "static_known": False}),
    "static movie": ("static_region", {"size": 32, "sample_photons_per_pixel": 100.0, "frames": 3}),
    "probe movie": ("test_chart", {"size": 32, "frames": 3, "photons": 1e6, "spokes": 10, "start_offset": 0.1}),
}
NETWORK = {"width": 2, "levels": 1, "skip": 1, "input_channels": 2, "stop": "none"}
SMALL = {
    "area_scan": {"shares": [0.05, 0.1], "refine": 0, "starts": 2},
    "auto": {"candidates": ["raar"], "starts": 2},
    "cdip": {"iterations": 6, "start": "random", "population": 1, "channels": 2, "hidden": 4},
    "dip": NETWORK,
    "lodip": NETWORK,
    "guided": {"iterations": 10, "starts": 2, "populations": 2, "generations": 1, "generation_iterations": 4,
               "refine_iterations": 3},
    "hio_static": {"er_iterations": 3},
    "in_situ": {"er_iterations": 3, "hops": 0},
    "static_estimate": {"er_iterations": 3, "tries": 1, "hops": 1, "prior": "none"},
    "pid3net": {"window": 2, "width": 1, "levels": 1, "refinement_steps": 1, "refinement_width": 1},
    "reference_lsq": {"denoiser": "tv"},
}  # fmt: skip
NETWORKS = {
    "cdi_nn": {"widths": [4, 8]},
    "cdi_nn_3d": {"widths": [4], "size": 16},
    "dpr": {"size": 32, "width": 16, "downsamplings": 1, "blocks": 1, "compensated_blocks": 1},
    "unrolled": {"size": 32, "box_px": 12, "steps": 2, "widths": [4]},
}
NEEDED = (
    ({"probe_modes"}, "probe movie"),
    ({"movie"}, "static movie"),
    ({"static_region"}, "static"),
    ({"static_support"}, "open static"),
    ({"volume"}, "volume"),
)


@functools.cache
def measurement(kind: str):
    """One of SCENES."""
    scene, settings = SCENES[kind]
    return simulate(get_scene(scene), validate(get_scene(scene).parameters, settings, kind), seed=1)[0]


def kind_for(name: str) -> str:
    """A measurement that has what a method needs."""
    needs = set(get_method(name).all_needs)
    return next((kind for needed, kind in NEEDED if needed <= needs), "plain")


def mapping(name: str, folder, **options) -> dict:
    """A short recipe of one method; ``folder`` is for the weights of untrained networks."""
    own = dict(SMALL.get(name, {}))
    if "iterations" in get_method(name).parameters.model_fields:
        own = {"iterations": 12, **own}
    if isinstance(get_method(name), Predictor):
        own["checkpoint"] = str(untrained(name, folder))
    return {"method": name, **own, **options}


def run(name: str, folder, kind: str | None = None, *, extra: dict | None = None, **options):
    """A method's result; ``extra`` goes to ``reconstruct``."""
    recipe = recipe_from_mapping(mapping(name, folder, **options))
    return reconstruct(measurement(kind or kind_for(name)), recipe, seed=2, **(extra or {}))


def untrained(name: str, folder):
    """A checkpoint of a network that has learned nothing."""
    path = folder / f"{name}.pt"
    if not path.exists():
        network = get_network(name)
        settings = validate(network.settings, {"network": NETWORKS[name]}, name)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            weights = network.build(settings.network).state_dict()
        write_checkpoint(path, Checkpoint(network, settings, weights, scores={"peak_over_mean": [1.0, 1e4]}))
    return path
