"""Equations of the guide as MathML, written when the site is built, so that no script and no network is needed.

Pages with ``$$`` in them may have ``$...$`` in a line and ``$$...$$`` as a paragraph. A hook of mkdocs.yml.
"""

from __future__ import annotations

import re

EQUATION = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
MARK = "equation-{}-of-the-page"


def on_page_markdown(markdown, page, **kwargs):
    """Put marks where equations are, which Markdown leaves alone; called by mkdocs."""
    from latex2mathml.converter import convert

    page.equations = []
    if "$$" not in markdown:
        return markdown

    def mark(found: re.Match) -> str:
        display = "block" if found[1] else "inline"
        page.equations.append(convert((found[1] or found[2]).strip(), display=display))
        return MARK.format(len(page.equations) - 1)

    return EQUATION.sub(mark, markdown)


def on_page_content(html, page, **kwargs):
    """Put the equations in place of the marks; called by mkdocs."""
    for number, equation in enumerate(getattr(page, "equations", ())):
        html = html.replace(MARK.format(number), equation)
    return html
