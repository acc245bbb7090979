"""The unrolled network: its physics, its labels, a training that learns, and the method of its name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from steps import losses_of

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan
from cdipipe.methods.gps import GpsParameters
from cdipipe.networks import unrolled
from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from cdipipe.networks.unrolled.loss import draw_start, draw_support, lay_targets, loss, on_canvas
from cdipipe.networks.unrolled.model import inside_of, smooth
from cdipipe.networks.unrolled.physics import Modulus, Smoothing, half_autocorrelation
from cdipipe.networks.unrolled.predictor import UnrolledPredictor, from_starts
from cdipipe.networks.unrolled.settings import UnrolledParameters
from cdipipe.optics import fourier
from cdipipe.optics.grid import embed
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.batches import draw_batch
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"size": 32, "box_px": 12, "steps": 3, "start_iterations": 4, "iterations": 2, "widths": [4, 6]}
KINDS = {"real": (2, True), "complex": (2, False), "volume": (3, False)}


def settings(**more):
    network = {**SMALL, **more.pop("network", {})}
    return validate(unrolled.UnrolledSettings, {"network": network, **more}, "test")


def used(chosen, **given):
    return UnrolledParameters(**given).filled(chosen.network)


def arrays(count=4, **more):
    """Samples of pseudo-objects in 32 x 32, of at most 8 pixels unless said otherwise."""
    scene = get_scene("pseudo_objects")
    drawn = draw_batch(scene, scene.parameters(size=32, photons=1e5, **more), 7, range(count)).arrays
    return {name: torch.from_numpy(drawn[name]) for name in unrolled.NETWORK.arrays}


def objects(kind, count=3, box=12, seed=1):
    dimensions, real = KINDS[kind]
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(0.1, 1, (count, *(box,) * dimensions))
    drawn = drawn if real else drawn * np.exp(2j * np.pi * rng.uniform(size=drawn.shape))
    return torch.from_numpy(drawn.astype(np.float32 if real else np.complex64))


def pattern(boxes, size=32):
    """Centred noise-free patterns of boxes."""
    whole = np.stack([embed(box.astype(np.complex64), (size,) * box.ndim) for box in boxes.numpy()])
    return fourier.forward(torch.from_numpy(whole), whole.ndim - 1).abs().square()


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_object_is_what_its_modulus_says(kind):
    truth = objects(kind)
    counts = pattern(truth)
    modulus = Modulus(counts, torch.ones_like(counts, dtype=torch.bool), truth.shape[1:], KINDS[kind][1])
    torch.testing.assert_close(modulus.project(truth), truth, atol=1e-4, rtol=1e-4)
    assert modulus.r_factor(truth).max() < 1e-4
    torch.testing.assert_close(modulus.scale_of(truth / 3).flatten(), torch.full((3,), 3.0))


def test_of_real_objects_half_the_pattern_is_enough():
    truth = objects("real")
    counts = pattern(truth)
    measured = torch.ones_like(counts, dtype=torch.bool)
    measured[:, :, 17:] = False
    modulus = Modulus(counts, measured, (12, 12), real=True)
    assert modulus.known[:, 1:-1].all()  # the axes are in reverse
    torch.testing.assert_close(modulus.project(truth), truth, atol=1e-4, rtol=1e-4)
    wrong = Modulus(torch.where(measured, counts, 1e6), measured, (12, 12), real=True)
    assert torch.equal(wrong.modulus, modulus.modulus)


def gps(counts, start, inside, iterations, softness, width):
    """GPS on the whole grid as it is written, with y in real space; z and A^-1 z."""
    axes = tuple(range(1, counts.ndim))
    modulus = fourier.to_corner(counts, len(axes)).sqrt()
    low_pass = fourier.gaussian_corner(counts.shape[1:], tuple(width * n / 0.9**0.5 for n in counts.shape[1:]))

    def forward(x):
        return torch.fft.fftn(x, dim=axes, norm="ortho")

    def project(z):
        return modulus * z / z.abs().clamp(min=1e-20)

    whole, box = torch.zeros_like(counts, dtype=torch.complex64), (..., *(slice(n) for n in start.shape[1:]))
    whole[box] = start.to(torch.complex64)
    z, y = project(forward(whole)), torch.zeros_like(whole)
    for _ in range(iterations):
        h = z - forward(y)
        new = (project(h) + softness * h) / (1 + softness)
        residual = y + 0.9 * torch.fft.ifftn(2 * new - z, dim=axes, norm="ortho")
        allowed = residual[box] if start.is_complex() else residual[box].real.relu().to(torch.complex64)
        residual[box] = residual[box] - torch.where(inside, allowed, 0)
        z, y = new, torch.fft.ifftn(low_pass * forward(residual), dim=axes, norm="ortho")
    found = torch.fft.ifftn(z, dim=axes, norm="ortho")[box]
    return found if start.is_complex() else found.real


@pytest.mark.parametrize("kind", KINDS)
def test_its_iterations_are_those_of_gps(kind):
    truth, start = objects(kind), objects(kind, seed=2)
    counts, inside = pattern(truth), truth.abs() > 0.3
    modulus = Modulus(counts, torch.ones_like(counts, dtype=torch.bool), truth.shape[1:], KINDS[kind][1])
    start = start * modulus.scale_of(start)
    run = Smoothing(modulus, start)
    run.run(inside, 5, 0.1, 0.6)
    torch.testing.assert_close(run.objects(), gps(counts, start, inside, 5, 0.1, 0.6), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_network_is_gps(kind):
    dimensions, real = KINDS[kind]
    chosen = settings(network={"dimensions": dimensions, "real": real, "steps": 1}).network
    truth, start = objects(kind), objects(kind, seed=2)
    counts = pattern(truth)
    measured = torch.ones_like(counts, dtype=torch.bool)
    estimates, logits = unrolled.build(chosen)(counts, measured, start)
    assert estimates.shape == logits.shape == (1, *truth.shape) and estimates.is_complex() != real
    modulus = Modulus(counts, measured, truth.shape[1:], real)
    everywhere = torch.ones_like(start, dtype=torch.bool)
    schedule = [(0.01, 1.8), (0.01, 1.4), (0.1, 0.8), (1.0, 0.4)]
    expected = smooth(modulus, start * modulus.scale_of(start), everywhere, schedule)
    torch.testing.assert_close(estimates[0], expected, atol=1e-3, rtol=1e-3)


def test_further_steps_go_on_with_the_end_of_the_schedule():
    module = unrolled.build(settings(network={"start_iterations": 40, "iterations": 30, "steps": 3}).network)
    three, five = module.schedule(3), module.schedule(5)
    assert [len(part) for part in five] == [40, 30, 30, 30, 30] and five[:3] == three
    blocks = GpsParameters(iterations=100).blocks()
    expected = [block.values for block in blocks for _ in range(block.iterations)]
    assert [values for part in three for values in part] == expected
    assert three[0][0] == (0.01, 2.0) and set(five[3] + five[4]) == {three[2][-1]} == {(1.0, 0.2)}


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_laid_over_whatever_twin_shift_and_phase(kind):
    dimensions, real = KINDS[kind]
    axes = tuple(range(1, dimensions + 1))
    small = objects(kind, box=6)
    target = torch.nn.functional.pad(small, (3, 3) * dimensions)
    moved = torch.roll(target.flip(axes).conj().resolve_conj(), [2] + [-1] * (dimensions - 1), axes)
    moved = moved if real else moved * np.exp(0.7j)
    torch.testing.assert_close(lay_targets(target, moved), on_canvas(moved), atol=1e-5, rtol=1e-5)
    unrelated = lay_targets(target, objects(kind, seed=5))
    torch.testing.assert_close(unrelated.abs().sum(axes), target.abs().sum(axes))


@pytest.mark.parametrize("norm", ["rms", "l1", "l2"])
def test_a_few_steps_lower_the_loss(norm):
    chosen = settings(norm=norm)
    batch = unrolled.prepare(arrays(), chosen, torch.Generator().manual_seed(0))
    assert (batch["objects"].amax((1, 2)) == 1).all() and len(batch["start"]) == 4
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = unrolled.build(chosen.network)
    losses, terms = losses_of(module, loss, batch, chosen, torch.optim.Adam(module.parameters(), 1e-2), 25)
    assert terms == {"last", "psnr_db", "wrong_support"}
    assert losses[-1] < 0.9 * losses[0]


def test_some_samples_begin_near_the_true_support():
    boxes, generator = embedded(objects("real", count=40, box=6)), torch.Generator().manual_seed(0)
    true = boxes > 0
    told, spoilt = draw_support(boxes, 0.5, generator)
    assert 8 < told.sum() < 32
    wrong = (spoilt != true).float().mean((1, 2))
    assert wrong.min() < 0.03 and 0.08 < wrong.max() < 0.4
    assert not draw_support(boxes, 0.0, generator)[0].any() and torch.equal(boxes > 0, true)


def test_a_support_that_is_told_is_where_gps_begins():
    truth = embedded(objects("real", box=6))
    counts, inside = pattern(truth), truth > 0
    measured = torch.ones_like(counts, dtype=torch.bool)
    module = unrolled.build(settings(network={"start_iterations": 60}).network)
    found, _ = module(counts, measured, objects("real", seed=2), support=inside)
    lost, _ = module(counts, measured, objects("real", seed=2))
    errors = [(estimate[0] - truth).square().mean((1, 2)) for estimate in (found, lost)]
    assert errors[0].median() < 0.2 * errors[1].median()


def embedded(boxes, box=12):
    """Boxes in the middle of larger ones."""
    return torch.from_numpy(np.stack([embed(item, (box,) * item.ndim) for item in boxes.numpy()]))


def test_objects_beyond_the_box_are_refused():
    with pytest.raises(InputError, match=r"reach beyond a box of 12 pixels; raise network\.box_px"):
        unrolled.prepare(arrays(object_size=24), settings(), torch.Generator())


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("pseudo_objects", {"size": 64}, "size 64 in 2 dimensions; expected 2 dimensions and size 32"),
        ("crystal", {"size": 32}, "in 3 dimensions; expected 2"),
        ("pseudo_objects", {"size": 32, "phase_range_rad": 1.5}, r"phases over 1.5 rad; take network.real=false"),
        ("polygons", {"size": 32}, r"objects of scene polygons are complex; take network.real=false"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused(kind, parameters, message):
    with pytest.raises(InputError, match=message):
        unrolled.check_corpus(Plan(kind, parameters, 0, 10, 1, 10), settings())
    unrolled.check_corpus(Plan("pseudo_objects", {"size": 32, "phase_range_rad": 0.0}, 0, 10, 1, 10), settings())


def test_impossible_sizes_are_named():
    with pytest.raises(InputError, match="box_px 64 is larger than the pattern"):
        settings(network={"box_px": 64})
    with pytest.raises(InputError, match="box_px 18 cannot be halved 2 times, as widths ask"):
        settings(network={"box_px": 18, "widths": [4, 4, 4]})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = unrolled.build(settings().network)
        torch.nn.init.normal_(module.look.last.weight, 0, 0.1)
        torch.nn.init.ones_(module.look.last.bias[1:])
        weights = module.state_dict()
    path = tmp_path_factory.mktemp("unrolled") / "net.pt"
    write_checkpoint(path, Checkpoint(unrolled.NETWORK, settings(), weights))
    return path


def shots(count=3, size=32):
    scene = get_scene("pseudo_objects")
    mask = {"mask": {"dead_share": 0.05}}
    return simulate(scene, scene.parameters(size=size, count=count, photons=1e5, detector=mask))[0]


def phase(measurement, checkpoint, **more):
    mapping = {"method": "unrolled", **({"checkpoint": str(checkpoint)} if checkpoint else {}), **more}
    return reconstruct(measurement, recipe_from_mapping(mapping))


def test_of_several_starts_the_best_stays(checkpoint):
    measurement = shots()
    measured = np.broadcast_to(measurement.measured, measurement.intensity.shape).copy()
    counts, measured, module = (
        torch.from_numpy(measurement.intensity),
        torch.from_numpy(measured),
        read_checkpoint(checkpoint).build(),
    )
    modulus = Modulus(counts, measured, (12, 12), real=True)
    how = {"screen_steps": 3, "step_count": 3, "finish": 0}
    objects_of = [from_starts(module, counts, measured, used(settings(), starts=n, **how))[0] for n in (1, 4)]
    one, four = (modulus.r_factor(found) for found in objects_of)
    assert (four <= one).all() and four.mean() < one.mean()
    whole, _ = module(counts, measured, draw_start(module, 1, torch.Generator().manual_seed(0)).expand(3, -1, -1))
    torch.testing.assert_close(objects_of[0], whole[-1])
    first, second = (phase(measurement, checkpoint, starts=1, start_seed=seed).object for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_masked_pixels_and_neighbours_in_a_stack_are_not_seen(checkpoint):
    measurement = shots()
    spoilt = measurement.intensity.copy()
    spoilt[~np.broadcast_to(measurement.measured, spoilt.shape)] = 1e7
    whole = phase(measurement, checkpoint).object
    np.testing.assert_array_equal(whole, phase(replace(measurement, intensity=spoilt), checkpoint).object)
    np.testing.assert_allclose(whole[1], phase(measurement.pattern(1), checkpoint).object, atol=1e-3 * whole.max())


def test_more_steps_than_in_the_training(checkpoint):
    measurement = shots(1)
    counts, measured = (torch.from_numpy(a.reshape(1, 32, 32)) for a in (measurement.intensity, measurement.measured))
    module = read_checkpoint(checkpoint).build()
    estimates, _ = module(counts, measured, objects("real", count=1), steps=5)
    assert torch.equal(estimates[:3], module(counts, measured, objects("real", count=1))[0])
    found = phase(measurement, checkpoint, step_count=5, starts=1).object
    assert np.isfinite(found).all() and not np.array_equal(found, phase(measurement, checkpoint, starts=1).object)


def test_a_network_that_finds_no_support_leaves_the_box():
    module = unrolled.build(settings().network).eval()  # fresh: nothing is inside
    counts = pattern(objects("real"))
    found, inside = from_starts(module, counts, torch.ones_like(counts, dtype=torch.bool), used(settings(), starts=1))
    assert inside.all() and found.flatten(1).any(1).all()
    logits = torch.tensor([[-1.0, -1.2, -5.0], [-2.0, -3.0, -5.0]])
    assert inside_of(logits).tolist() == [[True, False, False], [True] * 3]  # at least a chance of a quarter


def test_it_starts_other_methods(checkpoint):
    steps = [{"unrolled": {"checkpoint": str(checkpoint)}}, {"er": {"iterations": 20}}]
    result = reconstruct(shots(1), recipe_from_mapping({"steps": steps}))
    assert result.method == "unrolled+er"


def test_what_does_not_fit_is_said_in_one_line(checkpoint):
    with pytest.raises(InputError, match=r"unrolled: patterns of 64 x 64; the network of .* takes 32 x 32; crop them"):
        phase(shots(size=64), checkpoint)
    with pytest.raises(
        InputError, match=r"patterns of 32 x 32; the network of the package takes 128 x 128; .* --checkpoint"
    ):
        phase(shots(), None)
    with pytest.raises(InputError, match="no weights for real objects in 3 dimensions come with the package"):
        unrolled.weights_of("real", 3)


def test_weights_are_chosen_by_objects_and_dimensions(tmp_path, monkeypatch):
    assert unrolled.weights_of("auto", 2) == unrolled.weights_of("real", 2) == unrolled.NETWORK.weights
    (tmp_path / "third.pt").write_bytes(b"")
    monkeypatch.setitem(unrolled.WEIGHTS, (3, "complex"), tmp_path / "third.pt")
    assert unrolled.weights_of("auto", 3) == unrolled.weights_of("complex", 3) == tmp_path / "third.pt"


def test_half_the_autocorrelation_holds_the_object():
    scene = get_scene("polygons")
    stop = {"mask": {"beamstop_px": 2}}
    for photons, detector in ((1e4, {}), (1e6, {}), (1e5, stop)):
        made = scene.parameters(size=64, object_size=20, count=6, photons=photons, detector=detector)
        measurement, truth = simulate(scene, made, seed=3)
        counts = torch.from_numpy(measurement.intensity)
        seen = torch.from_numpy(np.broadcast_to(measurement.measured, counts.shape).copy())
        inside = half_autocorrelation(counts, seen, (32, 32))
        true = torch.from_numpy(truth.object)[:, 16:48, 16:48].abs() > 0.02 * np.abs(truth.object).max()
        missed = torch.stack([true.roll((y, x), (1, 2)) & ~inside for y in range(-3, 4) for x in range(-3, 4)])
        assert (missed.flatten(2).sum(2) / true.flatten(1).sum(1)).amin(0).max() < 0.06
        assert inside.float().mean() < 0.8 if not detector else inside.any()


def test_a_schedule_of_use_takes_the_place_of_that_of_the_training():
    chosen = settings(network={"start_iterations": 40, "iterations": 30, "steps": 3})
    module = unrolled.build(chosen.network)
    checkpoint = Checkpoint(unrolled.NETWORK, chosen, module.state_dict())
    looked = UnrolledPredictor(checkpoint, UnrolledParameters(schedule=(7, 20, 12)), "cpu").module
    assert [len(turn) for turn in looked.schedule(8)] == [20, *[12] * 7]
    assert looked.schedule(7)[-1][-1] == module.schedule(3)[-1][-1] != looked.schedule(7)[2][-1]
    with pytest.raises(ValueError, match="1 to 200 looks"):
        UnrolledParameters(schedule=(0, 20, 12))
