"""Pictures: patterns, objects, curves and tables, drawn with matplotlib off screen.

Phases are shown with a cyclic colour map over the full circle, where the amplitude means something; unmeasured pixels
and hidden phases are grey. All colour maps and line colours are safe for colour-blind readers.
"""

from __future__ import annotations

from cdipipe.figures.canvas import save_figure
from cdipipe.figures.curves import diagnostics_figure
from cdipipe.figures.objects import comparison_figure, object_figure, pattern_figure
from cdipipe.figures.tables import metrics_figure

__all__ = [
    "comparison_figure",
    "diagnostics_figure",
    "metrics_figure",
    "object_figure",
    "pattern_figure",
    "save_figure",
]
