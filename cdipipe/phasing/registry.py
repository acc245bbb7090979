"""What a method is, and how methods are found.

A method is one file or package in ``cdipipe/methods`` with an attribute ``METHOD``, or an entry point of the group
``cdipipe.methods``, see ``cdipipe.plugins``: nothing here lists names. Method files import no torch at module level, so
that a configuration is validated without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

import cdipipe.methods
from cdipipe.plugins import Registry, in_modules


class Parameters(BaseModel):
    """Base of all parameter models: frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def planned(self) -> int:
        """Iterations that a step will tell and record, or fewer: room in the error trace, length of progress bars."""
        return getattr(self, "iterations", 1)

    def brief(self) -> str:
        """The step in a few words, for summaries of methods that are not one number; empty: nothing to add."""
        return ""


class IterativeParameters(Parameters):
    """Parameters that every iterative method has."""

    iterations: int = Field(400, ge=1, description="iterations of this step")


@dataclass(frozen=True)
class Method:
    """One way to get from intensities to an object.

    Parameters
    ----------
    name, summary, reference : str
        As shown by ``cdipipe methods``.
    parameters : subclass of Parameters
    update : ``(exit_wave, problem, support, parameters, iteration) -> (exit_wave, projected, r_factor)``
        One iteration on a batch (B, *grid) in FFT order; ``projected`` is P_M of the incoming iterate and ``r_factor``
        (B,) its misfit. The driver owns everything around it.
    estimate : ``(exit_wave, problem, support, parameters) -> exit_wave``, optional
        The object that an iterate stands for; P_S P_M u unless given.
    run : ``(state, problem, parameters, recipe, report) -> state``, optional
        A whole step, for methods that are not one update after another (then ``update`` is None).
    run_stack : ``(problems, start, parameters, recipe, seed, watch) -> StackResult``, optional
        A whole step on all frames of a movie together, see ``cdipipe.phasing.stack``.
    predict : ``(parameters, pattern_shape, device) -> predictor``, optional
        A whole step on many patterns at a time, without iterations: ``predictor(intensity, measured) -> (objects,
        supports)`` of a batch (B, *grid), float32 photons and bool to complex64 on any scale and bool, all centred. The
        parameters have ``batch``, the number of patterns that go together. See ``cdipipe.phasing.predict``.
    prepare : ``(problems, start, parameters, seed, watch_iteration) -> Prepared``, optional
        A first step that completes the measurement for those that follow, see ``cdipipe.phasing.preparation``.
    needs : what a measurement must have: ``static_region``, ``static_support``, ``object_support``, ``probe_modes``,
        ``movie``, ``plane`` or ``volume`` (of each pattern), ``alone`` (the object, in a plane wave); ``weights``: of a
        network that comes without any
    uses_static_region : False for a method that reconstructs the static region as part of the object
    models_light : whether a step with ``run`` or ``run_stack`` takes partial coherence and background into account;
        a single update does so by itself
    fits_light : what a step with ``run`` or ``run_stack`` can fit itself: ``coherence``, ``background``
    shrinks_support : whether shrink-wrap may run during this step
    converged_estimate : whether the iterate itself is an estimate, so that no closing ER block is wanted
    """

    name: str
    summary: str
    reference: str
    parameters: type[Parameters]
    update: Callable[..., Any] | None = None
    estimate: Callable[..., Any] | None = None
    run: Callable[..., Any] | None = None
    run_stack: Callable[..., Any] | None = None
    predict: Callable[..., Any] | None = None
    prepare: Callable[..., Any] | None = None
    needs: tuple[str, ...] = ()
    uses_static_region: bool = True
    models_light: bool = False
    fits_light: tuple[str, ...] = ()
    shrinks_support: bool = True
    converged_estimate: bool = False


METHODS = Registry("method", "cdipipe.methods", Method, in_modules(cdipipe.methods, "METHOD"))


def all_methods() -> dict[str, Method]:
    """Every method by name; those of this package in alphabetical order, then those of others."""
    return METHODS.all()


def get_method(name: str, where: str = "") -> Method:
    """The method called ``name``, or an InputError that lists the known ones."""
    return METHODS.get(name, where)
