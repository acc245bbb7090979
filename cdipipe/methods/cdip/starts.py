"""What fields begin with: random planes, a given object, or the best of short runs of hybrid input-output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.optics import fourier
from cdipipe.phasing.loop import State, Watch, run_recipe
from cdipipe.phasing.plan import count_iterations
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.starts import derive_seed, random_starts

HIO = {"method": "hio", "er_every": 10, "closing_er": 0.2}
PIECE_SIGMA_PX, PIECE_THRESHOLD, PIECES_HOLD = 1.5, 0.25, 0.97


@dataclass
class Starts:
    """What each field of a batch begins with; arrays in FFT order."""

    origin: list[int]
    """which start of the batch a field belongs to"""
    seeds: list[int]
    objects: torch.Tensor | None
    """(fields, *grid) complex64 to imitate; None: random fields"""
    supports: torch.Tensor | None
    """(fields, *grid) bool; None: not known"""

    def generators(self) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed % 2**63) for seed in self.seeds]


def choose_starts(kind, state, problem, parameters, recipe, watch) -> Starts:
    """The fields to fit for a batch of starts; ``kind`` is ``given``, ``random``, ``hio`` or ``guided``."""
    if kind == "given":
        origin = list(range(len(state.exit_wave)))
        return Starts(origin, list(state.seeds), *_confine(state.exit_wave, state.support, state, problem, parameters))
    known = state.support if state.support_known else None
    origin = [index for index in range(len(state.seeds)) for _ in range(parameters.population)]
    places = list(range(1, parameters.population + 1)) * len(state.seeds)
    seeds = [derive_seed(state.seeds[index], place) for index, place in zip(origin, places, strict=True)]
    if kind == "random":
        return Starts(origin, seeds, None, None if known is None else known[origin])
    if kind == "hio":
        return _best_of_hio(origin, seeds, state, problem, parameters, recipe, watch)
    return _from_guided(state, problem, parameters, recipe, watch)


def _best_of_hio(origin, seeds, state, problem, parameters, recipe, watch) -> Starts:
    """Short HIO runs with shrink-wrap; the ``survivors`` of lowest Poisson misfit of each start."""
    waves = random_starts(problem, state.support[origin], [(seed, 0) for seed in seeds])
    plan = {**HIO, "iterations": parameters.hio_iterations}
    objects, supports = _phase(plan, waves, state.support[origin], seeds, state, problem, recipe, watch)
    score = problem.scores(objects)["poisson_nll"]
    kept = []
    for index in range(len(state.seeds)):
        mine = [place for place, o in enumerate(origin) if o == index]
        kept += sorted(mine, key=lambda place: score[place])[: parameters.survivors]
    origin, seeds = [origin[k] for k in kept], [seeds[k] for k in kept]
    return Starts(origin, seeds, *_confine(objects[kept], supports[kept], state, problem, parameters))


def _from_guided(state, problem, parameters, recipe, watch) -> Starts:
    """A guided population of HIO runs for each start."""
    plan = {"method": "guided", "starts": parameters.guided_starts}
    objects, supports = _phase(plan, state.exit_wave, state.support, state.seeds, state, problem, recipe, watch)
    origin = list(range(len(state.seeds)))
    return Starts(origin, list(state.seeds), *_confine(objects, supports, state, problem, parameters))


def _phase(plan, waves, supports, seeds, state, problem, recipe, watch):
    """Objects and supports (B, *grid) that another method finds."""
    wrap = {"shrink_wrap": {"every": 0}} if state.support_known else {}
    constraint = {"constraint": recipe.constraint, "phase_range_rad": list(recipe.phase_range_rad)}
    plan = recipe_from_mapping({**plan, **constraint, **wrap})
    trace = torch.empty(len(waves), count_iterations(plan), device=problem.device)
    inner = State(waves, supports.clone(), trace, seeds=tuple(seeds), support_known=state.support_known)
    objects, inner = run_recipe(inner, problem, plan, Watch(stop=watch.stop))
    return objects, inner.support


def _confine(objects, supports, state, problem, parameters):
    """Objects and the supports that their fields may use: the object without specks, with a margin.

    The supports of a noisy pattern have outliers, and a field that may use them describes the noise.
    """
    if state.support_known:
        return objects, supports
    if problem.model.freedom == "shift":
        if not state.given:
            objects, supports = _centre(objects, supports)
        supports = main_pieces(objects)
    return objects, grow(supports, parameters.support_margin_px)


def main_pieces(objects):
    """Where the blurred modulus of each object exceeds a share of its maximum, without the specks apart.

    Strong phases can break an object into pieces, so the largest ones stay until they hold nearly all of it.
    """
    from scipy import ndimage

    ndim = objects.ndim - 1
    blurred = fourier.to_centre(fourier.gaussian_blur_corner(objects.abs(), PIECE_SIGMA_PX, ndim), ndim).cpu().numpy()
    pieces = []
    for modulus in blurred:
        labels, count = ndimage.label(modulus > PIECE_THRESHOLD * modulus.max())
        power = ndimage.sum_labels(modulus**2, labels, range(1, count + 1))
        order = np.argsort(-power, kind="stable")
        enough = 1 + int(np.searchsorted(np.cumsum(power[order]), PIECES_HOLD * power.sum()))
        pieces.append(torch.from_numpy(np.isin(labels, 1 + order[:enough])))
    return fourier.to_corner(torch.stack(pieces).to(objects.device), ndim)


def _centre(objects, supports):
    """Move each object so that the box of its support is around index 0."""
    ndim = objects.ndim - 1
    for item, (object_, support) in enumerate(zip(objects, supports, strict=True)):
        shift = [-_middle_of_gap(support, axis) for axis in range(ndim)]
        axes = tuple(range(ndim))
        objects[item], supports[item] = torch.roll(object_, shift, axes), torch.roll(support, shift, axes)
    return objects, supports


def _middle_of_gap(support, axis: int) -> int:
    """Where the middle of the support is along an axis: half the array from that of the widest empty stretch."""
    others = tuple(a for a in range(support.ndim) if a != axis)
    filled = torch.nonzero(support.any(dim=others)).flatten().tolist()
    size = support.shape[axis]
    if not filled:
        return 0
    steps = [(b - a, a) for a, b in zip(filled, [*filled[1:], filled[0] + size], strict=True)]
    width, last = max(steps)
    first = (last + width) % size
    return round(first + (size - width) / 2)


def grow(supports, pixels: int):
    """Every support with all pixels within a distance of it."""
    if not pixels:
        return supports
    ndim = supports.ndim - 1
    shape = supports.shape[1:]
    distance = sum(q.square() for q in fourier.frequencies_corner(shape, supports.device))
    disc = (distance <= pixels**2 + 1e-3).to(torch.complex64) * supports[0].numel() ** 0.5
    spread = fourier.inverse_corner(
        fourier.forward_corner(supports.to(torch.complex64), ndim) * fourier.forward_corner(disc, ndim), ndim
    )
    return spread.real > 0.5
