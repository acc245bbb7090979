"""The page of a study: stacks can be stepped through, and the page stays small and whole."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cdipipe.cli.main import run
from cdipipe.figures.frames import SIDES_PX, stack_frames
from cdipipe.measurement import Reconstruction
from cdipipe.study import report
from cdipipe.study.config import load_config
from cdipipe.study.embedded import picture_of
from cdipipe.study.report import write_html

STUDY = {
    "output": "out",
    "measurements": {
        "shots": {"scene": "polygons", "set": {"size": 32, "count": 3}},
        "volume": {"scene": "polygons", "set": {"size": 32, "dimensions": 3}, "uncertainty": False},
        "one": {"scene": "polygons", "set": {"size": 32}, "uncertainty": False},
    },
    "methods": {"er": {"method": "er", "iterations": 3}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished study of three shots, a volume and a single pattern; the pictures that others draw are blank."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    blank = Image.new("L", (60, 60))
    for name, entry in STUDY["measurements"].items():
        (folder / f"out/{name}/er").mkdir(parents=True)
        place, settings = folder / "out" / name, [f"--set={key}={value}" for key, value in entry["set"].items()]
        for words in (
            ["simulate", "polygons", "-o", f"{place}/M.cxi", "--truth", f"{place}/T.cxi", *settings],
            ["reconstruct", f"{place}/M.cxi", "-m", "er", "--set=iterations=3", "-o", f"{place}/er/R.cxi"],
            ["evaluate", f"{place}/er/R.cxi", f"--measurement={place}/M.cxi", "-o", f"{place}/er/metrics.json"],
        ):
            assert run(words) == 0, words
        for picture in ("pattern.png", "er/object.png", "er/diagnostics.png"):
            blank.save(place / picture)
    blank.save(folder / "out/metrics.png")
    return folder


@pytest.fixture
def study(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return load_config(Path("study.yaml")), Path("study.yaml")


def test_stacks_have_a_slider_with_a_picture_for_each_step(study):
    page = write_html(*study)
    figures = re.findall(r'<figure class="steps">(.*?)</figure>', page, re.DOTALL)
    assert len(figures) == 2
    for figure, first in zip(figures, ("pattern 1 of 3", "plane z = +0 px"), strict=True):
        pictures = re.findall(r'<img src="data:image/webp;base64,([^"]+)" alt="([^"]+)"[^>]*?( hidden)?>', figure)
        assert [alt for _, alt, hidden in pictures if not hidden] == [f"amplitude, phase and support: {first}"]
        assert f'max="{len(pictures) - 1}"' in figure and f"<output>{first}</output>" in figure
        assert "<code>" in figure and len({content for content, *_ in pictures}) > len(pictures) // 2
    assert "pattern 3 of 3" in figures[0] and "pattern 4" not in figures[0]


def test_a_page_of_many_shows_frames_of_the_best_and_says_where_the_others_are(study, monkeypatch):
    monkeypatch.setattr(report, "MANY", 2)  # of three reconstructions; each is the best of its measurement
    assert write_html(*study).count('<figure class="steps">') == 2
    monkeypatch.setattr(report, "best_of", lambda results: dict(results[0]))
    page = write_html(*study)
    assert '<figure class="steps">' not in page
    assert page.count("cdipipe view out/shots/er/R.cxi -o view.html") == 1 and "view out/one/er" not in page


def test_the_pictures_are_small_and_in_the_page(study):
    page = write_html(*study)
    for content in re.findall(r'src="data:image/webp;base64,([^"]+)"', page):
        raw = base64.b64decode(content)
        with Image.open(io.BytesIO(raw)) as picture:
            assert picture.size[1] <= SIDES_PX[1] + SIDES_PX[0]
        assert len(raw) < 30_000
    assert 'src="http' not in page and "<link" not in page


def test_a_wide_picture_keeps_the_size_that_it_was_drawn_for_and_is_scrolled(study):
    wide = Path("out/metrics.png")
    narrow = wide.read_bytes()
    try:
        Image.new("L", (2750, 60)).save(wide, dpi=(110, 110))
        shown = re.findall(r'<div class="scroll"><img class="wide" width="(\d+)"', write_html(*study))
    finally:
        wide.write_bytes(narrow)
    assert shown == ["2400"]
    assert '<img class="wide"' not in write_html(*study)


def test_the_answers_show_pictures_that_are_in_the_page_once(study):
    page = write_html(*study)
    shown = re.findall(r'data-same="([^"]+)"', page)
    assert set(shown) == {name for m in STUDY["measurements"] for name in (f"{m}--pattern", f"{m}--er--object")}
    assert all(page.count(f'<figure id="{name}">\n  <img src="data:') == 1 for name in shown)


def test_pictures_and_movies_lose_nothing_in_the_page(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (2, 30, 40, 3), dtype=np.uint8)
    colours[..., 1:] = 0  # few enough for a palette
    frames = [Image.fromarray(frame) for frame in colours]
    frames[0].save(tmp_path / "one.png", dpi=(110, 110))
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:], duration=80, comment=b"cdipipe plot")
    for name, count in (("one.png", 1), ("two.gif", 2)):
        picture = picture_of(tmp_path / name, "what it shows")
        with Image.open(io.BytesIO(base64.b64decode(picture["url"].partition(",")[2]))) as packed:
            assert packed.format == "WEBP" and packed.n_frames == count
            for number in range(count):
                packed.seek(number)
                assert np.array_equal(np.asarray(packed.convert("RGB")), colours[number])
            assert count == 1 or (packed.info["duration"] == 80 and picture["command"] == "cdipipe plot")


def test_a_drawing_is_smaller_and_looks_the_same(tmp_path):
    rng, path = np.random.default_rng(1), tmp_path / "lines.png"
    colours = np.clip(255 - 255 * np.exp(-rng.uniform(0, 8, (60, 80, 3))), 0, 255).astype(np.uint8)
    Image.fromarray(colours).save(path)
    exact, drawing = (picture_of(path, "", is_drawing=rounded)["url"] for rounded in (False, True))
    with Image.open(io.BytesIO(base64.b64decode(drawing.partition(",")[2]))) as packed:
        off = np.abs(np.asarray(packed.convert("RGB")).astype(int) - colours)
    assert 0 < off.max() <= 4 and len(drawing) < 0.9 * len(exact)
    assert off[(colours == 0) | (colours == 255)].max() == 0  # black and white stay so


def test_the_page_begins_with_answers_and_folds_commands_away(study):
    page = write_html(*study)
    assert page.index('id="answers"') < page.index('id="summary-of-all"') < page.index('<table id="summary">')
    cards = re.findall(r"<article><h3><a href=\"#(\w+)\">", page)
    assert sorted(cards) == sorted(STUDY["measurements"]) and page.count('alt="best result of ') == 3
    assert re.search(r"er\. R-factor 0\.\d+, counting noise alone", page)
    commands = re.findall(r"<figcaption>(?:(?!</figcaption>).)*", page, re.DOTALL)
    assert all("<code>" not in caption.split("<details")[0] for caption in commands)


def test_a_tiny_study_says_that_its_numbers_mean_nothing_and_a_study_what_it_is(study, tmp_path):
    config, source = study
    about = tmp_path / "study.yaml"
    about.write_text("# yaml-language-server: x\n# A question,\n# and more.\n" + source.read_text())
    page = write_html(config.model_copy(update={"scale": "tiny"}), about)
    assert "Scale tiny" in page and "<p>A question, and more.</p>" in page
    assert "Scale tiny" not in write_html(config, source)


def stack_of(kind: str, count: int, size: int = 20) -> Reconstruction:
    """Squares whose amplitude, and phase where it is of shots, grow with their number."""
    objects = np.zeros((count, size, size), np.complex64)
    objects[:, 5:-5, 5:-5] = (1 + np.arange(count))[:, None, None] * np.exp(1j * np.arange(count))[:, None, None]
    return Reconstruction(objects, objects != 0, kind)


def test_frames_are_few_and_evenly_chosen():
    frames = stack_frames(stack_of("movie", 101), most=5)
    assert frames.labels == [f"frame {number} of 101" for number in (1, 26, 51, 76, 101)] and frames.first == 0
    assert len({picture.shape for picture in frames.pictures}) == 1
    assert SIDES_PX[0] <= len(frames.pictures[0]) <= SIDES_PX[1]
    assert len(stack_frames(stack_of("shots", 3, 600), most=24).pictures[0]) == SIDES_PX[1]
    assert stack_frames(Reconstruction(np.ones((8, 8), np.complex64), np.ones((8, 8), bool))) is None


def test_shots_have_a_scale_and_phase_of_their_own_and_frames_share_them():
    shots, movie = (stack_frames(stack_of(kind, 3)).pictures for kind in ("shots", "movie"))
    np.testing.assert_allclose(shots[0].astype(int), shots[2], atol=1)
    middle = len(movie[0]) // 2, movie[0].shape[1] // 6
    assert movie[0][middle].max() < 0.5 * movie[2][middle].max()  # a third as bright


def test_planes_of_a_volume_count_from_its_centre():
    frames = stack_frames(stack_of("volume", 9))
    assert frames.labels[frames.first] == "plane z = +0 px" and frames.labels[0] == "plane z = -4 px"
