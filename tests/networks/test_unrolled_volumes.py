"""Volumes of any size in front of a small network: what they lose, how objects come back; corpora of boxes."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan
from cdipipe.networks import unrolled
from cdipipe.networks.losses.labels import centre_of_mass, phase_ramp
from cdipipe.networks.predictor import fill_gaps
from cdipipe.networks.unrolled.loss import draw_start, prepare
from cdipipe.networks.unrolled.physics import Modulus
from cdipipe.networks.unrolled.volumes import fill, plan_window
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices
from cdipipe.settings import validate

BOX, SIZE = 16, 32


def ball(grid, radius, ramp=(0.0, 0.0, 0.0), rows=1.0):
    """(D, H, W) complex with smooth phases, its peak moved by ``ramp`` voxels; ``rows`` stretches the first axis."""
    axes = [np.arange(n) - n // 2 for n in grid]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    inside = (z / rows) ** 2 + y**2 + (0.9 * x) ** 2 < radius**2
    volume = torch.from_numpy(inside * np.exp(2j * np.sin(z / 3 + 1) * np.cos(y / 4))).to(torch.complex64)
    return volume * phase_ramp([torch.tensor([float(r)]) for r in ramp], grid)[0]


def counts_of(volume):
    return fourier.forward(volume[None], 3)[0].abs().square()


def boxed(volume):
    return volume[central_slices(volume.shape, (BOX,) * 3)]


def likeness(first, second):
    return float((first * second.conj()).sum().abs() / (first.norm() * second.norm()))


@pytest.mark.parametrize("grid", [(32, 32, 32), (64, 48, 40)])
def test_fewer_samples_tell_as_much_and_the_peak_goes_to_the_middle(grid):
    ramp = (1.3, -0.4, 0.2)
    truth, level = ball(grid, 5.5, ramp), ball(grid, 5.5)
    counts = counts_of(truth)
    window = plan_window(counts, SIZE, BOX)
    assert window.crop == grid and window.place == (0, 0, 0)
    photons, measured = window.shrink(counts, torch.ones(grid, dtype=torch.bool))
    assert measured.all() and float(photons.sum()) == pytest.approx(float(counts.sum()), rel=1e-4)
    assert max(abs(float(place)) for place in centre_of_mass(photons[None], 3)) < 0.2
    alone = boxed(truth) * boxed(phase_ramp([torch.tensor([-r]) for r in window.ramp], grid)[0])
    modulus = Modulus(photons[None], measured[None], (BOX,) * 3, False)
    assert modulus.r_factor(alone[None] * modulus.scale_of(alone[None])) < 2e-3
    found, inside = window.enlarge(alone, alone.abs() > 0.5)
    torch.testing.assert_close(found, truth, atol=1e-5, rtol=1e-5)
    assert torch.equal(inside, level.abs() > 0.5)


def test_a_large_object_is_cropped_where_it_is_large():
    truth = ball((64, 64, 64), 6, (0.0, 2.3, -1.0), rows=2.2)  # 26 voxels long
    counts = counts_of(truth)
    window = plan_window(counts, SIZE, BOX)
    assert 24 <= window.crop[0] <= 40 and window.crop[1:] == (64, 64)
    photons, measured = window.shrink(counts, torch.ones((64,) * 3, dtype=torch.bool))
    spectrum = fourier.forward(truth[None], 3)
    kept = central_slices((64,) * 3, window.crop)
    kept = (..., *(slice(s.start + p, s.stop + p) for s, p in zip(kept, window.place, strict=True)))
    coarse = fourier.inverse(spectrum[kept], 3) * phase_ramp([torch.tensor([-r]) for r in window.ramp], window.crop)
    box = boxed(coarse[0])
    modulus = Modulus(photons[None], measured[None], (BOX,) * 3, False)
    assert modulus.r_factor(box[None] * modulus.scale_of(box[None])) < 0.1  # of what the cut in q smears beyond the box
    found, inside = window.enlarge(box, box.abs() > 0.5 * box.abs().max())
    assert found.shape == (64, 64, 64) and likeness(found, truth) > 0.93
    wrong = (inside != (truth.abs() > 0.5)).sum() / (truth.abs() > 0.5).sum()
    assert wrong < 0.25


def test_what_was_not_measured_stays_so():
    counts = counts_of(ball((64, 64, 64), 5))
    measured = torch.ones((64,) * 3, dtype=torch.bool)
    measured[28:37, 28:37, 28:37] = False
    window = plan_window(counts, SIZE, BOX)
    _, known = window.shrink(counts, measured)
    along = [(2 * torch.arange(-16, 16) + r).abs() for r in window.ramp]  # voxels of the measurement from its middle
    far = torch.stack(torch.meshgrid(*along, indexing="ij")).amax(0)
    assert not known[far < 4].any() and known[far > 5].all()


def test_gaps_are_filled_by_where_the_autocorrelation_ends():
    counts, radius = counts_of(ball((SIZE,) * 3, 4)), 1.5
    axes = torch.meshgrid(*[torch.arange(SIZE) - SIZE // 2] * 3, indexing="ij")
    measured = sum(axis**2 for axis in axes) > radius**2
    measured[::7, 3::5, ::3] = False
    seen = torch.where(measured, counts, 0)
    found = fill(seen, measured)
    assert torch.equal(found[measured], counts[measured]) and (found >= 0).all()
    wrong, flat = (float((one - counts).norm()) for one in (found, fill_gaps(seen[None], measured[None])[0]))
    assert wrong < 0.1 * flat
    assert torch.equal(fill(seen, torch.zeros_like(measured)), seen)


def test_the_global_phase_makes_no_difference_to_a_network_that_tells_supports():
    network = {
        "dimensions": 3,
        "real": False,
        "size": 16,
        "box_px": 8,
        "steps": 2,
        "start_iterations": 3,
        "corrects": False,
    }
    chosen = validate(unrolled.UnrolledSettings, {"network": {**network, "iterations": 2, "widths": [4, 6]}}, "test")
    module = unrolled.build(chosen.network)
    generator = torch.Generator().manual_seed(3)
    torch.nn.init.normal_(module.look.last.weight, std=0.3, generator=generator)
    counts = counts_of(ball((16,) * 3, 2.5))[None]
    start, turn = draw_start(module, 1, generator), torch.polar(torch.tensor(1.0), torch.tensor(0.7))
    measured = torch.ones_like(counts, dtype=torch.bool)
    (one, logits), (other, turned) = (module(counts, measured, begin) for begin in (start, start * turn))
    torch.testing.assert_close(one * turn, other, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(logits, turned, atol=1e-3, rtol=1e-3)


def test_a_corpus_as_large_as_the_box_gives_patterns_of_the_networks_size():
    network = {"dimensions": 3, "real": False, "size": SIZE, "box_px": BOX}
    chosen = validate(unrolled.UnrolledSettings, {"network": network, "symmetries": False}, "test")
    unrolled.check_corpus(Plan("crystal", {"size": BOX}, 0, 1, 1, 1), chosen)
    with pytest.raises(InputError, match="or objects alone in the box's 16 pixels"):
        unrolled.check_corpus(Plan("crystal", {"size": 24}, 0, 1, 1, 1), chosen)
    volume = boxed(ball((SIZE,) * 3, 5, (0.6, 0.0, -0.3)))
    arrays = {"object": volume[None], "intensity": volume[None].abs(), "measured": torch.ones(1, BOX, BOX, BOX)}
    batch = prepare(arrays, chosen, torch.Generator().manual_seed(0))
    assert batch["inputs"].shape == (1, SIZE, SIZE, SIZE) and batch["measured"].all()
    modulus = Modulus(batch["inputs"], batch["measured"], (BOX,) * 3, False)
    assert modulus.r_factor(batch["objects"] * batch["scale"]) < 1e-3
    assert likeness(batch["objects"][0].abs(), volume.abs()) > 0.999
