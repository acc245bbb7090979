"""Pictures for denoisers: every kind comes, within 0 and 1, reproducible; what cannot be read is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cdipipe.errors import InputError
from cdipipe.settings import validate
from cdipipe.simulation.registry import get_scene
from cdipipe.simulation.scenes import pictures
from cdipipe.simulation.sources.leaves import dead_leaves

SCENE = get_scene("pictures")


def draw(seed, **settings):
    parameters = validate(SCENE.parameters, {"size": 32, "images": "textures", **settings}, "pictures")
    return SCENE.build(parameters, np.random.default_rng(seed))


def test_a_picture_fills_its_array_from_0_to_1():
    for seed in range(12):
        sample = draw(seed)
        values = sample.object.real
        assert values.shape == (32, 32) and sample.support.all() and not sample.object.imag.any()
        assert values.max() == 1 and values.min() >= 0 and values.std() > 0.01
        assert np.array_equal(draw(seed).object, sample.object)


def test_every_kind_is_drawn(monkeypatch, tmp_path):
    made = []
    for name in ("_mosaic", "_crop", "_made"):
        original = getattr(pictures, name)
        monkeypatch.setattr(pictures, name, lambda *a, name=name, f=original: (made.append(name), f(*a))[1])
    photograph = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 140), np.uint8)).save(photograph)
    for seed in range(40):
        draw(seed, photographs=[str(photograph)])
    shares = {name: made.count(name) / 40 for name in ("_mosaic", "_crop", "_made")}
    assert shares["_mosaic"] > 0.4 and shares["_crop"] > 0.08 and 0.4 < sum(shares.values()) < 1


def test_pictures_that_cannot_be_read(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(small)
    for name, said in (("none.png", "no such picture"), ("text.png", "cannot be read"), ("small.png", "at least 32")):
        with pytest.raises(InputError, match=said):
            for seed in range(40):
                draw(seed, photographs=[str(tmp_path / name)])
    with pytest.raises(InputError, match="an even number is needed"):
        draw(0, size=33)


def test_leaves_have_edges_and_are_never_negative():
    image = dead_leaves(32, np.random.default_rng(3))
    assert image.shape == (32, 32) and image.min() >= 0 and image.std() > 0.05
    assert np.abs(np.diff(image)).max() > 5 * np.abs(np.diff(image)).mean()
