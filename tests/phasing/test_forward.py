"""The forward model: photons, projections, probe modes, and its way through a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objects import correlation, make_object

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction, write_reconstruction
from cdipipe.measurement import Measurement
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel
from cdipipe.optics.moduli import impose_modulus
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct


def probes(shape=(48, 48)):
    """Two smooth modes that light the whole object."""
    y, x = np.meshgrid(*[(np.arange(n) - n // 2) / n for n in shape], indexing="ij")
    envelope = np.exp(-(x**2 + y**2) / 0.08)
    return torch.from_numpy(np.stack([envelope, 2 * x * envelope]).astype(np.complex64))


@pytest.mark.parametrize("modes", [None, probes()], ids=["plane wave", "two modes"])
def test_photons_are_conserved(modes):
    object_, _ = make_object((48, 48))
    model = ForwardModel.of_centred(2, probe_modes=modes)
    lit = torch.from_numpy(object_) if modes is None else modes * torch.from_numpy(object_)
    total = float(model.predict_centred(torch.from_numpy(object_)).sum())
    assert total == pytest.approx(float(lit.abs().square().sum()), rel=1e-5)


@pytest.mark.parametrize("modes", [None, probes()], ids=["plane wave", "two modes"])
def test_the_truth_is_its_own_modulus_projection(modes):
    object_, _ = make_object((48, 48))
    model = ForwardModel.of_centred(2, probe_modes=modes)
    truth = fourier.to_corner(torch.from_numpy(object_))
    again, misfit = impose_modulus(model, truth, model.predict_intensity(truth).sqrt())
    assert float(misfit) < 1e-4 * float(model.predict_intensity(truth).sqrt().sum())
    assert float((again - truth).abs().max() / truth.abs().max()) < 1e-4


def test_backpropagation_is_the_adjoint():
    generator = torch.Generator().manual_seed(1)
    model = ForwardModel(2, probe_modes=probes())
    u = torch.randn((1, 48, 48), dtype=torch.complex64, generator=generator)
    w = torch.randn((1, 2, 48, 48), dtype=torch.complex64, generator=generator)
    forward = torch.vdot(w.flatten(), model.propagate(u).flatten())
    backward = torch.vdot(model.backpropagate(w).flatten(), u.flatten())
    assert abs(complex(forward - backward)) < 1e-4 * abs(complex(forward))


def test_incoherent_modes_are_reconstructed_from_and_stored(tmp_path):
    object_, support = make_object((48, 48), photons=1e7)
    modes = probes()
    intensity = ForwardModel.of_centred(2, probe_modes=modes).predict_centred(torch.from_numpy(object_)).numpy()
    measurement = Measurement(intensity, np.ones((48, 48), bool), probe_modes=modes.numpy())
    generator = np.random.default_rng(1)
    near = object_ * np.exp(0.3j * generator.standard_normal(object_.shape)).astype(np.complex64)
    recipe = recipe_from_mapping({"method": "er", "iterations": 100, "shrink_wrap": {"every": 0}})
    result = reconstruct(measurement, recipe, start=Start(near, support))
    assert correlation(object_, result.object) > max(0.99, correlation(object_, near))
    write_reconstruction(tmp_path / "R.cxi", result)
    again = ForwardModel.from_dict(read_reconstruction(tmp_path / "R.cxi").forward)
    torch.testing.assert_close(fourier.to_centre(again.probe_modes), modes)
    predicted = again.predict_centred(torch.from_numpy(result.object))
    assert float((predicted - torch.from_numpy(intensity)).abs().sum() / intensity.sum()) < 0.05


def test_an_unknown_forward_model_is_refused():
    with pytest.raises(InputError, match="known: far_field"):
        ForwardModel.from_dict({"kind": "near_field", "ndim": 2})


def test_a_start_that_does_not_fit_is_refused():
    object_, support = make_object((48, 48))
    measurement = Measurement(np.ones((48, 48), np.float32), np.ones((48, 48), bool))
    recipe = recipe_from_mapping({"method": "er", "iterations": 2})
    for start in (Start(support=support[:-1]), Start(support=np.zeros_like(support)), Start(object_[:, :-1])):
        with pytest.raises(InputError):
            reconstruct(measurement, recipe, start=start)
    with pytest.raises(InputError, match="masked"):
        reconstruct(replace(measurement, measured=np.zeros((48, 48), bool)), recipe)
