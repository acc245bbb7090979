"""A CUDA device that is not there: tensors that claim ``cuda:0`` over memory of the CPU.

While :func:`pretend` runs, torch says that there is a GPU, and what is made or moved there is a :class:`Pretended`: a
tensor that computes on the CPU, refuses what a real one refuses, and counts what would be launched and what the
processor would wait for. The rules are those of torch: operands of one device, except numbers of no dimension beside
others; indices may lie on the CPU, and cost an upload; NumPy sees nothing of it; generators belong to a device; pinned
memory is the CPU's. An operation counts as one launch, a transform that scales as two, views as none; the package's own
kernels are those of the CPU. What costs what is in ``costs.py``. CUDA graphs are in ``capture.py``; a replay counts as
one launch.

The tensors lie to Python alone, C++ sees the CPU: what torch decides inside itself by the device is not tried.
"""

from __future__ import annotations

import contextlib
import functools
import types
from unittest import mock

import capture
import torch
from capture import Capture
from costs import COUNTS, FREE, TRANSFORMS, UNORDERED, UPLOADS, WAITS, WITHOUT_ORDER, adds, asks_for_places
from torch import __future__ as future
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from cdipipe.ops import backend

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")


class Pretended(torch.Tensor):
    """A tensor of the device that is not there; ``inner`` is its memory."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, inner.size(), device=CPU, **layout)
        torch._C._set_conj(made, inner.is_conj())
        torch._C._set_neg(made, inner.is_neg())
        return made

    def __init__(self, inner: torch.Tensor):
        self.inner = inner

    device = property(lambda _: CUDA)
    is_cuda = property(lambda _: True)
    is_cpu = property(lambda _: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    def get_device(self) -> int:
        return 0

    def data_ptr(self) -> int:
        if Capture.current is not None:
            Capture.current.touch(self.inner)
        return self.inner.data_ptr()

    def __reduce_ex__(self, protocol):
        COUNTS.waits["saved"] += 1
        return self.inner.__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        made = Pretended(self.inner.clone()).requires_grad_(self.requires_grad)
        made._is_param = getattr(self, "_is_param", False)
        return memo.setdefault(id(self), made)

    def __repr__(self) -> str:
        return f"Pretended({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1].rstrip("_")
        if name == "copy":
            return _copy(func, *args, **kwargs)
        _refuse_mixture(func, name, args, kwargs)
        _refuse_generator(CUDA, kwargs.get("generator"))
        _count(func, name, args)
        owners = {id(x.inner): x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Pretended)}
        run = func if Capture.current is None else functools.partial(_captured, func)
        out = run(*pytree.tree_map(inside, args), **pytree.tree_map(inside, kwargs))
        for owner in owners.values():
            assert owner.shape == owner.inner.shape, f"{func} changes a shape in place: not pretended"
        # in inference mode, too, a view of a tensor with gradients is one of them
        with torch.inference_mode(torch.is_inference_mode_enabled() and all(x.is_inference() for x in owners.values())):
            return pytree.tree_map(lambda x: owners[id(x)] if id(x) in owners else outside(x), out)


def _is_there(x: torch.Tensor) -> bool:
    return isinstance(x, Pretended)


def inside(x):
    """The memory of a pretended tensor; anything else as it is."""
    return x.inner if isinstance(x, Pretended) else x


def outside(x):
    """A tensor of the CPU as one of the device."""
    return Pretended(x) if isinstance(x, torch.Tensor) and not isinstance(x, Pretended) else x


def _captured(func, *args, **kwargs):
    """An operation of the device while a graph is captured."""
    if torch.Tag.nondeterministic_seeded in func.tags:
        capture.refuse("random numbers")
    return Capture.current.run(func, args, kwargs)


def _copy(func, target, source, non_blocking=False):
    if not isinstance(target, Pretended):
        _wait("copy")
    elif isinstance(source, Pretended):
        COUNTS.launch("copy")
    else:
        COUNTS.launch("copy")
        _upload()
    run = func if Capture.current is None else functools.partial(_captured, func)
    run(inside(target), inside(source), non_blocking)
    return target


def _upload() -> None:
    capture.refuse("a copy from the CPU")
    COUNTS.uploads += 1


def _wait(name: str) -> None:
    capture.refuse(name)
    COUNTS.waits[name] += 1


def _refuse_mixture(func, name: str, args, kwargs) -> None:
    """RuntimeError where tensors of the CPU stand beside those of the device, as torch has it."""
    if name in ("index", "index_put", "_index_put_impl", "_unsafe_index", "_unsafe_index_put"):
        if not isinstance(args[0], Pretended):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        for index in args[1]:
            if index is not None and not isinstance(index, Pretended):
                _upload()
        args = (args[0], *args[2:])
    foreign = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and not _is_there(x)]
    if torch._C._current_graph_task_id() >= 0:  # a backward pass makes zeros of the CPU for outputs that nobody used
        foreign = [x for x in foreign if x.any()]
    numbers_pass = torch.Tag.pointwise in func.tags or name in ("masked_fill", "index_put", "fill", "_foreach_mul")
    if any(x.ndim or not numbers_pass for x in foreign):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({func})"
        )


def _refuse_generator(device: torch.device, generator) -> None:
    if generator is not None and generator.device.type != device.type:
        raise RuntimeError(f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'")


def _count(func, name: str, args) -> None:
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    if not views and name not in FREE and name != "_local_scalar_dense":
        COUNTS.launch(name)
    if name in TRANSFORMS:
        capture.note_plan(func, args)
        if args[2]:  # scaled in a pass of its own
            COUNTS.launch("scaling")
    if name in WAITS or asks_for_places(name, args):
        _wait(name)
    never = name in WITHOUT_ORDER and adds(name, args)
    if never and torch.are_deterministic_algorithms_enabled():
        raise RuntimeError(f"{name} does not have a deterministic implementation")
    sums = name in UNORDERED and adds(name, args)
    if never or (sums and not torch.are_deterministic_algorithms_enabled()):
        COUNTS.unordered[name] += 1


class _Upload(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return Pretended(tensor.detach().clone())

    @staticmethod
    def backward(ctx, grad):
        return grad.inner.clone()


class _Download(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.inner.detach().clone()

    @staticmethod
    def backward(ctx, grad):
        return Pretended(grad.clone())


def _move(tensor, target: torch.device | None, non_blocking: bool = False):
    here = isinstance(tensor, Pretended)
    if target is None or (target.type == "cuda") == here:
        return tensor
    if here:
        capture.refuse("cpu")
        COUNTS.waits["cpu"] += not non_blocking
        return _Download.apply(tensor)
    _upload()
    return _Upload.apply(tensor)


def _to(tensor, *args, **kwargs):
    """``Tensor.to`` with a device, whatever else it is asked for."""
    target, rest = kwargs.pop("device", None), []
    for argument in args:
        if isinstance(argument, torch.Tensor):
            target, kwargs["dtype"] = argument.device, argument.dtype
        elif isinstance(argument, str | torch.device):
            target = argument
        else:
            rest.append(argument)
    moved = _move(tensor, None if target is None else torch.device(target), kwargs.pop("non_blocking", False))
    rest = [a for a in rest if a is not None and not isinstance(a, bool)]
    return moved.to(*rest, **kwargs) if rest or kwargs else moved


class Mode(TorchFunctionMode):
    """Everything that is called from Python: factories and moves."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        here = bool(args) and isinstance(args[0], Pretended)
        if func is torch.Tensor.to:
            return self._moved(args, kwargs)
        if func is torch.Tensor.cpu:
            return _move(args[0], CPU)
        if func is torch.Tensor.cuda:
            return _move(args[0], CUDA)
        if func is torch.Tensor.tolist and here:
            _wait("tolist")
            return args[0].inner.tolist()
        if here and func in (torch.Tensor.numpy, torch.Tensor.__array__):
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory."
            )
        if func is torch.Tensor.pin_memory:
            if here:
                raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
            return args[0].clone()
        if func is torch.Tensor.data.__set__ and here:
            args[0].inner = args[1].inner
            return func(*args)
        if here and name in ("unravel_index", "quantile"):  # they make tensors of the CPU on the way
            _upload()
            COUNTS.launch(name)
            return pytree.tree_map(outside, func(args[0].inner.detach(), *args[1:], **kwargs))
        if kwargs.get("device") is not None:
            return self._made(func, name, args, kwargs)
        if name in ("rand", "randn", "randint", "randperm", "normal", "multinomial"):
            _refuse_generator(CUDA if here else CPU, kwargs.get("generator"))
        return func(*args, **kwargs)

    @staticmethod
    def _moved(args, kwargs):
        devices = [a for a in args[1:] if isinstance(a, str | torch.device | torch.Tensor)]
        if devices or kwargs.get("device") is not None:
            return _to(*args, **kwargs)
        return torch.Tensor.to(*args, **kwargs)

    @staticmethod
    def _made(func, name: str, args, kwargs):
        """What a function with ``device=`` makes."""
        device = torch.device(kwargs["device"])
        _refuse_generator(device, kwargs.get("generator"))
        if device.type != "cuda":
            return pytree.tree_map(lambda x: x.inner if isinstance(x, Pretended) else x, func(*args, **kwargs))
        if name in ("tensor", "as_tensor") and isinstance(args[0], Pretended):
            return _to(*args, **kwargs)
        kwargs["device"] = CPU
        with_gradient = kwargs.pop("requires_grad", False)
        if name in UPLOADS:
            _upload()
        elif name not in FREE:
            COUNTS.launch(name)
        run = func if Capture.current is None else functools.partial(Capture.current.make, func, name in FREE)
        made = run(*pytree.tree_map(inside, args), **kwargs)
        return outside(made.clone() if name == "as_tensor" else made).requires_grad_(with_gradient)


class Generator(torch.Generator):
    """A generator that says which device it was made for."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made._pretended = torch.device(device)
        return made

    def __init__(self, device="cpu"):
        super().__init__()

    @property
    def device(self):
        return CUDA if self._pretended.type == "cuda" else CPU


class Kernels:
    """The compiled kernels as a build with CUDA has them: those of the CPU, each call one launch."""

    def __init__(self, native):
        self._native = native

    def cuda_compiled(self) -> bool:
        return True

    def hexplane_block_workspace(self, *_arguments) -> int:
        return 0

    def __getattr__(self, name: str):
        found = getattr(self._native, name)
        if not isinstance(found, types.BuiltinMethodType | types.BuiltinFunctionType):
            return found

        def run(*arguments):
            if not arguments or arguments[0] != 0:
                return found(*arguments)
            COUNTS.launch(name)
            if arguments[-1] != Capture.stream.cuda_stream:
                raise RuntimeError(f"{name}: launched on another stream than the current one")
            arguments = (-1, *arguments[1:-1], torch.get_num_threads())
            return found(*arguments) if Capture.current is None else Capture.current.call(found, arguments)

        return run


def _replay(graph: capture.Graph) -> None:
    COUNTS.launch("graph")
    capture.Graph.replay(graph)


@contextlib.contextmanager
def pretend(kernels: bool = True, free_bytes: int = 2**33):
    """A GPU, until the block ends; gives the counts.

    Parameters
    ----------
    kernels : whether the package was built with CUDA; False: torch's operations do it all
    free_bytes : memory that is free on it
    """
    COUNTS.clear()
    Capture.clear()
    graph = type("CUDAGraph", (capture.Graph,), {"replay": _replay})
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: "pretended",
        "mem_get_info": lambda *_: (free_bytes, 2 * free_bytes),
        "current_stream": lambda *_: Capture.stream,
        "set_stream": lambda stream: setattr(Capture, "stream", stream),
        "Stream": lambda *_: capture.SIDE,
        "CUDAGraph": graph,
        "graph": capture.graph,
        "device": lambda *_: contextlib.nullcontext(),
        "synchronize": lambda *_: _wait("synchronize"),
        "get_rng_state": lambda *_: torch.zeros(1, dtype=torch.uint8),
        "set_rng_state": lambda *_: None,
        "_lazy_init": lambda: None,
    }
    with contextlib.ExitStack() as stack:
        for name, value in cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.callback(future.set_overwrite_module_params_on_conversion, False)
        future.set_overwrite_module_params_on_conversion(True)  # weights are of another class when they have moved
        if kernels and backend.native is not None:
            stack.enter_context(mock.patch.object(backend, "native", Kernels(backend.native)))
            stack.enter_context(mock.patch.object(backend, "why_no_cuda", lambda: None))
        else:
            stack.enter_context(backend.use("reference"))
        stack.enter_context(Mode())
        yield COUNTS
