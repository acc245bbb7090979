"""The user guide holds: links lead somewhere, commands and options exist, configurations are valid."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer

from cdipipe.networks.registry import all_networks
from cdipipe.phasing.registry import all_methods
from cdipipe.settings import load_yaml
from cdipipe.simulation.registry import all_scenes
from cdipipe.study.config import check_config
from cdipipe.study.tree import Config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
REFERENCE = runpy.run_path(str(ROOT / "tools/site/reference.py"))["PAGES"]
COMMAND = re.compile(r"(?:^ {4}|`)(cdipipe [a-z][^`\n]*)", re.MULTILINE)
ADDED = {"output": "x", "measurements": {"m": {"scene": "polygons"}}, "methods": {"hio": {"method": "hio"}}}


@pytest.fixture(scope="module")
def commands() -> dict[str, set[str]]:
    """Every command and its options."""
    from cdipipe.cli.main import _register_commands, app

    _register_commands([])
    group = typer.main.get_command(app)
    return {name: {o for p in c.params for o in p.opts} for name, c in group.commands.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or target in REFERENCE or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page, commands):
    for line in COMMAND.findall(page.read_text()):
        _, name, *words = shlex.split(line)
        assert name in commands, line
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        assert options <= commands[name], (line, options - commands[name])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_configurations_are_valid(page):
    for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        check_config(ADDED | load_yaml(text, page.name), page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_numbers_of_tables_are_in_the_records_that_the_page_names(page):
    """To the digits that are shown, also as per cent or in thousandths; docs/studies.md has a test of its own."""
    text = page.read_text()
    names = {name for name in re.findall(r"([a-z_0-9]+\.json)", text) if (RECORDS / name).is_file()}
    recorded = np.array([number for name in names for number in numbers_of(json.loads((RECORDS / name).read_text()))])
    if page.stem == "studies" or not names:
        return
    rows = re.sub(r"`[^`]*`", "", "\n".join(re.findall(r"^\|.*", text, re.MULTILINE)))
    shown = re.findall(r"(?<![\w.^])\d+\.\d+(?:e-?\d+)?(?![\w.])", rows)
    assert {word for word in shown if not is_recorded(word, recorded)} <= DERIVED.get(page.stem, set())


DERIVED = {"live": {"1.9", "2.0", "2.1", "2.8", "17.8"}, "shots": {"99.5"}}
"""Numbers that are the ratio of two recorded ones: seconds of processor per pattern, a share of shots."""
RECORDS = ROOT / "benchmarks/results"


def numbers_of(content) -> list[float]:
    if isinstance(content, dict | list):
        inner = content.values() if isinstance(content, dict) else content
        return [number for value in inner for number in numbers_of(value)]
    return [float(content)] if isinstance(content, int | float) else []


def is_recorded(word: str, recorded: np.ndarray) -> bool:
    """Whether a number, as printed, is a recorded one."""
    digits, _, power = word.partition("e")
    unit = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    scaled = np.abs(np.outer([1, 100, 1000, 1e-3, 1e4], recorded))
    return bool((np.abs(scaled - float(word)) <= 0.505 * unit).any())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in re.findall(r"(?:^ {4}|`)make ([a-z ]+)", page.read_text(), re.MULTILINE):
        assert set(words.split()) <= targets


def test_every_command_is_in_the_changelog_or_guide(commands):
    text = "".join(page.read_text() for page in PAGES)
    assert [name for name in commands if f"`{name}`" not in text and f"cdipipe {name}" not in text] == []


def test_the_readme_opens_with_a_picture_of_modest_size():
    image = re.search(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text().partition("##")[0])
    assert (ROOT / image[1]).stat().st_size < 300_000


def test_the_reference_is_written_from_the_code(commands):
    """Every method, scene, network, command and key of a study, with defaults, units and meaning."""
    pages = {name: write() for name, write in REFERENCE.items()}
    heads = {name: re.findall(r"^## (.*)", page, re.MULTILINE) for name, page in pages.items()}
    assert [line for page in pages.values() for line in page.splitlines() if re.match(r"\| `.*\|\s*\|$", line)] == []
    assert heads["reference/commands.md"] == sorted(commands)
    for name, found in (("methods", all_methods()), ("scenes", all_scenes()), ("networks", all_networks())):
        assert set(found) <= set(heads[f"reference/{name}.md"])
    assert "| `beta` | `0.9` |  | > 0, ≤ 2 | " in pages["reference/methods.md"]
    assert "| `distance_m` |  | m |  | sample to detector in m |" in pages["reference/configuration.md"]
    assert [name for name in Config.model_fields if f"| `{name}` |" not in pages["reference/configuration.md"]] == []


def test_the_menu_shows_every_page():
    menu = (ROOT / "mkdocs.yml").read_text()
    files = [*(page.name for page in (ROOT / "docs").glob("*.md")), *REFERENCE]
    assert [name for name in files if name not in menu] == []


def test_the_flow_chart_ends_in_commands():
    """Every answer leads to a section with a command, which test_docs_commands.py runs."""
    page = (ROOT / "docs/choosing.md").read_text()
    chart = runpy.run_path(str(ROOT / "tools/site/flowchart.py"))
    found = chart["read"](re.search(r"```mermaid\n(.*?)```", page, re.DOTALL)[1])
    sections = {
        re.sub(r"\W+", "-", part.partition("\n")[0].lower()): part for part in re.split(r"^##+ ", page, flags=re.M)
    }
    answers = [*(answer for _, answer in found.questions), found.last]
    assert len(answers) >= 7
    for answer in answers:
        commands = re.findall(
            r"^    (cdipipe reconstruct .*)", sections[found.links[answer].removeprefix("#")], re.MULTILINE
        )
        wanted = re.match(r"-m \w+|", answer)[0]
        assert commands and wanted in commands[0], answer
        assert f'href="{found.links[answer]}"' in chart["draw"](found)


def test_a_flow_chart_without_an_answer_is_refused():
    read = runpy.run_path(str(ROOT / "tools/site/flowchart.py"))["read"]
    with pytest.raises(ValueError, match="yes and for no"):
        read('a{"Is it?"} -->|yes| b["-m hio"]')


def test_equations_become_mathml():
    site = runpy.run_path(str(ROOT / "tools/site/equations.py"))
    page, shell = SimpleNamespace(), SimpleNamespace()
    marked = site["on_page_markdown"]((ROOT / "docs/theory.md").read_text(), page)
    assert "$" not in marked and len(page.equations) > 20
    html = site["on_page_content"](marked, page)
    assert html.count("<math") == len(page.equations) == html.count("</math>") and "equation-1" not in html
    assert site["on_page_markdown"]("echo $USER $HOME", shell) == "echo $USER $HOME"
