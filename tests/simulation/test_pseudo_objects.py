import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_truth
from cdipipe.provenance import file_sha256
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene
from cdipipe.simulation.scenes import pseudo_objects
from cdipipe.simulation.sources import glyphs, images, textures

SCENE = get_scene("pseudo_objects")


def parameters(**settings):
    return validate(SCENE.parameters, settings, SCENE.name)


def draw(seed=0, **settings):
    return SCENE.build(parameters(**settings), np.random.default_rng(seed))


def extent(support):
    return max(int(np.ptp(index)) + 1 for index in np.nonzero(support))


def slope(stack):
    """Exponent of the power spectrum between 2 and 15 cycles per image."""
    side = stack.shape[1]
    window = np.hanning(side)[:, None] * np.hanning(side)
    flat = stack - stack.mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(flat * window)) ** 2).mean(0)
    radius = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(side) * side]))
    rings = np.arange(2, side // 2)
    means = [power[np.abs(radius - ring) < 0.5].mean() for ring in rings]
    return np.polyfit(np.log(rings), np.log(means), 1)[0]


def test_objects_are_real_inside_the_box_and_fill_as_dpr_says():
    samples = [draw(seed) for seed in range(60)]
    for sample in samples:
        assert sample.object.shape == (512, 512) and not sample.object.imag.any() and sample.object.real.min() == 0
        assert (sample.object[~sample.support] == 0).all() and sample.object.real.max() <= 1
        assert all(index.min() >= 224 and index.max() < 288 for index in np.nonzero(sample.support))
    oversampling = 512 / np.array([extent(sample.support) for sample in samples])
    assert 12 < np.median(oversampling) < 22 and oversampling.min() > 8


@pytest.mark.parametrize(("size", "object_size"), [(64, 16), (128, 41), (64, 64)])
def test_a_given_object_size_is_the_largest_extent(size, object_size):
    for seed in range(25):
        support = draw(seed, size=size, object_size=object_size).support
        assert extent(support) in (object_size - 1, object_size)
        for index in np.nonzero(support):
            assert abs((index.min() + index.max()) / 2 - size // 2) <= 1.5


def test_phase_spans_its_range_and_leaves_the_amplitude():
    plain = draw(3, size=128)
    for span in (0.5, 3.0, 6.2):
        sample = draw(3, size=128, phase_range_rad=span)
        np.testing.assert_allclose(np.abs(sample.object), plain.object.real, atol=1e-12)
        lit = sample.support & (np.abs(sample.object) > 0)
        assert np.ptp(np.angle(sample.object[lit])) == pytest.approx(span, rel=0.1)


def test_dilation_turning_and_scale_of_one_character():
    """A bar of known size through the steps of the paper's code."""
    bar = np.zeros((28, 28), np.uint8)
    bar[8:20, 13:15] = 255
    bar[4, 4] = 25  # below 0.1 * 255: gone
    areas, lengths = [], []
    for seed in range(400):
        shape = pseudo_objects.draw_shape(bar, 64, np.random.default_rng(seed))
        areas.append(shape.sum())
        lengths.append(np.hypot(*[np.ptp(index) + 1 for index in np.nonzero(shape)]))
    thin, thick = (12 + 2) * (2 + 2), (12 + 6) * (2 + 6)
    assert 0.8**2 * thin * 0.9 < min(areas) < 0.8**2 * thin * 1.3
    assert 1.5**2 * thick * 0.75 < max(areas) < 1.5**2 * thick * 1.1


def test_photons_spread_between_two_values():
    measurement, truth = simulate(SCENE, parameters(size=64, photons=1e6, photons_max=1e7, count=30), 1)
    totals = measurement.intensity.sum((1, 2), dtype=float)
    assert totals.min() < 3e6 and totals.max() > 8e6 and totals.min() > 0.99e6 and totals.max() < 1.01e7
    np.testing.assert_allclose(np.sum(np.abs(truth.object) ** 2, axis=(1, 2), dtype=float), totals, rtol=5e-3)


def test_sample_i_does_not_depend_on_count_and_splits_differ():
    few, many = (simulate(SCENE, parameters(size=64, count=count), 5)[1].object for count in (2, 4))
    np.testing.assert_array_equal(few, many[:2])
    train, test = (draw(1, size=64, split=split) for split in ("train", "test"))
    assert (train.object != test.object).any()


def test_glyphs_are_drawn_as_emnist_is(data_dir):
    """Offline shapes against 4000 scanned characters: share of ink, and extent."""
    scanned = np.load(data_dir / "glyphs_small" / "glyphs_4000.npz")["images"] > 25
    numbers = np.random.default_rng(0).integers(glyphs.COUNT, size=500)
    made = np.stack([glyphs.make_glyph(int(number)) for number in numbers])
    assert made.dtype == np.uint8 and made.shape[1:] == (28, 28)
    ink = (made > 25).mean()
    assert abs(ink - scanned.mean()) < 0.06
    tall = [np.ptp(np.nonzero(image.any(1))) + 1 for image in made > 25]
    assert abs(np.mean(tall) - np.mean([np.ptp(np.nonzero(image.any(1))) + 1 for image in scanned])) < 3


def test_textures_have_the_statistics_of_photographs(data_dir):
    """Offline densities against CIFAR: mean, contrast, their scatter, and the slope of the spectrum."""
    photographs = np.load(data_dir / "cifar_gray" / "cifar10_test_gray_first4000.npz")["images"][:1000].astype(float)
    made = np.stack([textures.make_texture(number) for number in range(600)]).astype(float)
    for values in (lambda x: x.mean((1, 2)).mean(), lambda x: x.std((1, 2)).mean()):
        assert values(made) == pytest.approx(values(photographs), rel=0.08)
    assert made.mean((1, 2)).std() == pytest.approx(photographs.mean((1, 2)).std(), rel=0.15)
    assert slope(made) == pytest.approx(slope(photographs), abs=0.35)


def test_arrays_of_the_user(tmp_path, cli):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "shapes.npz", letters=np.pad(np.ones((9, 12, 6)), ((0, 0), (8, 8), (11, 11))), other=np.ones(3))
    np.save(tmp_path / "densities.npy", rng.random((5, 20, 30)))
    settings = ("size=96", "count=3", f"shapes.npz={tmp_path}/shapes.npz", f"densities.npz={tmp_path}/densities.npy")
    arguments = [word for setting in settings for word in ("--set", setting)]
    out = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi")
    assert cli("simulate", "pseudo_objects", *out, *arguments).code == 0
    truth = read_truth(tmp_path / "t.cxi")
    assert truth.object.shape == (3, 96, 96)
    assert "shapes.npz" in str(truth.provenance) and file_sha256(tmp_path / "shapes.npz") in str(truth.provenance)
    complaint = cli("simulate", "pseudo_objects", *out, *arguments, "--set", "shapes.key=digits").complaint
    assert "no array 'digits'; there is letters, other" in complaint


def test_shapes_and_densities_at_hand(data_dir):
    settings = {
        "shapes": {"npz": str(data_dir / "glyphs_small" / "glyphs_4000.npz"), "key": "images"},
        "densities": {"npz": str(data_dir / "cifar_gray" / "cifar10_test_gray_first4000.npz"), "key": "images"},
    }
    samples = [draw(seed, **settings) for seed in range(40)]
    assert 20 < np.median([extent(sample.support) for sample in samples]) < 45
    assert len({sample.object.tobytes() for sample in samples}) == 40


def write_bad(path, kind):
    if kind == "text":
        path.write_text("no arrays")
    elif kind == "pickle":
        np.savez(path, images=np.array([{"a": 1}], dtype=object))
    elif kind == "negative":
        np.savez(path, images=-np.ones((3, 28, 28)))
    elif kind == "flat":
        np.savez(path, images=np.ones(28))
    elif kind == "dark":
        np.savez(path, images=np.zeros((3, 28, 28), np.uint8))
    elif kind == "two":
        np.savez(path, a=np.ones((3, 28, 28)), b=np.ones((3, 28, 28)))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "no such file"),
        ("text", "cannot be read"),
        ("pickle", "cannot be read"),
        ("negative", "at least 0"),
        ("flat", r"\(N, H, W\)"),
        ("dark", "hold no shape"),
        ("two", "which array"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path, kind, word):
    path = tmp_path / "bad.npz"
    write_bad(path, kind)
    with pytest.raises(InputError, match=word) as caught:
        draw(size=64, shapes={"npz": str(path)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"object_size": 600}, "larger than the array"),
        ({"photons": -1}, "photons"),
        ({"photons_max": 1e3}, "photons_max"),
        ({"phase_range_rad": 7}, "phase_range_rad"),
        ({"shapes": "mnist"}, "shapes"),
        ({"densities": {"npz": "a", "kee": "b"}}, "densities"),
        ({"detector": {"coherence_px": 0}}, "coherence_px"),
        ({"split": "valid"}, "split"),
    ],
)
def test_impossible_parameters_are_named(settings, word):
    with pytest.raises(InputError, match=word) as caught:
        parameters(**settings)
    assert "\n" not in str(caught.value)


def test_splits_of_arrays():
    bank = {split: images.of_array("a", np.arange(70).reshape(70, 1, 1), split) for split in ("train", "test", "all")}
    drawn = {split: {int(b.get(i)[0, 0]) for i in range(b.length)} for split, b in bank.items()}
    assert drawn["train"] | drawn["test"] == drawn["all"] == set(range(70)) and not drawn["train"] & drawn["test"]
    assert bank["test"].length == 10


def test_a_corpus_notices_that_the_images_behind_it_changed(cli, tmp_path):
    images = tmp_path / "images.npz"
    rng = np.random.default_rng(1)
    letters = np.zeros((4, 28, 28), np.uint8)
    letters[:, 6:22, 8:20] = 255
    np.savez(images, shapes=letters, densities=rng.integers(0, 255, (4, 32, 32), np.uint8))
    sources = [f"shapes.npz={images}", "shapes.key=shapes", f"densities.npz={images}", "densities.key=densities"]
    options = [word for setting in ["size=64", *sources] for word in ("--set", setting)]
    command = ("corpus", "pseudo_objects", "-o", tmp_path / "C", "--count", 2, *options)
    assert cli(*command).code == 0 and cli(*command).code == 0
    np.savez(images, shapes=letters, densities=rng.integers(0, 255, (4, 32, 32), np.uint8))
    assert "other settings" in cli(*command).complaint
