"""The method dpr, with a small network of random weights: grids, photons, masks, chains and messages."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint import Checkpoint, write_checkpoint
from cdipipe.networks.registry import get_network
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"size": 64, "width": 16, "downsamplings": 2, "blocks": 1, "compensated_blocks": 1}


def untrained(**network):
    record = get_network("dpr")
    settings = validate(record.settings, {"network": {**SMALL, **network}}, "test")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        weights = record.build(settings.network).state_dict()
    return Checkpoint(record, settings, weights, scores={"peak_over_mean": [7.0, 30.0]})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("dpr") / "dpr.pt"
    write_checkpoint(path, untrained())
    return path


@pytest.fixture
def phase(checkpoint):
    def run(measurement, mapping=None, **settings):
        mapping = mapping or {"method": "dpr", "checkpoint": str(checkpoint), **settings}
        return reconstruct(measurement, recipe_from_mapping(mapping))

    return run


def shots(count=1, size=64, **settings):
    scene = get_scene("pseudo_objects")
    mask = {"mask": {"beamstop_px": 2, "dead_share": 0.02}}
    more = {"count": count, "photons": 1e6, "detector": mask} | settings
    return simulate(scene, scene.parameters(size=size, **more))[0]


def test_objects_have_the_photons_measured_and_lie_in_the_box(phase):
    measurement = shots(3)
    result = phase(measurement)
    assert result.object.shape == (3, 64, 64) and result.object.dtype == np.complex64
    assert not result.object.imag.any() and (result.object.real >= 0).all()
    outside = np.ones((64, 64), bool)
    outside[24:40, 24:40] = False
    assert not result.object[:, outside].any() and result.object[:, 24:40, 24:40].all()
    assert result.support.any((1, 2)).all() and not (result.support & (result.object == 0)).any()
    wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(result.object, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    seen = (np.abs(wave) ** 2 * measurement.measured).sum((1, 2))
    light = (np.clip(measurement.intensity, 0, None) * measurement.measured).sum((1, 2))
    np.testing.assert_allclose(seen, light, rtol=1e-3)


def test_it_is_what_the_network_gives(phase):
    measurement = shots()
    result = phase(measurement)
    checkpoint = untrained()
    intensity, measured = (
        torch.from_numpy(a.reshape(1, 64, 64)) for a in (measurement.intensity, measurement.measured)
    )
    with torch.no_grad():
        wanted = checkpoint.network.apply(checkpoint.build(), checkpoint.settings.network, intensity.float(), measured)
    np.testing.assert_allclose(result.object, wanted[0].numpy(), atol=1e-4 * wanted.abs().max())


def test_masked_pixels_are_not_seen(phase):
    measurement = shots()
    spoilt = measurement.intensity.copy()
    spoilt[~measurement.measured] = 1e7
    np.testing.assert_array_equal(phase(measurement).object, phase(replace(measurement, intensity=spoilt)).object)


def test_masks_of_their_own(phase):
    measurement = shots(3)
    measured = np.broadcast_to(measurement.measured, (3, 64, 64)).copy()
    measured[1, :, 40:] = False
    together = phase(replace(measurement, measured=measured))
    for index in range(3):
        alone = replace(measurement.pattern(index), measured=measured[index])
        np.testing.assert_array_equal(together.object[index], phase(alone).object)


def test_it_starts_other_methods(phase, checkpoint):
    measurement = shots()
    steps = [{"dpr": {"checkpoint": str(checkpoint)}}, {"er": {"iterations": 30}}]
    start, result = phase(measurement), phase(measurement, {"steps": steps, "shrink_wrap": {"every": 0}})
    assert result.method == "dpr+er"
    assert result.run_scores["r_factor"][0] < start.run_scores["r_factor"][0]
    np.testing.assert_array_equal(result.support, start.support)


def test_moduli_given_as_photons_are_noticed(phase, caplog):
    measurement = shots()
    with caplog.at_level(logging.WARNING, logger="cdipipe"):
        phase(measurement)
        assert "moduli" not in caplog.text
        phase(replace(measurement, intensity=np.sqrt(np.clip(measurement.intensity, 0, None))))
    assert "are these moduli, given as photons" in caplog.text


def test_without_a_checkpoint_there_is_one_clear_line(phase):
    with pytest.raises(InputError, match=r"dpr: no weights come with the package; .* --checkpoint"):
        phase(shots(), {"method": "dpr"})


def test_patterns_of_another_size_are_refused(phase):
    with pytest.raises(InputError, match=r"dpr: patterns of 96 x 96; the network of .* takes 64 x 64; crop them"):
        phase(shots(size=96))


def test_a_checkpoint_of_another_network_is_refused(phase, tmp_path):
    record = get_network("cdi_nn")
    settings = validate(record.settings, {"network": {"widths": [4]}}, "test")
    weights = record.build(settings.network).state_dict()
    write_checkpoint(tmp_path / "other.pt", Checkpoint(record, settings, weights))
    with pytest.raises(InputError, match="a checkpoint of 'cdi_nn'; expected one of 'dpr'"):
        phase(shots(), checkpoint=str(tmp_path / "other.pt"))
    (tmp_path / "cut.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:1000])
    with pytest.raises(InputError, match="cut short"):
        phase(shots(), checkpoint=str(tmp_path / "cut.pt"))
