"""The module of 3D-CDI-NN, its labels and its stages."""

import numpy as np
import pytest
import torch
from steps import losses_of

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan
from cdipipe.networks import cdi_nn_3d
from cdipipe.networks.cdi_nn_3d.model import EncoderTwoDecoders
from cdipipe.networks.cdi_nn_3d.settings import PAPER_WIDTHS, CdiNn3dNetwork, CdiNn3dSettings
from cdipipe.networks.layers.complex_heads import RealImaginary, in_grid, interleaved, project_outputs
from cdipipe.networks.losses import labels
from cdipipe.optics import fourier

PRINTED = CdiNn3dNetwork(heads="shape_phase")
"""The paper's heads."""


@pytest.fixture(scope="module")
def arrays():
    """Two small lopsided crystals off the middle, with a curved phase and a ramp."""
    axes = np.ogrid[-8:8, -8:8, -8:8]
    radius2 = sum((x - s) ** 2 for x, s in zip(axes, (1, -2, 0), strict=True))
    objects = []
    for sign in (1, -1):
        shape = (radius2 < 16) & (axes[0] + axes[1] < 2)
        phase = sign * 0.06 * radius2 + 2 * np.pi * axes[2] * 2 / 16
        objects.append(np.where(shape, np.exp(1j * phase), 0))
    waves = torch.from_numpy(np.stack(objects).astype(np.complex64))
    return {
        "object": waves,
        "intensity": fourier.forward(waves, 3).abs().square(),
        "measured": torch.ones(waves.shape, dtype=torch.bool),
    }


@pytest.mark.parametrize(
    "widths, count", [((32, 64, 128), 3_459_938), (PAPER_WIDTHS, 13_831_874), ((8, 16, 32), 216_986)], ids=str
)
def test_number_of_weights(widths, count):
    module = cdi_nn_3d.build(CdiNn3dNetwork(heads="shape_phase", widths=widths))
    assert sum(parameter.numel() for parameter in module.parameters()) == count


def test_shape_and_phase_make_the_object(arrays):
    torch.manual_seed(0)
    settings = CdiNn3dNetwork(heads="shape_phase", size=16, widths=(4, 8))
    module = cdi_nn_3d.build(settings).eval()
    with torch.no_grad():
        outputs = module(torch.rand(2, 1, 16, 16, 16))
        objects = cdi_nn_3d.apply(module, settings, arrays["intensity"], arrays["measured"])
    assert outputs.shape == (2, 2, 16, 16, 16) and float(outputs.min()) >= 0
    assert objects.shape == (2, 16, 16, 16)
    made = module.to_objects(outputs)
    torch.testing.assert_close(made.abs(), outputs[:, 1])


def test_mixed_precision_resolves_phases_below_the_spacing_of_16_bits():
    """bfloat16 has no number between 0.5 and 0.504."""
    torch.manual_seed(0)
    module = cdi_nn_3d.build(CdiNn3dNetwork(heads="shape_phase", size=16, widths=(4, 8))).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = module(torch.rand(1, 1, 16, 16, 16))[:, 0]
        assert before.dtype == torch.float32 and len(before.unique()) > 1000


def test_labels_are_one_twin_of_the_crystal_without_its_ramp(arrays):
    settings = CdiNn3dSettings(symmetries="none", network=PRINTED)
    batch = cdi_nn_3d.prepare(arrays, settings, torch.Generator())
    made = batch["shape"] * torch.exp(2j * torch.pi * (batch["phase"] - 0.5)) * batch["ramp"]
    # the pattern is that of the labels, though centred
    predicted = fourier.forward(made.to(torch.complex64), 3).abs()
    error = (predicted / predicted.sum() - batch["modulus"] / batch["modulus"].sum()).abs().sum()
    assert float(error) < 0.05
    assert batch["inputs"].flatten(1).argmax(1).tolist() == [8 * 256 + 8 * 16 + 8] * 2
    outside = batch["phase"][batch["shape"] == 0]
    assert bool((outside == 0.5).all())


@pytest.mark.parametrize("shift", [(0.3, -0.2, 0.45), (2.3, 0, -1.4)])
def test_the_place_of_the_peak_is_not_in_the_labels(arrays, shift):
    """A fraction of a pixel is a ramp of up to a radian over the crystal: more than its strain."""
    ramp = labels.phase_ramp([torch.full((2,), s) for s in shift], arrays["object"].shape[1:])
    moved = arrays["object"] * ramp
    others = {**arrays, "object": moved, "intensity": fourier.forward(moved, 3).abs().square()}
    settings = CdiNn3dSettings(symmetries="none", network=PRINTED)
    here, there = (cdi_nn_3d.prepare(item, settings, torch.Generator()) for item in (arrays, others))
    assert float((here["phase"] - there["phase"]).abs().max()) < 0.02  # sharp edges reach the border
    coarse = CdiNn3dSettings(symmetries="none", network=CdiNn3dNetwork(heads="shape_phase", peak="pixel"))
    here, there = (cdi_nn_3d.prepare(item, coarse, torch.Generator()) for item in (arrays, others))
    assert float((here["phase"] - there["phase"]).abs().max()) > 0.08


@pytest.mark.parametrize("peak", ["subpixel", "pixel", "none"])
def test_what_the_labels_lack_comes_back_onto_the_object(arrays, peak):
    settings = CdiNn3dSettings(
        symmetries="none", network=CdiNn3dNetwork(heads="shape_phase", size=16, widths=(4, 8), peak=peak)
    )
    batch = cdi_nn_3d.prepare(arrays, settings, torch.Generator())

    class Perfect(torch.nn.Module):
        to_objects = staticmethod(EncoderTwoDecoders.to_objects)

        def forward(self, inputs):
            return torch.stack([batch["phase"], batch["shape"]], 1)

    made = cdi_nn_3d.apply(Perfect(), settings.network, arrays["intensity"], arrays["measured"])
    predicted, wanted = fourier.forward(made, 3).abs(), arrays["intensity"].sqrt()
    assert float((predicted / predicted.sum() - wanted / wanted.sum()).abs().sum()) < 0.1


def test_the_scale_of_phases_is_that_of_the_last_layer():
    inputs = torch.rand(1, 1, 16, 16, 16)
    spread = []
    for scale in (1.0, 0.05):
        torch.manual_seed(0)
        module = cdi_nn_3d.build(CdiNn3dNetwork(heads="shape_phase", size=16, widths=(4, 8), phase_scale=scale)).eval()
        with torch.no_grad():
            spread.append(module(inputs)[:, 0] - 0.5)
    torch.testing.assert_close(spread[1], 0.05 * spread[0])


def test_the_symmetries_of_the_reflection_leave_it_where_it_is(arrays):
    """(111) is the diagonal of the cube: a function of x + y + z stays, and so do the signs of phases."""
    along = sum(labels.coordinates((16, 16, 16)))[None] + torch.zeros(1, 16, 16, 16)
    assert all(torch.equal(labels.turn_cube(along, number), along) for number in range(0, 48, 8))
    seen = set()
    for seed in range(40):
        settings, generator = CdiNn3dSettings(symmetries="reflection"), torch.Generator().manual_seed(seed)
        seen.add(float(cdi_nn_3d.prepare(arrays, settings, generator)["inputs"][0, 0, 8, 5, 3]))
    assert 2 <= len(seen) <= 6


def test_symmetries_are_for_training_only(arrays):
    settings = CdiNn3dSettings()
    first = cdi_nn_3d.prepare(arrays, settings, torch.Generator().manual_seed(1))["inputs"]
    others = [cdi_nn_3d.prepare(arrays, settings, torch.Generator().manual_seed(s))["inputs"] for s in range(2, 7)]
    assert any(not torch.allclose(first, other) for other in others)
    with torch.no_grad():
        kept = [cdi_nn_3d.prepare(arrays, settings, torch.Generator().manual_seed(s))["inputs"] for s in (1, 2)]
    assert torch.equal(*kept)


def test_the_four_stages():
    stages = cdi_nn_3d.stages(CdiNn3dSettings(epochs=3, network=PRINTED))
    assert [(stage.name, stage.parts, stage.epochs) for stage in stages] == [
        ("shape", ("encoder", "shape"), 3),
        ("phase", ("phase",), 3),
        ("phase_and_encoder", ("encoder", "phase"), 3),
        ("all", (), 3),
    ]
    fewer = cdi_nn_3d.stages(CdiNn3dSettings(stage_epochs=(5, 0, 0, 2), network=PRINTED))
    assert [(stage.name, stage.epochs) for stage in fewer] == [("shape", 5), ("all", 2)]


def complex_settings(**changes):
    network = {"size": 16, "widths": (4, 8), "corrector": (4, 4), "input_gain": 500.0}
    return CdiNn3dSettings(symmetries="none", centre="pixel", network=CdiNn3dNetwork(**network), **changes)


class Told(torch.nn.Module):
    """Gives the objects that it was told, whatever it sees."""

    to_objects = staticmethod(RealImaginary.to_objects)

    def __init__(self, objects):
        super().__init__()
        self.objects = objects

    def forward(self, inputs, ramp):
        return torch.stack([self.objects.real, self.objects.imag], 1)


def test_complex_heads_lower_the_same_for_either_twin_and_any_global_phase(arrays):
    settings = complex_settings()
    batch = cdi_nn_3d.prepare(arrays, settings, torch.Generator())
    assert float(batch["objects"].abs().max()) == pytest.approx(1, abs=1e-4)
    (stage,) = cdi_nn_3d.stages(settings)
    right = batch["objects"]
    for objects in (right, labels.twin(right, 3), right * np.exp(0.7j)):
        _, terms = stage.loss(Told(objects), batch, settings)
        assert float(terms["distance"]) < 1e-5
    level, _ = stage.loss(Told(right.abs().to(right.dtype)), batch, settings)
    assert float(level) > 0.05
    exact, _ = stage.loss(Told(right), batch, settings)
    assert float(exact) < 1e-4  # the ramp that came off the objects is put back before the pattern is compared


def test_objects_of_complex_heads_get_their_ramp_back(arrays):
    settings = complex_settings()
    batch = cdi_nn_3d.prepare(arrays, settings, torch.Generator())
    made = cdi_nn_3d.apply(Told(batch["objects"]), settings.network, arrays["intensity"], arrays["measured"])
    predicted, wanted = fourier.forward(made, 3).abs(), arrays["intensity"].sqrt()
    assert float((predicted / predicted.sum() - wanted / wanted.sum()).abs().sum()) < 0.02


def test_complex_heads_learn_phases(arrays):
    torch.manual_seed(0)
    settings = complex_settings(physics_weight=0)
    module = cdi_nn_3d.build(settings.network)
    halves = torch.where(labels.coordinates((16, 16, 16))[0] < 1, 1.2, -1.2)
    objects = arrays["object"].abs() * torch.exp(1j * halves)
    strong = {**arrays, "object": objects, "intensity": fourier.forward(objects, 3).abs().square()}
    batch = cdi_nn_3d.prepare(strong, settings, torch.Generator())
    loss = cdi_nn_3d.stages(settings)[0].loss
    losses, _ = losses_of(module, loss, batch, settings, torch.optim.Adam(module.parameters(), 3e-3), 60)
    flat, _ = loss(Told(batch["objects"].abs() + 0j), batch, settings)
    assert losses[-1] < 0.6 * float(flat)


def test_projection_of_a_volume_has_the_modulus_and_keeps_an_object_that_has_it(arrays):
    objects = arrays["object"]
    outputs = torch.stack([objects.real, objects.imag], 1)
    modulus = arrays["intensity"].sqrt()
    assert torch.allclose(project_outputs(outputs, 3 * modulus), outputs, atol=1e-4)
    ramp = labels.phase_ramp([torch.full((2,), 0.4)] * 3, objects.shape[1:])
    level = objects * ramp.conj()
    kept = project_outputs(torch.stack([level.real, level.imag], 1), modulus, ramp)
    assert torch.allclose(torch.complex(kept[:, 0], kept[:, 1]), level, atol=1e-4)


def test_objects_in_a_box_and_their_finer_patterns(arrays):
    network = CdiNn3dNetwork(size=32, box=16, widths=(4, 8), corrector=(4,), memory=3, passes=2)
    settings = CdiNn3dSettings(symmetries="none", network=network)
    batch = cdi_nn_3d.prepare(arrays, settings, torch.Generator())
    assert batch["inputs"].shape == (2, 1, 32, 32, 32) and batch["objects"].shape == (2, 16, 16, 16)
    right, (stage,) = Told(batch["objects"]), cdi_nn_3d.stages(settings)
    assert float(stage.loss(right, batch, settings)[0]) < 1e-4
    whole = in_grid(arrays["object"], (32,) * 3)
    pattern = fourier.forward(whole, 3).abs().square()
    made = cdi_nn_3d.apply(right, settings.network, pattern, pattern >= 0)
    misfit = fourier.forward(made, 3).abs() - fourier.forward(whole, 3).abs() / float(whole.abs().max())
    assert float(misfit.abs().max()) < 1e-2
    outputs = torch.stack([batch["objects"].real, batch["objects"].imag], 1)
    kept = project_outputs(outputs, batch["modulus"], batch["ramp"])
    assert torch.allclose(kept, outputs, atol=1e-4)  # nothing of the object is outside
    every_other = interleaved(batch["inputs"], 2)
    assert torch.equal(every_other[:, 0], batch["inputs"][:, 0, ::2, ::2, ::2])
    assert torch.equal(every_other[:, 6], batch["inputs"][:, 0, 1::2, 1::2, ::2])
    module = cdi_nn_3d.build(settings.network)
    module(batch["inputs"], batch["ramp"]).square().mean().backward()
    assert all(p.grad is not None for name, p in module.named_parameters() if name.startswith("corrector"))


def test_boxes_that_do_not_fit_are_refused():
    for wrong in ({"size": 32, "box": 12}, {"size": 32, "box": 16, "heads": "shape_phase"}):
        with pytest.raises(ValueError, match="box"):
            CdiNn3dNetwork(**wrong)
    settings = CdiNn3dSettings(network=CdiNn3dNetwork(size=32, box=16))
    with pytest.raises(InputError, match="expected volumes of size 16"):
        cdi_nn_3d.check_corpus(Plan("crystal", {"size": 32}, 0, 8, 1, 8), settings)


def test_settings_of_one_kind_of_heads_are_refused_for_the_other():
    with pytest.raises(ValueError, match=r"stage_epochs belongs to network.heads 'shape_phase'"):
        CdiNn3dSettings(stage_epochs=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"twin 'either' needs network.heads 'complex'"):
        CdiNn3dSettings(twin="either", network=PRINTED)


def test_planes_are_refused():
    plan = Plan("polygons", {"size": 32, "dimensions": 2}, 0, 8, 1, 8)
    with pytest.raises(InputError, match="planes of size 32"):
        cdi_nn_3d.check_corpus(plan, CdiNn3dSettings())
