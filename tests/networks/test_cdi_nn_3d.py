"""The module of 3D-CDI-NN, its labels and its stages."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.corpus import Plan
from cdipipe.networks import cdi_nn_3d
from cdipipe.networks.cdi_nn_3d import PAPER_WIDTHS, CdiNn3dNetwork, CdiNn3dSettings
from cdipipe.optics import fourier


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
    module = cdi_nn_3d.build(CdiNn3dNetwork(widths=widths))
    assert sum(parameter.numel() for parameter in module.parameters()) == count


def test_shape_and_phase_make_the_object(arrays):
    torch.manual_seed(0)
    settings = CdiNn3dNetwork(size=16, widths=(4, 8))
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
    module = cdi_nn_3d.build(CdiNn3dNetwork(size=16, widths=(4, 8))).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = module(torch.rand(1, 1, 16, 16, 16))[:, 0]
        assert before.dtype == torch.float32 and len(before.unique()) > 1000


def test_labels_are_one_twin_of_the_crystal_without_its_ramp(arrays):
    settings = CdiNn3dSettings(symmetries=False)
    batch = cdi_nn_3d.prepare(arrays, settings, torch.Generator())
    made = batch["shape"] * torch.exp(2j * torch.pi * (batch["phase"] - 0.5))
    # the pattern is that of the labels, though centred
    predicted = fourier.forward(made.to(torch.complex64), 3).abs()
    error = (predicted / predicted.sum() - batch["modulus"] / batch["modulus"].sum()).abs().sum()
    assert float(error) < 0.05
    assert batch["inputs"].flatten(1).argmax(1).tolist() == [8 * 256 + 8 * 16 + 8] * 2
    outside = batch["phase"][batch["shape"] == 0]
    assert bool((outside == 0.5).all())


def test_symmetries_are_for_training_only(arrays):
    settings = CdiNn3dSettings()
    first = cdi_nn_3d.prepare(arrays, settings, torch.Generator().manual_seed(1))["inputs"]
    others = [cdi_nn_3d.prepare(arrays, settings, torch.Generator().manual_seed(s))["inputs"] for s in range(2, 7)]
    assert any(not torch.allclose(first, other) for other in others)
    with torch.no_grad():
        kept = [cdi_nn_3d.prepare(arrays, settings, torch.Generator().manual_seed(s))["inputs"] for s in (1, 2)]
    assert torch.equal(*kept)


def test_the_four_stages():
    stages = cdi_nn_3d.stages(CdiNn3dSettings(epochs=3))
    assert [(stage.name, stage.parts, stage.epochs) for stage in stages] == [
        ("shape", ("encoder", "shape"), 3),
        ("phase", ("phase",), 3),
        ("phase_and_encoder", ("encoder", "phase"), 3),
        ("all", (), 3),
    ]
    fewer = cdi_nn_3d.stages(CdiNn3dSettings(stage_epochs=(5, 0, 0, 2)))
    assert [(stage.name, stage.epochs) for stage in fewer] == [("shape", 5), ("all", 2)]


def test_planes_are_refused():
    plan = Plan("polygons", {"size": 32, "dimensions": 2}, 0, 8, 1, 8)
    with pytest.raises(InputError, match="planes of size 32"):
        cdi_nn_3d.check_corpus(plan, CdiNn3dSettings())
