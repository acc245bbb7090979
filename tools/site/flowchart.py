"""Flow charts of the guide: the few forms of Mermaid that it uses, drawn as SVG when the site is built.

A chart is a line of questions. Each has an answer beside it (``yes``) and leads to the next one (``no``). GitHub draws
the same text by Mermaid itself; the site draws it here, so that it needs no network. A hook of mkdocs.yml.
"""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import dataclass

QUESTION = re.compile(r'(\w+)\{"(.+?)"\}')
LEAF = re.compile(r'(\w+)\["(.+?)"\]')
EDGE = re.compile(r"(\w+) -->\|(\w+)\| (\w+)")
CLICK = re.compile(r'click (\w+) "(.+?)"')
LEFT, RIGHT, STEP, WIDTH = 4, 410, 96, 654
BOX, TALL = (340, 66), 44


@dataclass(frozen=True)
class Chart:
    """Questions in order, each with the leaf of its ``yes``; the leaf where all are ``no``; links of leaves."""

    questions: tuple[tuple[str, str], ...]
    last: str
    links: dict[str, str]


def read(text: str) -> Chart:
    """The chart that a block of Mermaid says; ValueError where a question lacks an answer."""
    questions, leaves = dict(QUESTION.findall(text)), dict(LEAF.findall(text))
    edges = {(start, answer): end for start, answer, end in EDGE.findall(LEAF.sub(r"\1", QUESTION.sub(r"\1", text)))}
    links = {leaves[name]: link for name, link in CLICK.findall(text)}
    name, found = next(iter(questions)), []
    while name in questions:
        if (name, "yes") not in edges or (name, "no") not in edges:
            raise ValueError(f"flow chart: the question {name} needs an answer for yes and for no")
        found.append((questions[name], leaves[edges[name, "yes"]]))
        name = edges[name, "no"]
    return Chart(tuple(found), leaves[name], links)


def draw(chart: Chart) -> str:
    """The chart as SVG, in the colours of the page."""
    parts, height = [], STEP * len(chart.questions) + TALL + 24
    for number, (question, leaf) in enumerate(chart.questions):
        top = 8 + STEP * number
        middle = top + BOX[1] / 2
        parts += [_box(LEFT, top, *BOX, question, "question", 38)]
        parts += [_arrow(LEFT + BOX[0], middle, RIGHT, middle, "yes"), _leaf(RIGHT, middle - TALL / 2, leaf, chart)]
        parts += [_arrow(LEFT + BOX[0] / 2, top + BOX[1], LEFT + BOX[0] / 2, top + STEP, "no")]
    parts.append(_leaf(LEFT, 8 + STEP * len(chart.questions), chart.last, chart, BOX[0]))
    label = html.escape("Flow chart: " + "; ".join(f"{q} yes: {leaf}" for q, leaf in chart.questions), quote=True)
    return (
        f'<svg class="flowchart" viewBox="0 0 {WIDTH} {height}" role="group" aria-label="{label}" '
        'xmlns="http://www.w3.org/2000/svg" style="max-width:654px;width:100%;font-size:17px">'
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>' + "".join(parts) + "</svg>"
    )


def _leaf(left: float, top: float, text: str, chart: Chart, width: float = WIDTH - RIGHT - 8) -> str:
    box = _box(left, top, width, TALL, text, "leaf", 26)
    return f'<a href="{chart.links[text]}">{box}</a>' if text in chart.links else box


def _box(left: float, top: float, width: float, height: float, text: str, kind: str, letters: int) -> str:
    lines = textwrap.wrap(text, letters)
    first = top + height / 2 + 6 - 11 * (len(lines) - 1)
    style = (
        'fill="#3f51b5" fill-opacity=".12" stroke="#3f51b5"' if kind == "leaf" else 'fill="none" stroke="currentColor"'
    )
    spans = "".join(
        f'<tspan x="{left + width / 2:g}" y="{first + 22 * number:g}">{html.escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    corner = 6 if kind == "leaf" else 20
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="{corner}" {style}/>'
        f'<text text-anchor="middle" fill="currentColor">{spans}</text>'
    )


def _arrow(x1: float, y1: float, x2: float, y2: float, word: str) -> str:
    x, y = ((x1 + x2) / 2 - 18, y1 - 8) if y1 == y2 else (x1 + 8, (y1 + y2) / 2 + 5)
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="currentColor" marker-end="url(#tip)"/>'
        f'<text x="{x:g}" y="{y:g}" fill="currentColor">{word}</text>'
    )


def fence(source, language, css_class, options, md, **kwargs) -> str:
    """What pymdownx.superfences calls for a block of the language ``mermaid``."""
    return draw(read(source))


def on_config(config):
    """Let blocks of the language ``mermaid`` be drawn; called by mkdocs."""
    fences = config["mdx_configs"].setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "mermaid", "class": "mermaid", "format": fence})
    return config
