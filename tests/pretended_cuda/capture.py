"""CUDA graphs of the device that is not there: what is launched during a capture is written down and undone.

A capture refuses what a real one refuses: to wait, to upload, to draw random numbers, to make plans of transforms, and
kernels on another stream. Afterwards nothing of it has happened, and what it allocated is not a number until a replay.
"""

from __future__ import annotations

import types

import torch
from torch.utils import _pytree as pytree

MAIN, SIDE = (types.SimpleNamespace(cuda_stream=number, synchronize=lambda: None) for number in (0, 1))


class Capture:
    """The one that is running, if any; and the plans of transforms that are there."""

    current: Graph | None = None
    plans: set = set()  # noqa: RUF012  of the whole process, as cuFFT's cache
    stream = MAIN

    @classmethod
    def clear(cls) -> None:
        cls.current, cls.stream = None, MAIN
        cls.plans.clear()


class Graph:
    """In the place of ``torch.cuda.CUDAGraph``."""

    def __init__(self):
        self._steps, self._before, self._born = [], {}, {}

    def begin(self, stream) -> None:
        Capture.current, Capture.stream = self, stream

    def end(self) -> None:
        """Undo what was computed."""
        Capture.current, Capture.stream = None, MAIN
        for storage, copy in self._before.values():
            storage.copy_(copy)
        for tensor in self._born.values():
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.fill_(torch.nan)

    def replay(self) -> None:
        for step in self._steps:
            step()

    def touch(self, *tensors: torch.Tensor) -> None:
        """Remember what memory holds that was there before the capture."""
        for tensor in tensors:
            place = tensor.untyped_storage().data_ptr()
            if place not in self._born and place not in self._before:
                storage = tensor.untyped_storage()
                self._before[place] = (storage, storage.clone())

    def bear(self, *tensors: torch.Tensor) -> None:
        """Memory of the graph's own."""
        for tensor in tensors:
            self._born.setdefault(tensor.untyped_storage().data_ptr(), tensor)

    def run(self, func, args, kwargs):
        """One operation on memory of the CPU, now and at every replay."""
        given = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        self.touch(*given)
        out = func(*args, **kwargs)
        places = {x.untyped_storage().data_ptr() for x in given}
        made = [x for x in pytree.tree_leaves(out) if isinstance(x, torch.Tensor)]
        own = [x.untyped_storage().data_ptr() not in places for x in made]
        self.bear(*(x for x, is_own in zip(made, own, strict=True) if is_own))

        def again():
            found = [x for x in pytree.tree_leaves(func(*args, **kwargs)) if isinstance(x, torch.Tensor)]
            for old, new, is_own in zip(made, found, own, strict=True):
                if is_own:
                    old.copy_(new)

        self._steps.append(again)
        return out

    def make(self, func, is_empty: bool, *args, **kwargs) -> torch.Tensor:
        """What a factory gives: filled at every replay unless it is empty."""
        made = func(*args, **kwargs)
        self.bear(made)
        if not is_empty:
            self._steps.append(lambda: made.copy_(func(*args, **kwargs)))
        return made

    def call(self, kernel, arguments) -> None:
        """A kernel of the package, whose tensors were touched as their addresses were asked for."""
        kernel(*arguments)
        self._steps.append(lambda: kernel(*arguments))


def refuse(what: str) -> None:
    """RuntimeError during a capture."""
    if Capture.current is not None:
        raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what})")


def note_plan(func, args) -> None:
    """A plan of a transform is made at its first call, which a capture does not allow."""
    which = (str(func), tuple(args[0].shape), *map(str, args[1:]))
    if which not in Capture.plans:
        refuse("a plan of cuFFT")
        Capture.plans.add(which)


class graph:
    """In the place of ``torch.cuda.graph``."""

    def __init__(self, cuda_graph: Graph, stream=SIDE, capture_error_mode: str = "global"):
        self._graph, self._stream = cuda_graph, stream

    def __enter__(self) -> None:
        self._graph.begin(self._stream)

    def __exit__(self, *_error) -> None:
        self._graph.end()
