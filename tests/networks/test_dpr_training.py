"""DPR as a network to train: settings, labels, loss, a training that learns."""

import pytest
import torch
from steps import losses_of

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan
from cdipipe.networks import dpr
from cdipipe.networks.dpr.loss import loss
from cdipipe.settings import validate
from cdipipe.simulation.batches import draw_batch
from cdipipe.simulation.registry import get_scene

SMALL = {"size": 64, "width": 16, "downsamplings": 2, "blocks": 1, "compensated_blocks": 1}


def settings(**more):
    return validate(dpr.DprSettings, {"network": SMALL, **more}, "test")


def arrays(count=4, **more):
    scene = get_scene("pseudo_objects")
    parameters = scene.parameters(size=64, photons=1e6, detector={"mask": {"beamstop_px": 2}}, **more)
    drawn = draw_batch(scene, parameters, 7, range(count)).arrays
    return {name: torch.from_numpy(drawn[name]) for name in dpr.NETWORK.arrays}


def test_labels_are_on_the_scale_of_the_outputs():
    drawn = arrays()
    batch = dpr.prepare(drawn, settings(), None)
    assert batch["objects"].shape == (4, 16, 16) and (batch["objects"].amax((1, 2)) == 1).all()
    power = (batch["objects"] * batch["scale"]).square().sum((1, 2))
    torch.testing.assert_close(power, drawn["object"].abs().square().sum((1, 2)))


def test_a_few_steps_lower_the_loss():
    chosen = settings(gradient_weight=1.0)
    batch = dpr.prepare(arrays(), chosen, None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = dpr.build(chosen.network)
    losses, terms = losses_of(module, loss, batch, chosen, torch.optim.AdamW(module.parameters(), 3e-3), 30)
    assert terms == {"mae", "gradient", "r_factor"}
    assert losses[-1] < 0.8 * losses[0]


def test_weights_by_photons():
    batch = dpr.prepare(arrays(2), settings(), None)
    module = dpr.build(settings().network).eval()
    plain, _ = loss(module, batch, settings())
    photons = float((batch["inputs"].clamp(min=0) * batch["measured"]).sum((1, 2)).mean())
    weighted, _ = loss(module, batch, settings(reference_photons=photons / 4))
    assert float(weighted.detach()) == pytest.approx(2 * float(plain.detach()), rel=0.02)


def plan(**parameters):
    return Plan("pseudo_objects", {"size": 64, "phase_range_rad": 0.0, **parameters}, 0, 10, 1, 10)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 128}, r"size 128 in 2 dimensions; expected 2 dimensions and size 64"),
        ({"phase_range_rad": 1.5}, "phases over 1.5 rad; expected phase_range_rad=0"),
        ({"object_size": 40}, "objects of up to 40 pixels do not fit into the box of 16"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused(parameters, message):
    dpr.check_corpus(plan(), settings())
    with pytest.raises(InputError, match=message):
        dpr.check_corpus(plan(**parameters), settings())


def test_sizes_that_cannot_be_halved_are_named():
    with pytest.raises(InputError, match="size 60 is no multiple of 8"):
        settings(network={**SMALL, "size": 60})
    with pytest.raises(InputError, match="width"):
        settings(network={**SMALL, "width": 20})


def test_defaults_are_those_of_the_paper():
    chosen = dpr.DprSettings()
    weights = chosen.mae_weight, chosen.gradient_weight, chosen.perceptual_weight, chosen.fourier_weight
    assert weights == (1.0, 10.0, 0.1, 0.01)
    assert (chosen.optimiser, chosen.weight_decay, chosen.learning_rate) == ("adamw", 1e-4, 1e-3)
    assert chosen.network.box_px == 64
