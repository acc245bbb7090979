"""The Python of the user guide works as printed: a corpus is read; what is added is what the example package adds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from cdipipe.cli.main import run
from cdipipe.geometry import Geometry
from cdipipe.io.cxi import read_reconstruction, read_truth
from cdipipe.live.monitor import Results
from cdipipe.live.writer import Writer
from cdipipe.metrics.align import align_to
from cdipipe.phasing.registry import all_methods

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "extending.md"
EXAMPLE = DOCS.parent / "examples/plugin/cdipipe_example"


def test_the_page_shows_the_files_of_the_example_package():
    """tests/workflow/test_example_plugin.py installs and runs them."""
    shown = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    files = [file.read_text() for file in sorted(EXAMPLE.rglob("*.py"))]
    assert sorted(shown) == sorted(text for text in files if "See ``docs/extending.md``" not in text)


def test_the_page_shows_the_doors_of_the_example_package():
    doors = re.findall(r"^\[project\.entry-points.*?\n\n", (EXAMPLE.parent / "pyproject.toml").read_text(), re.M | re.S)
    shown = re.search(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert len(doors) >= 6 and shown.strip() == "".join(doors).strip()


def test_the_page_names_every_need():
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


def test_ten_minutes_lead_from_a_wrong_picture_to_a_right_one(tmp_path, monkeypatch, cli):
    """The page's commands as printed: what they print, the verdicts, and the numbers of its table."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "ten_minutes.md").read_text()
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    commands = [line.split() for line in re.findall(r"^    cdipipe (.*)", page, re.MULTILINE)]
    printed = [cli(*command) for command in commands]
    assert [done.code for done in printed] == [0] * len(commands)
    said = " ".join(" ".join(done.out + done.err for done in printed).split())
    told = [" ".join(text.split()) for text in re.findall(r"```text\n(.*?)```", page, re.DOTALL)]
    assert len(told) == 2 and told[0] in said
    reasons = re.split(r"(?=verdict)|(?=R-factor)|(?=the better)|(?=look at)|(?=the object)", _words(told[1]))
    assert len([one for one in reasons if one.strip() and one.strip() in _words(said)]) >= 4
    found = [json.loads(Path(name).read_text()) for name in ("wrong.json", "right.json")]
    assert [numbers["verdict"] for numbers in found] == ["bad", "plausible"]
    truth = read_truth("raw_truth.cxi").object
    agreement = [_agreement(truth, read_reconstruction(name).object) for name in ("wrong.cxi", "right.cxi")]
    measured = [[numbers[name] for numbers in found] for name in ("r_factor", "r_factor_free", "repeatability")]
    shown = re.findall(r"^\|.*\| (0\.\d+) \| (0\.\d+) \|$", page, re.MULTILINE)
    wrong, right = zip(*measured, agreement, strict=True)
    np.testing.assert_allclose(np.array([float(row[1]) for row in shown]), right, atol=0.02)
    assert len(shown) == 4 and wrong[1] > 1.5 * wrong[0] and wrong[2] < 0.9 and wrong[3] < 0.5


def _words(text):
    """A text without its numbers: a wrong result is another one on another processor."""
    return re.sub(r"\d+(\.\d+)?", "#", text)


def _agreement(truth, found):
    laid = align_to(truth, found, scale=True).object
    return abs(np.vdot(truth, laid)) / (np.linalg.norm(truth) * np.linalg.norm(laid))


def test_results_of_a_live_run_are_read_while_they_grow(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", (DOCS / "live.md").read_text(), re.DOTALL)[0]
    writer = Writer(Path("run7.cxi"), (4, 4), Geometry(), "cdi_nn", {}, {}, print, bool)
    count, plane = np.arange(70), np.ones((70, 4, 4), np.complex64)
    writer.append(Results(*(count,) * 6, count > 0, plane.real, plane != 0, plane, plane != 0))
    exec(code.replace("range(60)", "range(2)").replace("sleep(1)", "sleep(0)"), {})
    assert capsys.readouterr().out == "70 so far\n" * 2
    writer.abandon()


def test_all_python_of_the_guide_is_used_here():
    pages = {page.name: page.read_text().count("```python") for page in DOCS.glob("*.md")}
    assert {name: count for name, count in pages.items() if count} == {
        "corpora.md": 1,
        "extending.md": 9,
        "live.md": 1,
        "ten_minutes.md": 1,
    }
