"""Recipes: which steps run, from which start, under which object constraint, and which of the restarts is kept.

A recipe comes as a mapping in one of three forms, and everything beside the steps has a default::

    {method: hio, iterations: 400, beta: 0.8, restarts: 8}
    {sequence: "3*(20*ER+180*HIO)+20*ER", beta: 0.9}
    {steps: [{hio: {iterations: 180}}, {er: {iterations: 20}}]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from cdipipe.errors import InputError
from cdipipe.phasing.options import check_options, check_order
from cdipipe.phasing.plan import count_iterations
from cdipipe.phasing.registry import Method, Parameters, get_method
from cdipipe.phasing.sequence import expand_sequence
from cdipipe.settings import guess, validate
from cdipipe.shot_rules import ALL, checked_rule
from cdipipe.tunable import Tune

MOST_ITERATIONS = 1_000_000_000
"""Of all steps together."""
HALF_TURN_RAD = (-math.pi / 2, math.pi / 2)
Constraint = Literal["support", "real_nonneg", "re_nonneg", "quadrant", "phase_range"]


class ShrinkWrap(Parameters):
    """Support from the blurred modulus of the iterate (Marchesini et al. 2003)."""

    every: Annotated[int | None, Tune(3, 40, log=True, unset=5)] = Field(
        None,
        ge=0,
        description="iterations between updates; 0: the start support stays; not given: 5, or 0 where the measurement "
        "tells its support",
    )
    sigma_start_px: Annotated[float, Tune(1.5, 5.0)] = Field(3.0, ge=0, description="Gaussian blur of the first update")
    sigma_end_px: Annotated[float, Tune(0.5, 2.0)] = Field(1.0, ge=0, description="blur never goes below this")
    decay: float = Field(0.98, gt=0, le=1, description="factor on the blur from one update to the next")
    threshold: Annotated[float, Tune(0.04, 0.3, log=True)] = Field(
        0.1, gt=0, lt=1, description="share of the maximum of the blurred modulus"
    )
    area: tuple[float, float] | None = Field(
        None, description="[first, last] share of the array that the support fills, instead of the threshold"
    )

    @model_validator(mode="after")
    def _one_rule(self):
        if self.area is not None and self.threshold != type(self).model_fields["threshold"].default:
            raise ValueError("threshold: the area decides; give one of them")
        return self

    @field_validator("area")
    @classmethod
    def _shares(cls, value):
        if value is not None and not all(0 < share <= 0.5 for share in value):
            raise ValueError("area takes two shares of the array, each above 0 and at most 0.5")
        return value


class StartSupport(Parameters):
    """Where the first support comes from when no file is given."""

    kind: Literal["autocorrelation", "box", "full"] = Field(
        "box",
        description="autocorrelation: pixels above the threshold; box: a box of half that extent; full: half the array",
    )
    threshold: float = Field(0.04, gt=0, lt=1, description="share of the autocorrelation's maximum")
    margin: float = Field(1.0, gt=0, le=4, description="factor on the box's sides")
    half_side_px: int | None = Field(
        None, ge=1, description="a box of so many pixels to each side of the middle, whatever the pattern tells"
    )


class Coherence(Parameters):
    """Partial coherence of the light: a Gaussian Schell width, known or fitted while phasing."""

    width_px: float | None = Field(
        None,
        gt=0,
        description="width xi of exp(-r^2 / (2 xi^2)) on the object's pixels, or where its fit starts (not given: half "
        "the longest side); not given and not fitted: coherent light",
    )
    fit: bool = Field(False, description="fit the width of every start anew while it runs")
    start: int = Field(40, ge=0, description="iterations before the first fit")
    every: int = Field(20, ge=1, description="iterations between fits")

    @model_validator(mode="after")
    def _is_fitted(self):
        for name in ("start", "every"):
            if not self.fit and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: nothing is fitted; set coherence.fit: true")
        return self

    def width_at_start(self, shape: tuple[int, ...]) -> float | None:
        """The width in pixels to begin with, or None for coherent light.

        Parameters
        ----------
        shape : of a pattern, (H, W) or (D, H, W)
        """
        return max(shape) / 2 if self.fit and self.width_px is None else self.width_px


class Background(Parameters):
    """Photons that do not come from the object."""

    photons: float = Field(0.0, ge=0, description="mean background per pixel, in photons, or where its fit starts")
    fit: bool = Field(False, description="fit it anew for every start; `cdip` does")


class Recipe(Parameters):
    """Everything that decides a reconstruction besides the data and the seed."""

    steps: tuple[tuple[str, SerializeAsAny[Parameters]], ...]
    constraint: Constraint = Field("support", description="what the object must satisfy inside its support")
    phase_range_rad: tuple[float, float] = Field(
        HALF_TURN_RAD, description="allowed phases of the constraint 'phase_range'"
    )
    use_static_region: bool = Field(
        True, description="take a known static region as known; False: reconstruct it as part of the object"
    )
    coherence: Coherence = Coherence()
    background: Background = Background()
    start_support: StartSupport = StartSupport()
    shrink_wrap: ShrinkWrap = ShrinkWrap()
    restarts: int = Field(1, ge=1, le=100_000, description="random starts")
    select: Literal["poisson_nll", "r_factor", "r_factor_free", "poisson_nll_free"] = Field(
        "poisson_nll", description="score that ranks the restarts; lowest wins"
    )
    average_best: int = Field(1, ge=1, description="the result is the mean of this many best restarts, aligned")
    average_last: int = Field(0, ge=0, description="a start's result is the mean of its last so many iterates; 0: off")
    closing_er: Annotated[float, Tune(0.05, 0.5)] = Field(
        0.0, ge=0, lt=1, description="share of the last step's iterations that are error reduction, at its end"
    )
    stop_below: float = Field(
        0.0,
        ge=0,
        description="early stop of a start's step: relative change of its R-factor over 20 iterations; 0: never",
    )
    batch: int = Field(0, ge=0, description="restarts computed at once; 0: as many as suit the device's memory")
    keep_shots: str = Field(
        ALL,
        description="shots of a stack to phase, judged by their patterns, the others are left blank: all, single, hits "
        "(no blanks), or comparisons of score, photons, photons_per_pixel, beyond: 'single and score > 0.3'",
    )
    preview_every: int = Field(50, ge=1, description="iterations between live preview pictures, where one is asked for")

    @field_validator("phase_range_rad")
    @classmethod
    def _ordered(cls, value):
        if not 0 < value[1] - value[0] <= 2 * math.pi + 1e-9:
            raise ValueError("phase_range_rad takes [lowest, highest], at most 2 pi apart")
        return value

    @field_validator("keep_shots")
    @classmethod
    def _is_a_rule(cls, value):
        return checked_rule(value)

    @model_validator(mode="after")
    def _consistent(self):
        if self.average_best > self.restarts:
            raise ValueError(f"average_best: {self.average_best} runs cannot be averaged out of {self.restarts}")
        if self.constraint != "phase_range" and self.phase_range_rad != HALF_TURN_RAD:
            raise ValueError(f"phase_range_rad: constraint '{self.constraint}' takes none; set constraint: phase_range")
        return self

    @property
    def is_ideal(self) -> bool:
        """Coherent light and no background."""
        coherent = self.coherence.width_px is None and not self.coherence.fit
        return coherent and not self.background.photons and not self.background.fit

    @property
    def fitted_light(self) -> tuple[str, ...]:
        """What of the light is fitted: ``coherence``, ``background``."""
        return ("coherence",) * self.coherence.fit + ("background",) * self.background.fit

    @property
    def name(self) -> str:
        """Names of the steps in order, each once: ``er+hio``."""
        return "+".join(dict.fromkeys(name for name, _ in self.steps))

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that :func:`recipe_from_mapping` turns into the same recipe."""
        mapping = self.model_dump(mode="json", exclude={"steps"})
        mapping["steps"] = [{name: parameters.model_dump(mode="json")} for name, parameters in self.steps]
        return mapping


DEFAULT_CLOSING_ER = 0.2


def network_taken_by(step: str, parameters: Parameters) -> str | None:
    """Which network a step can be given a checkpoint of: one of the step's own name unless it says otherwise.

    Parameters
    ----------
    step : name of the step's method
    parameters : of the step

    Returns
    -------
    name of a network; None where the step takes no checkpoint
    """
    return getattr(parameters, "checkpoint_of", step) if hasattr(parameters, "checkpoint") else None


def recipe_from_mapping(mapping: Any, where: str = "recipe") -> Recipe:
    """Check a recipe given as plain data and return it.

    Parameters
    ----------
    mapping : options of the recipe and one of ``method``, ``sequence``, ``steps``
    where : what names it, for the message

    Raises
    ------
    InputError   names the first wrong key or value and what is allowed, or what the recipe's methods would ignore
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"{where}: expected a mapping of parameters; got {type(mapping).__name__}")
    mapping = dict(mapping)
    forms = [key for key in ("method", "sequence", "steps") if key in mapping]
    if len(forms) != 1:
        got = " and ".join(forms) or "none of them"
        raise InputError(f"{where}: give exactly one of method, sequence, steps; got {got}")
    form = forms[0]
    value = mapping.pop(form)
    if form == "steps":
        steps = _steps_from_list(value, f"{where}.steps")
    else:
        if not isinstance(value, str):
            raise InputError(f"{where}.{form}: expected text; got {value!r}")
        own = {key: mapping.pop(key) for key in list(mapping) if key not in Recipe.model_fields}
        if form == "method":
            method = get_method(value, where)
            _refuse_unknown(own, [method], where)
            steps = [(value, validate(method.parameters, own, where))]
            if not method.converged_estimate and method.honours("closing_er"):
                mapping.setdefault("closing_er", DEFAULT_CLOSING_ER)
        else:
            steps = _steps_from_sequence(value, own, where)
    checked = validate(Recipe, {**mapping, "steps": ()}, where)
    recipe = checked.model_copy(update={"steps": tuple(steps)})
    check_order(recipe, where)
    check_options(recipe, where)
    if (planned := count_iterations(recipe)) > MOST_ITERATIONS:
        raise InputError(f"{where}: plans {planned:g} iterations; at most {MOST_ITERATIONS:g} are taken")
    return recipe


def with_default(mapping: Mapping[str, Any], option: str, value: Any, stack: str | None = None) -> dict[str, Any]:
    """A recipe as plain data with an option that it does not set itself, if one of its methods honours it.

    Parameters
    ----------
    mapping : the recipe; not changed
    option : of :class:`Recipe`
    value : of the option, where the recipe gives none
    stack : of the measurement where that is known
    """
    stacks = ("single", "movie") if stack is None else (stack,)
    try:
        methods = [get_method(name) for name in _names_of_steps(mapping)]
    except InputError:  # the recipe's reading says it better
        return dict(mapping)
    able = any(method.on(one).honours(option) for method in methods for one in stacks)
    return {option: value, **mapping} if able else dict(mapping)


def _names_of_steps(mapping: Mapping[str, Any]) -> list[str]:
    """Methods that plain data name; none where they are not what a recipe takes, of which its reading complains."""
    if isinstance(mapping.get("sequence"), str):
        return [name for name, _ in expand_sequence(mapping["sequence"])]
    steps = mapping.get("steps") if isinstance(mapping.get("steps"), list) else [mapping.get("method")]
    names = [next(iter(step), None) if isinstance(step, Mapping) else step for step in steps]
    return [name for name in names if isinstance(name, str)]


def _refuse_unknown(settings: dict, methods: list[Method], where: str, taken: tuple[str, ...] = ()) -> None:
    """Complain about a key that belongs neither to one of the methods nor to every recipe."""
    known = list(dict.fromkeys(key for method in methods for key in method.parameters.model_fields if key not in taken))
    for key in settings:
        if key not in known:
            shared = [name for name in Recipe.model_fields if name != "steps"]
            hint = guess(key, known + shared)
            raise InputError(
                f"{where}.{key}: unknown key '{key}'{hint}; it takes {', '.join(known)}, "
                f"and like every method {', '.join(shared)}"
            )


def _steps_from_sequence(text: str, shared: dict, where: str) -> list[tuple[str, Parameters]]:
    """Steps of a shorthand; ``shared`` holds method parameters that go to every step that knows them."""
    steps = expand_sequence(text, f"{where}.sequence")
    methods = {name: get_method(name, f"{where}.sequence") for name, _ in steps}
    _refuse_unknown(shared, list(methods.values()), where, taken=("iterations",))
    checked = {}
    for name, method in methods.items():
        own = {key: value for key, value in shared.items() if key in method.parameters.model_fields}
        checked[name] = validate(method.parameters, own, where)
    return [(name, checked[name].model_copy(update={"iterations": count})) for name, count in steps]


def _steps_from_list(value: Any, where: str) -> list[tuple[str, Parameters]]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{where}: expected a list of steps like [{{hio: {{iterations: 180}}}}]; got {value!r:.60}")
    steps = []
    for index, entry in enumerate(value):
        place = f"{where}[{index}]"
        if isinstance(entry, str):
            entry = {entry: {}}
        if not isinstance(entry, Mapping) or len(entry) != 1:
            raise InputError(f"{place}: expected one method with its parameters; got {entry!r:.60}")
        name, settings = next(iter(entry.items()))
        method = get_method(name, place)
        steps.append((name, validate(method.parameters, settings, f"{place}.{name}")))
    return steps
