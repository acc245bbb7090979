"""Options of every recipe, and which methods honour them: what would be ignored is refused by name.

The loop owns these options, see ``cdipipe.phasing.loop``; a method's record tells which it cannot honour. Imports no
torch, so that a recipe is refused when it is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cdipipe.errors import InputError
from cdipipe.phasing.plan import plan_steps
from cdipipe.phasing.registry import Choice, Method, Preparation, all_methods, get_method


@dataclass(frozen=True)
class Option:
    """One option of every recipe.

    Parameters
    ----------
    is_set : whether a recipe sets it away from what it is anyway
    by : which steps must honour it: ``any`` of them, ``every`` one, the ``last`` one, or the last one that is
        ``planned``, which may be a closing block of error reduction
    """

    is_set: Callable
    by: Literal["any", "every", "last", "planned"] = "any"


def _changed(recipe, name: str) -> bool:
    return getattr(recipe, name) != type(recipe).model_fields[name].default


OPTIONS: dict[str, Option] = {
    "constraint": Option(lambda r: r.constraint != "support", "planned"),
    "use_static_region": Option(lambda r: not r.use_static_region, "every"),
    "coherence": Option(lambda r: r.coherence.width_px is not None or r.coherence.fit, "every"),
    "coherence.fit": Option(lambda r: r.coherence.fit),
    "background": Option(lambda r: r.background.photons > 0 or r.background.fit, "every"),
    "background.fit": Option(lambda r: r.background.fit),
    "start_support": Option(lambda r: _changed(r, "start_support")),
    "shrink_wrap": Option(lambda r: _changed(r, "shrink_wrap") and r.shrink_wrap.every != 0),
    "restarts": Option(lambda r: r.restarts > 1),
    "select": Option(lambda r: _changed(r, "select")),
    "average_best": Option(lambda r: r.average_best > 1, "last"),
    "average_last": Option(lambda r: r.average_last > 0, "planned"),
    "closing_er": Option(lambda r: r.closing_er > 0, "last"),
    "stop_below": Option(lambda r: r.stop_below > 0),
    "batch": Option(lambda r: r.batch > 0),
}
COMPANIONS = {
    "phase_range_rad": "constraint",
    "coherence.start": "coherence.fit",
    "coherence.every": "coherence.fit",
    "preview_every": "preview",
}
"""Keys of a recipe that mean nothing without another one."""


def check_order(recipe, where: str = "") -> None:
    """Raise InputError for a step that takes nothing from those before it, or that must be the first."""
    place = f"{where}: " if where else ""
    methods = [get_method(name) for name, _ in recipe.steps]
    if len(methods) > 1 and (chooser := next((m for m in methods if isinstance(m, Choice)), None)):
        raise InputError(f"{place}{chooser.name} must be the only step; it chooses the others")
    for before, method in itertools.pairwise(methods):
        if isinstance(method, Preparation):
            raise InputError(
                f"{place}{method.name} must be the first step, and once; it completes the measurement for the rest"
            )
        if not isinstance(before, Preparation) and not method.honours("start object"):
            raise InputError(f"{place}{method.name} takes nothing from the steps before it; let it be the first")


def check_options(recipe, where: str = "", stack: str | None = None) -> None:
    """Raise InputError for an option that would be ignored.

    Parameters
    ----------
    where : what names the recipe, for the message
    stack : of the measurement where that is known; without it only what no measurement could honour is refused
    """
    steps = [(get_method(name), parameters) for name, parameters in recipe.steps]
    closing = plan_steps(recipe)[-1]
    last = {"last": steps[-1], "planned": (closing.method, closing.parameters)}
    for name, option in OPTIONS.items():
        if not option.is_set(recipe):
            continue
        asked = [last[option.by]] if option.by in last else steps
        deaf = [step for step in asked if name in step[1].refuses or not _honours(step[0], name, stack)]
        if deaf and (option.by != "any" or len(deaf) == len(asked)):
            raise InputError(_complaint(name, *deaf[0], where, stack))


def _honours(method: Method, option: str, stack: str | None) -> bool:
    stacks = ("single", "movie") if stack is None else (stack,)
    return any(method.on(one).honours(option) for one in stacks)


def _complaint(option: str, method: Method, parameters, where: str, stack: str | None) -> str:
    others = [other for other in all_methods().values() if other.name != method.name]
    able = ", ".join(other.name for other in others if _honours(other, option, stack))
    how = " with these settings" if option in parameters.refuses else ""
    how += f" on a {stack}" if stack and method.on(stack) is not method else ""
    return f"{where}{'.' * bool(where)}{option}: {method.name}{how} does not take it; these do: {able}"


def ignored_by(method: Method) -> list[str]:
    """Keys of a recipe that mean nothing to a method by itself, whatever the measurement."""
    ignored = [name for name in (*OPTIONS, "preview") if not _honours(method, name, None)]
    return ignored + [name for name, with_which in COMPANIONS.items() if with_which in ignored]


def check_extras(recipe, stack: str, start, free_fraction: float, preview) -> None:
    """Raise InputError for what is given beside the recipe and would be ignored: a start, a preview, a score."""
    methods = [get_method(name).on(stack) for name, _ in recipe.steps]
    if start.object is not None and not methods[0].honours("start object"):
        raise InputError(f"{methods[0].name} does not start from an object (--init)")
    if start.support is not None and not methods[0].honours("start support"):
        raise InputError(f"{methods[0].name} finds the support itself and takes none (--support)")
    if preview is not None and not any(method.honours("preview") for method in methods):
        raise InputError(f"--preview: {recipe.name} has no iterations to show")
    if recipe.select.endswith("_free") and not free_fraction:
        raise InputError(f"select: {recipe.select} is of withheld pixels; give --free-fraction 0.03")
