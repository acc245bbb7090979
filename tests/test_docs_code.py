"""The Python of the user guide works as printed: a corpus is read; what is added is what the example package adds."""

from __future__ import annotations

import re
from pathlib import Path

from cdipipe.cli.main import run
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
    assert len(doors) >= 5 and shown.strip() == "".join(doors).strip()


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


def test_all_python_of_the_guide_is_used_here():
    pages = {page.name: page.read_text().count("```python") for page in DOCS.glob("*.md")}
    assert {name: count for name, count in pages.items() if count} == {"corpora.md": 1, "extending.md": 7}
