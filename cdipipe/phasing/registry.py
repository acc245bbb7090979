"""What a method is, and how methods are found.

A method is one file or package in ``cdipipe/methods`` with an attribute ``METHOD``, or an entry point, see
``cdipipe.plugins``: nothing here lists names. Every network that takes patterns is a method of its name, too. Method
files import no torch at module level, so that a configuration is validated without it.

A method is of one kind, by the class of its record:

============= ==========================================================================================
Update        one iteration after another on a batch of restarts; ``er``, ``hio``
Step          iterations with a memory of their own, each of which is told to the loop; ``gps``, ``dip``
Joint         all frames of a movie together; ``in_situ``, ``mf_pie``
Predictor     many patterns at a time, without iterations; ``cdi_nn``
Preparation   a first step that completes the measurement for the others; ``static_estimate``
Choice        looks at the measurement, tries others on it and goes on with the best; ``auto``
============= ==========================================================================================
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

import cdipipe.methods
from cdipipe.networks.registry import NETWORKS, Network
from cdipipe.plugins import Registry, in_modules
from cdipipe.settings import Parameters


class IterativeParameters(Parameters):
    """Parameters that every iterative method has."""

    iterations: int = Field(400, ge=1, description="iterations of this step")


LIGHT = ("coherence", "background")
"""Options of light that is known: partly coherent, or with photons that do not come from the object."""
FITS = ("coherence.fit", "background.fit")
STARTS = ("restarts", "select", "average_best", "batch")


@dataclass(frozen=True, kw_only=True)
class Method:
    """What all kinds of methods tell of themselves.

    Parameters
    ----------
    name, summary, reference : str
        As shown by ``cdipipe methods``.
    parameters : subclass of Parameters
    needs : names of ``cdipipe.phasing.needs.NEEDS``
        What a measurement must have.
    refuses : names of ``cdipipe.phasing.options.OPTIONS``
        Options of every recipe that its kind honours and this method does not.
    fits : ``coherence.fit``, ``background.fit``
        What the method can fit of the light.
    by_itself : options that it honours and the loop leaves to it
    uses_static_region : False for a method that reconstructs the static region as part of the object
    converged_estimate : whether the iterate itself is an estimate, so that no closing ER block is wanted
    mixes_patterns : whether the items of a batch may be of several patterns: the method knows of the problem only what
        ``cdipipe.phasing.problem.Projections`` has
    """

    honoured: ClassVar[tuple[str, ...]] = ()
    """options of every recipe that methods of this kind honour unless they say otherwise"""
    always_needs: ClassVar[tuple[str, ...]] = ()

    name: str
    summary: str
    reference: str
    parameters: type[Parameters]
    needs: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    fits: tuple[str, ...] = ()
    by_itself: tuple[str, ...] = ()
    uses_static_region: bool = True
    converged_estimate: bool = False
    mixes_patterns: bool = False

    @property
    def all_needs(self) -> tuple[str, ...]:
        """What a measurement must have for this method, or for any of its kind."""
        return (*self.needs, *self.always_needs)

    def honours(self, option: str) -> bool:
        """Whether an option of every recipe has its effect on this method, see ``cdipipe.phasing.options``.

        Parameters
        ----------
        option : of :class:`cdipipe.phasing.recipe.Recipe`, such as ``shrink_wrap``
        """
        return option in self.fits or (option in self.honoured and option not in self.refuses)

    def leaves(self, option: str) -> bool:
        """Whether it is the loop that does an option on this method.

        Parameters
        ----------
        option : of :class:`cdipipe.phasing.recipe.Recipe`, such as ``shrink_wrap``
        """
        return self.honours(option) and option not in self.by_itself

    def on(self, stack: str) -> Method:
        """The record that tells how the method treats a measurement of this stack.

        Parameters
        ----------
        stack : ``single``, ``shots``, ``movie`` or ``volume``
        """
        return self


def alike(parameters, iteration) -> str:
    """The one kind of an :class:`Update` whose iterations all do the same.

    Parameters
    ----------
    parameters, iteration : it depends on neither
    """
    return "alike"


_ITERATIONS = ("constraint", "stop_below", "average_last", "closing_er", "shrink_wrap", "start_support")
_BEGINNINGS = ("start object", "start support", "preview", "use_static_region")


@dataclass(frozen=True, kw_only=True)
class Update(Method):
    """One iteration after another on a batch of restarts; the loop owns everything around it.

    Parameters
    ----------
    update : ``(exit_wave, problem, support, parameters, iteration) -> (exit_wave, projected, r_factor)``
        One iteration on a batch (B, *grid) in FFT order; ``projected`` is P_M of the incoming iterate and ``r_factor``
        (B,) its misfit.
    estimate : ``(exit_wave, problem, support, parameters) -> exit_wave``, optional
        The object that an iterate stands for; P_S P_M u unless given.
    kind : ``(parameters, iteration) -> hashable``, optional
        Iterations of one kind do the same, whatever their number, and ask for no value of an array on the way; small
        batches on a GPU repeat them as a whole, see ``cdipipe.ops.graphs``. None: each is taken by itself.
    """

    honoured = (*_ITERATIONS, *STARTS, *_BEGINNINGS, *LIGHT)

    update: Callable[..., Any]
    estimate: Callable[..., Any] | None = None
    kind: Callable[..., Any] | None = None
    fits: tuple[str, ...] = ("coherence.fit",)


@dataclass(frozen=True, kw_only=True)
class Joint(Method):
    """All frames of a movie together.

    Parameters
    ----------
    begin : ``(problems, start, parameters, recipe, seed, watch) -> JointRun``
        The step on its way, see ``cdipipe.phasing.steps``.
    """

    honoured = ("constraint", "stop_below", "average_last", "start_support", *_BEGINNINGS, *LIGHT)

    begin: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Step(Method):
    """Iterations with a memory of their own on a batch of restarts; the loop owns everything around them.

    Parameters
    ----------
    begin : ``(state, problem, parameters, recipe, watch) -> StepRun``
        The step on its way, see ``cdipipe.phasing.steps``.
    on_movies : how the frames of a movie are taken together, where that is another way than one after another
    """

    honoured = (*_ITERATIONS, *STARTS, *_BEGINNINGS, *LIGHT)

    begin: Callable[..., Any]
    on_movies: Joint | None = None

    def on(self, stack: str) -> Method:
        """The record that tells how the method treats a measurement of this stack: on movies, that of its joint form.

        Parameters
        ----------
        stack : ``single``, ``shots``, ``movie`` or ``volume``
        """
        return self.on_movies if self.on_movies and stack == "movie" else self


@dataclass(frozen=True, kw_only=True)
class Predictor(Method):
    """Many patterns at a time, without iterations.

    Parameters
    ----------
    predict : ``(parameters, pattern_shape, device) -> predictor``
        ``predictor(intensity, measured) -> (objects, supports)`` of a batch (B, *grid), float32 photons and bool to
        complex64 on any scale and bool, all centred. The parameters have ``batch``, the number of patterns that go
        together. See ``cdipipe.phasing.predict``.
    """

    honoured = ("batch",)
    always_needs = ("alone",)

    predict: Callable[..., Any]
    converged_estimate: bool = True


@dataclass(frozen=True, kw_only=True)
class Preparation(Method):
    """A first step that completes the measurement for those that follow.

    Parameters
    ----------
    prepare : ``(problems, start, parameters, recipe, seed, watch) -> Prepared``
        See ``cdipipe.phasing.preparation``.
    completes : what a measurement has afterwards, names of ``cdipipe.phasing.needs.NEEDS``
    """

    honoured = ("constraint", "start_support", "start object", "start support")

    prepare: Callable[..., Any]
    completes: tuple[str, ...] = ()
    converged_estimate: bool = True


@dataclass(frozen=True, kw_only=True)
class Choice(Method):
    """Tries other methods on the measurement and goes on with the best; the only step of its recipe.

    Parameters
    ----------
    phase : ``(job, parameters) -> (Reconstruction, what its record tells of the choice)``
        See ``cdipipe.phasing.race``.
    """

    honoured = ("constraint", "start_support", "batch", "start support", *LIGHT)

    phase: Callable[..., Any]
    converged_estimate: bool = True


def _predictors() -> dict[str, Callable[[], Predictor | None]]:
    """A method for every network that takes patterns, those of other packages too."""
    return {name: functools.partial(_predictor_of, name) for name in NETWORKS.names()}


def _predictor_of(name: str) -> Predictor | None:
    network = NETWORKS.find(name)
    if network is None or network.parameters is None:
        return None
    shape = {2: ("plane",), 3: ("volume",), None: ()}[network.dimensions]
    needs = (*shape, *(("weights",) if network.weights is None else ()))
    return Predictor(
        name=name,
        summary=network.summary,
        reference=network.reference,
        parameters=network.parameters,
        predict=functools.partial(_predict, network),
        needs=needs,
    )


def _predict(network: Network, parameters: Parameters, pattern_shape: tuple[int, ...], device):
    from cdipipe.networks.predictor import predictor_of

    return predictor_of(network, parameters, pattern_shape, device)


METHODS = Registry("method", "cdipipe.methods", Method, in_modules(cdipipe.methods, "METHOD"), _predictors)


def all_methods() -> dict[str, Method]:
    """Every method by name; those of this package in alphabetical order, then those of others."""
    return METHODS.all()


def get_method(name: str, where: str = "") -> Method:
    """The method of a name.

    Parameters
    ----------
    name : see ``cdipipe methods``
    where : what names it, for the message

    Raises
    ------
    InputError   there is none; the message lists the known ones
    """
    return METHODS.get(name, where)
