"""The modules of CDI NN and what they are trained on."""

import numpy as np
import pytest
import torch
from steps import losses_of

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan
from cdipipe.networks import cdi_nn
from cdipipe.networks.cdi_nn.settings import CdiNnNetwork, CdiNnSettings
from cdipipe.networks.layers.complex_heads import fold_norms
from cdipipe.optics import fourier
from cdipipe.settings import validate
from cdipipe.simulation.batches import draw_batch
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="module")
def arrays():
    """Eight noise-free patterns with their objects."""
    scene = get_scene("polygons")
    parameters = scene.parameters(size=32, photons=0, phase_range_rad=2.0)
    drawn = draw_batch(scene, parameters, 3, range(8)).arrays
    return {name: torch.from_numpy(drawn[name]) for name in ("intensity", "object", "measured")}


@pytest.mark.parametrize(
    "settings, count",
    [
        ({}, 722_402),
        ({"batch_norm": False}, 720_610),
        ({"heads": "shape_phase"}, 1_440_642),
        ({"widths": [16, 32, 64], "batch_norm": False}, 180_594),
        ({"corrector": [16, 32, 64]}, 722_402 + 107_666),
    ],
    ids=str,
)
def test_number_of_weights(settings, count):
    module = cdi_nn.build(CdiNnNetwork(**settings))
    assert sum(parameter.numel() for parameter in module.parameters()) == count


@pytest.mark.parametrize("heads", ["complex", "shape_phase"])
def test_from_pattern_to_object_whatever_the_photons(heads, arrays):
    settings = CdiNnNetwork(heads=heads, widths=(4, 8))
    torch.manual_seed(0)
    module = cdi_nn.build(settings).eval()
    with torch.no_grad():
        objects = cdi_nn.apply(module, settings, arrays["intensity"], arrays["measured"])
        brighter = cdi_nn.apply(module, settings, 1e4 * arrays["intensity"], arrays["measured"])
    assert objects.shape == (8, 32, 32) and objects.dtype == torch.complex64
    torch.testing.assert_close(objects, brighter, rtol=1e-3, atol=1e-3)
    if heads == "shape_phase":
        modulus = objects.abs()
        assert float(modulus.max()) <= 1 and bool(((modulus == 0) | (modulus > 0.1)).all())


def test_labels_belong_to_the_patterns(arrays):
    batch = cdi_nn.prepare(arrays, CdiNnSettings(), torch.Generator())
    assert batch["inputs"].shape == (8, 1, 32, 32) and float(batch["inputs"].amax()) == pytest.approx(1500)
    shapes = [batch["inputs"][:, 0], batch["modulus"]]
    first, second = (a / a.sum((1, 2), keepdim=True) for a in shapes)
    assert float((first - second).abs().amax() / first.amax()) < 2e-3


def test_noise_is_drawn_anew_and_from_the_generator_alone(arrays):
    settings = CdiNnSettings(photons=(1e4, 1e4))
    drawn = [
        cdi_nn.prepare(arrays, settings, torch.Generator().manual_seed(seed))["inputs"].numpy() for seed in (1, 1, 2)
    ]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    shares = CdiNnSettings(photons=(1e4, 1e4), noise_share=0.0)
    clean = cdi_nn.prepare(arrays, CdiNnSettings(), torch.Generator())["inputs"]
    assert torch.equal(cdi_nn.prepare(arrays, shares, torch.Generator())["inputs"], clean)


@pytest.mark.parametrize("heads", ["complex", "shape_phase"])
def test_a_training_on_few_patterns_lowers_the_loss(heads, arrays):
    settings = validate(CdiNnSettings, {"network": {"heads": heads, "widths": [8, 16]}, "learning_rate": 3e-3}, "test")
    torch.manual_seed(0)
    module = cdi_nn.build(settings.network)
    (stage,) = cdi_nn.stages(settings)
    batch = cdi_nn.prepare(arrays, settings, torch.Generator())
    losses, _ = losses_of(module, stage.loss, batch, settings, torch.optim.Adam(module.parameters(), lr=3e-3), 40)
    assert losses[-1] < 0.8 * losses[0]


def test_folded_batch_norms_change_nothing():
    torch.manual_seed(0)
    module = cdi_nn.build(CdiNnNetwork(widths=(4, 8), batch_norm=True))
    inputs = torch.rand(4, 1, 32, 32)
    module(10 * inputs + 3)  # statistics that are not 0 and 1
    module.eval()
    with torch.no_grad():
        torch.testing.assert_close(fold_norms(module.layers)(inputs), module.layers(inputs), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in fold_norms(module.layers))


def test_a_corrector_begins_with_a_mixture_of_object_and_projection_and_can_learn_alone(arrays):
    asked = {"network": {"widths": [4, 8], "corrector": [4, 8]}, "learns": "corrector"}
    settings = validate(CdiNnSettings, asked, "test")
    torch.manual_seed(0)
    module = cdi_nn.build(settings.network).eval()
    inputs = cdi_nn.prepare(arrays, settings, torch.Generator())["inputs"]
    with torch.no_grad():
        first, whole = module.layers(inputs), module(inputs)
        projected = 2 * whole - first
        modulus = fourier.forward(torch.complex(projected[:, 0], projected[:, 1])).abs()
    shares = [a.flatten(1) / a.flatten(1).norm(dim=1, keepdim=True) for a in (modulus, inputs[:, 0])]
    torch.testing.assert_close(*shares, rtol=1e-3, atol=1e-5)
    (stage,) = cdi_nn.stages(settings)
    plain = cdi_nn.build(settings.network.model_copy(update={"corrector": (), "data_share": 0.0})).eval()
    plain.load_state_dict(module.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(plain(inputs), first)
    moving = [p.requires_grad_(name.startswith(stage.parts)) for name, p in module.named_parameters()]
    before = module.layers[1].running_mean.clone()
    module.train()
    loss, _ = stage.loss(module, cdi_nn.prepare(arrays, settings, torch.Generator()), settings)
    loss.backward()
    assert torch.equal(before, module.layers[1].running_mean)
    assert {p.grad is not None for p in moving if not p.requires_grad} == {False}
    assert module.corrector.last.weight.grad.abs().max() > 0


def test_a_folded_corrector_changes_nothing():
    torch.manual_seed(0)
    module = cdi_nn.build(CdiNnNetwork(widths=(4, 8), corrector=(4, 8, 8)))
    torch.nn.init.normal_(module.corrector.last.weight)
    inputs = torch.rand(4, 1, 32, 32)
    module(10 * inputs + 3)
    module.eval()
    with torch.no_grad():
        before = module(inputs)
        module.fold()
        torch.testing.assert_close(module(inputs), before, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in module.modules())


@pytest.mark.parametrize(
    "settings, part",
    [
        ({"network": {"heads": "shape_phase", "corrector": [4]}}, "a corrector needs heads 'complex'"),
        ({"learns": "corrector"}, "needs network.corrector"),
        ({"network": {"size": 36}}, "cannot be halved 3 times"),
        ({"network": {"heads": "shape_phase"}, "twin": "either"}, "take 'rule'"),
        ({"photons": [0, 10]}, "expected a range"),
        ({"vary": {"size": [32]}}, "belong to samples: fresh"),
    ],
    ids=str,
)
def test_impossible_settings(settings, part):
    with pytest.raises(InputError, match=part):
        validate(CdiNnSettings, settings, "cdi_nn")


def test_a_corpus_of_another_size_is_refused():
    plan = Plan("polygons", {"size": 64, "dimensions": 2}, 0, 8, 1, 8)
    with pytest.raises(InputError, match="size 64 in 2 dimensions; expected 2 dimensions and size 32"):
        cdi_nn.check_corpus(plan, CdiNnSettings())
