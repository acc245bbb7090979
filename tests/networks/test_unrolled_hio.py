"""`unrolled` with HIO between looks, inside what the autocorrelation leaves; complex objects in planes."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.metrics.align import align_to
from cdipipe.networks import unrolled
from cdipipe.networks.checkpoint import Checkpoint, write_checkpoint
from cdipipe.networks.unrolled.loss import draw_start
from cdipipe.networks.unrolled.model import room_of
from cdipipe.networks.unrolled.physics import Modulus, begin_hio, hio_
from cdipipe.networks.unrolled.predictor import from_starts
from cdipipe.networks.unrolled.settings import UnrolledParameters
from cdipipe.optics import fourier
from cdipipe.optics.grid import embed
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"size": 32, "box_px": 12, "steps": 3, "start_iterations": 4, "iterations": 2, "widths": [4, 6]}


def settings(network):
    return validate(unrolled.UnrolledSettings, {"network": {**SMALL, **network}}, "test")


def polygons(size, count=3, photons=1e6):
    scene = get_scene("polygons")
    made = scene.parameters(size=size, object_size=12, count=count, photons=photons, phase_range_rad=5.5)
    return simulate(scene, made, seed=5)


def test_hio_goes_on_from_look_to_look_as_if_there_were_none():
    measurement, truth = polygons(32)
    counts = torch.from_numpy(measurement.intensity)
    modulus = Modulus(counts, torch.ones_like(counts, dtype=torch.bool), (16, 16), real=False)
    inside = torch.from_numpy(truth.object)[:, 8:24, 8:24].abs() > 0
    start = begin_hio(
        modulus,
        torch.where(
            inside,
            draw_start(settings(network={"box_px": 16, "real": False}).network, 3, torch.Generator().manual_seed(1)),
            0,
        ),
    )
    parts, whole = start.clone(), start.clone()
    hio_(modulus, parts, inside, 7)
    torch.testing.assert_close(hio_(modulus, parts, inside, 5), hio_(modulus, whole, inside, 12))
    wave, modulus_of = start[0].to(torch.complex128), fourier.to_corner(counts[0].double().sqrt(), 2)
    support = fourier.to_corner(torch.from_numpy(embed(inside[0].numpy(), (32, 32))), 2)
    for _ in range(12):  # by its definition
        spectrum = torch.fft.fft2(wave, norm="ortho")
        projected = torch.fft.ifft2(modulus_of * torch.sgn(spectrum), norm="ortho")
        wave = torch.where(support, projected, wave - 0.9 * projected)
    torch.testing.assert_close(whole[0].to(torch.complex128), wave, rtol=1e-3, atol=1e-2)


def test_supports_stay_in_the_room_that_the_autocorrelation_leaves():
    counts = torch.from_numpy(polygons(32)[0].intensity)
    network = {"box_px": 16, "real": False, "base": "hio", "first_support": "autocorrelation"}
    module = unrolled.build(settings(network=network).network).eval()
    torch.nn.init.ones_(module.look.last.bias[2:])  # everything is inside
    seen = torch.ones_like(counts, dtype=torch.bool)
    first = module.first_inside(counts, seen)
    how = UnrolledParameters(starts=2, screen_steps=1, step_count=2, finish=3).filled(settings(network=network).network)
    found, inside = from_starts(module, counts, seen, how)
    assert torch.equal(inside, room_of(first)) and not inside.all() and not found[~inside].any()


def test_whole_patterns_of_complex_objects_are_brought_to_the_size_of_the_training(tmp_path):
    network = {"box_px": 16, "real": False, "base": "hio", "first_support": "autocorrelation", "start_iterations": 60}
    chosen = settings(network=network)
    path = tmp_path / "net.pt"
    write_checkpoint(path, Checkpoint(unrolled.NETWORK, chosen, unrolled.build(chosen.network).state_dict()))
    for size in (32, 48):
        measurement, truth = polygons(size)
        found = reconstruct(
            measurement, recipe_from_mapping({"method": "unrolled", "checkpoint": str(path), "starts": 4})
        )
        assert found.object.shape == truth.object.shape
        # as good as HIO within the autocorrelation, no training behind it
        assert np.mean([align_to(t, o).correlation for t, o in zip(truth.object, found.object, strict=True)]) > 0.6
    with pytest.raises(InputError, match="patterns of 24 x 24"):
        reconstruct(polygons(24)[0], recipe_from_mapping({"method": "unrolled", "checkpoint": str(path)}))
