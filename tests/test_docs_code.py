"""The Python of the user guide works as printed: a corpus is read; a method and a scene are dropped in and used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cdipipe.cli.main import run
from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth
from cdipipe.metrics.align import align_to
from cdipipe.phasing.registry import METHODS, all_methods
from cdipipe.simulation.registry import SCENES

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "extending.md"


@pytest.fixture
def guide(monkeypatch, tmp_path):
    """The page's method and scene as another package brings them: a module of each, found by entry points."""
    method, scene = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]
    info = tmp_path / "guide-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guide\nVersion: 1.0\n")
    doors = "[cdipipe.methods]\ncalm = guide_calm:METHOD\n[cdipipe.scenes]\ndisc = guide_disc:SCENE\n"
    (info / "entry_points.txt").write_text(doors)
    (tmp_path / "guide_calm.py").write_text(method)
    (tmp_path / "guide_disc.py").write_text(scene)
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (METHODS, SCENES):
        registry.look_again()
    yield
    monkeypatch.undo()
    for registry in (METHODS, SCENES):
        registry.look_again()


def test_the_method_and_the_scene_of_the_guide_work(guide, tmp_path):
    files = {name: str(tmp_path / f"{name}.cxi") for name in "MTR"}
    scene = ["disc", "-o", files["M"], "--truth", files["T"], "--set=size=48", "--set=photons=0"]
    assert run(["simulate", *scene]) == 0
    calm = ["-m", "calm", "--set", "iterations=150", "--set", "calm=0.2", "--restarts", "4"]
    assert run(["reconstruct", files["M"], *calm, "-o", files["R"]]) == 0
    truth, found = read_truth(files["T"]).object, read_reconstruction(files["R"])
    laid = align_to(truth, found.object, scale=True).object
    assert abs(np.vdot(truth, laid)) / (np.linalg.norm(truth) * np.linalg.norm(laid)) > 0.9
    assert found.method == "calm" and read_measurement(files["M"]).provenance


def test_the_page_names_every_need(guide):
    needs = {need for method in all_methods().values() for need in method.needs}
    assert [need for need in sorted(needs) if f"`{need}`" not in PAGE.read_text()] == []


def test_the_corpus_of_the_guide_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("corpora").mkdir()
    assert run(["corpus", "polygons", "-o", "corpora/polygons", "--count=12", "--set=size=32"]) == 0
    code = re.findall(r"```python\n(.*?)```", (DOCS / "corpora.md").read_text(), re.DOTALL)
    seen: list[int] = []
    assert len(code) == 1 and "        ...  #" in code[0]
    exec(code[0].replace("        ...  #", "        seen.extend(batch['index'].tolist())  #"), {"seen": seen})
    assert sorted(seen) == sorted([*range(12)] * 10)


def test_all_python_of_the_guide_is_used_here():
    pages = {page.name: page.read_text().count("```python") for page in DOCS.glob("*.md")}
    assert {name: count for name, count in pages.items() if count} == {"corpora.md": 1, "extending.md": 2}
