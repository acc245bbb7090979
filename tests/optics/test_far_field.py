import numpy as np
import pytest
import torch

from cdipipe.optics import far_field, fourier
from cdipipe.optics.forward import ForwardModel

SHAPES = [(32, 32), (31, 40), (16, 18, 21)]


def random_waves(*shape):
    rng = np.random.default_rng(3)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_numpy_and_torch_see_the_same_far_field(shape):
    ndim, waves = len(shape), random_waves(2, *shape)
    kept = waves.copy()
    expected = fourier.forward(torch.from_numpy(waves), ndim).numpy()
    np.testing.assert_allclose(far_field.propagate(waves, ndim), expected, atol=1e-12)
    np.testing.assert_allclose(far_field.photons(waves, ndim), np.abs(expected) ** 2, atol=1e-11)
    assert np.sum(far_field.photons(waves, ndim)) == pytest.approx(np.sum(np.abs(waves) ** 2))
    np.testing.assert_array_equal(waves, kept)


def test_probe_modes_add_as_intensities():
    probes, waves = random_waves(3, 24, 20), random_waves(24, 20)
    model = ForwardModel.of_centred(2, probe_modes=torch.from_numpy(probes))
    np.testing.assert_allclose(far_field.photons(waves, 2, probes), model.photons_of(waves), rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beside", [(), ("probe_modes",), ("static_region",), ("probe_modes", "static_region")])
def test_coherent_light_is_the_forward_model_without_torch(shape, beside):
    ndim, object_ = len(shape), random_waves(*shape).astype(np.complex64)
    arrays = {"probe_modes": random_waves(2, *shape), "static_region": 5 * random_waves(*shape)}
    arrays = {name: arrays[name].astype(np.complex64) for name in beside}
    model = ForwardModel.of_centred(ndim, **{name: torch.from_numpy(array) for name, array in arrays.items()})
    light = far_field.CoherentLight.from_dict(model.to_dict())
    for one, other in ((light, model), (light.without_static(), model.without_static())):
        np.testing.assert_allclose(one.photons_of(object_), other.photons_of(object_), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(one.waves_of(object_), other.waves_of(object_), rtol=1e-5, atol=1e-4)
        assert one.freedom == other.freedom
    np.testing.assert_array_equal(light.static_centred(), model.static_centred())


def test_each_pattern_of_a_stack_has_its_static_region():
    light = far_field.CoherentLight(2, static_region=random_waves(3, 8, 8))
    np.testing.assert_array_equal(light.of_pattern(1).static_region, light.static_region[1])
    assert light.of_pattern(1).of_pattern(0).static_region.shape == (8, 8)


@pytest.mark.parametrize("more", [{"coherence_px": 3.0}, {"background": 2.0}])
def test_other_light_is_left_to_the_forward_model(more):
    assert far_field.CoherentLight.from_dict(ForwardModel(2, **more).to_dict()) is None
