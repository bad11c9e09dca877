"""Follow one forward pass of a network and draw the MXNet graph that computes the same.

The network is run once on PyTorch's ``meta`` device: every operator is seen below the Python API, with real shapes and
without any computation, so ``forward`` may be any Python. What depends on the image becomes nodes
(a translation for each operator says which); what does not is computed and becomes a constant.

The batch is a number that no other size is a multiple of. A size that is a multiple of it is the batch's, and is
written so that the graph takes any batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.mxnet.writing.graph import Entry, GraphBuilder

BATCH = 1_000_003  # a prime
INPUT = "data"
INPUT_ENTRY: Entry = (0, 0)  # the first node
OUTPUT = "fc1"
SAME_SHAPE = ("batch_norm", "prelu")  # PyTorch takes half of a pass to find that out
# What may say how many images there are and not make them different.
SAME_FOR_ALL = ("expand", "broadcast_to", "repeat", "tile", "view", "reshape", "zeros", "ones", "full")
AUXILIARY = ("running_mean", "running_var")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """What a tensor of the forward pass is in the graph.

    Attributes:
        shape: of ``entry``; it may lack an expansion that the tensor has, which broadcasting makes up for.
        reshaped: the value of which this is a reshape.
        permuted: the value of which this is a permutation, and the axes.
    """

    entry: Entry
    shape: Shape
    reshaped: Value | None = None
    permuted: tuple[Value, Shape] | None = None


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the image; ``name`` is that of a weight. Its batch is one."""

    tensor: Tensor
    name: str | None = None
    auxiliary: bool = False


class Names:
    """How the graph's parts are called: here by their path, with underscores."""

    def tensor(self, path: str) -> str:
        """Of a weight, by its key in ``state_dict()``."""
        return path.replace(".", "_")

    def layer(self, path: str) -> str:
        """Of the operator that a module without children puts out; empty: as operators in no module are called."""
        return path.replace(".", "_")

    def scope(self, path: str) -> str | None:
        """What begins the names of operators in the module at ``path``; None: numbered through the whole network."""
        return None


@dataclass(frozen=True)
class TracedCall:
    """An operator's arguments by name, the tensors it returned, and the module that runs it."""

    name: str
    arguments: dict[str, Any]
    result: Any
    module: nn.Module | None

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def shape(self) -> Shape:
        """Of the one tensor it returned."""
        return tuple(self.result.shape)


Translation = Callable[["Tracer", TracedCall], "Value | list[Value] | None"]


class Translations(dict[str, Translation]):
    """What to add to the graph for an operator, by the operator's name in ATen; calling it decorates a translation."""

    def __call__(self, *names: str) -> Callable[[Translation], Translation]:
        """Enter the function under ``names``."""

        def enter(translation: Translation) -> Translation:
            self.update(dict.fromkeys(names, translation))
            return translation

        return enter


def trace(network: nn.Module, translations: Mapping[str, Translation], names: Names, image_shape: Shape) -> Tracer:
    """The graph of ``network``, in evaluation mode, for images (N, ``*image_shape``); its output is in ``output``.

    Args:
        translations: what to add to the graph for each operator, by its name in ATen.

    Raises:
        UserError: an operator has no translation, or the network's Python needs to know a computed value.
    """
    tracer = Tracer(network, translations, names)
    image = tracer.begin(image_shape)
    try:
        with evaluating(network), tracer.locating(), torch.inference_mode(), tracer:
            output = torch.func.functional_call(network, tracer.twins, (image,))
            if not isinstance(output, Tensor) or output.ndim != 2:
                what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise UserError(f"the network puts out {what}: an MXNet model puts out one tensor of shape (N, D)")
            tracer.output = tracer.full(output)
    except UserError:
        raise
    except Exception as error:  # anybody's forward runs here, without values
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"cannot be written as an MXNet model: {tracer.place} fails without values ({reason})"
        ) from error
    return tracer


class Tracer(TorchDispatchMode):
    """Sees every operator; the translations build the graph through its methods.

    Attributes:
        graph: what was built so far.
        twins: for each weight, the tensor without values that stands for it in the forward pass.
        output: the network's, after the pass.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch asks this when the class is made; True would import its compiler, which takes seconds."""
        return False

    def __init__(self, network: nn.Module, translations: Mapping[str, Translation], names: Names) -> None:
        super().__init__()
        self.graph = GraphBuilder()
        self.twins: dict[str, Tensor] = {}
        self.output: Value
        self._translations = translations
        self._names = names
        self._paths = {id(module): path for path, module in network.named_modules()}
        self._running: list[tuple[nn.Module, int]] = []  # modules, and the size of the graph when they began
        self._known: dict[int, Value | Constant] = {}  # by id of the tensor
        self._written: dict[int, int] = {}  # memory: how often it was written to in place
        self._as_of: dict[int, int] = {}  # by id of the tensor: the same number when its value was noted
        self._alive: list[Tensor] = []  # ids and memory are not used again
        self._variables: dict[int, Value] = {}
        weights = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
        shared: dict[int, Tensor] = {}
        for path, tensor in weights:
            if id(tensor) not in shared:
                single = tensor.float() if tensor.is_floating_point() and tensor.dtype != torch.float32 else tensor
                shared[id(tensor)] = torch.empty(tensor.shape, dtype=single.dtype, device="meta")
                auxiliary = path.rpartition(".")[2] in AUXILIARY
                self._bind(shared[id(tensor)], Constant(single, names.tensor(path), auxiliary))
            self.twins[path] = shared[id(tensor)]

    def begin(self, image_shape: Shape) -> Tensor:
        """The image, a batch of them."""
        image = torch.empty((BATCH, *image_shape), device="meta")
        self._bind(image, Value(self.graph.input(INPUT), tuple(image.shape)))
        return image

    @contextlib.contextmanager
    def locating(self) -> Iterator[None]:
        """Know, inside, which module is running, and name what modules without children put out."""

        def enter(module: nn.Module, _: Any) -> None:
            self._running.append((module, self.graph.size))

        def leave(module: nn.Module, _: Any, output: Any) -> None:
            _, before = self._running.pop()
            value = self._known.get(id(output))
            if isinstance(value, Value) and value.entry[0] >= before and not any(module.children()):
                self.graph.call(value.entry, self._names.layer(self._paths.get(id(module), type(module).__name__)))

        with contextlib.ExitStack() as hooks:
            hooks.callback(register_module_forward_pre_hook(enter).remove)
            hooks.callback(register_module_forward_hook(leave).remove)
            yield

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        args, kwargs = pytree.tree_map_only(Tensor, self._twin, (args, kwargs))
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = func.overloadpacket.__name__
        in_place = name.endswith("_") and not name.startswith("_")
        if all(isinstance(self._known[id(tensor)], Constant) for tensor in tensors):
            if in_place and getattr(self._lookup(args[0]), "name", None):
                raise self.unsupported("a weight that the forward pass changes")
            return self._compute(func, args, kwargs)
        translation = self._translations.get(name.rstrip("_") if in_place else name)
        if translation is None:
            with self:  # a composite operator is translated through its parts
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            raise self.unsupported(f"the operator {name}")
        args, kwargs = pytree.tree_map(lambda leaf: _on("meta", leaf), (args, kwargs))
        result = torch.empty_like(args[0]) if name in SAME_SHAPE else func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        defaults = {argument.name: argument.default_value for argument in func._schema.arguments}
        arguments = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
        module = self._running[-1][0] if self._running else None
        found = translation(self, TracedCall(name, arguments, result, module))
        values = found if isinstance(found, list) else [found]
        if in_place:
            self._note_write(args[0])
        for tensor, value in zip(pytree.tree_leaves(result), values, strict=False):
            if value is not None:
                if tensor.dtype != torch.float32:
                    raise self.unsupported(f"arithmetic in {str(tensor.dtype).removeprefix('torch.')}")
                self._bind(tensor, value)
        return result

    @property
    def place(self) -> str:
        """The module that is running, for a message."""
        module = self._running[-1][0] if self._running else None
        return f"module {self._paths.get(id(module), '')!r} ({type(module).__name__})" if module else "the network"

    def unsupported(self, what: str) -> UserError:
        """The error for ``what`` has no counterpart in an MXNet graph, with the module that uses it."""
        return UserError(f"cannot be written as an MXNet model: {what} in {self.place} has no translation")

    def value(self, tensor: Tensor) -> Value:
        """What ``tensor`` is in the graph; a constant becomes a variable."""
        known = self._lookup(tensor)
        if isinstance(known, Value):
            return known
        if id(tensor) not in self._variables:
            self._variables[id(tensor)] = self.variable(known)
        return self._variables[id(tensor)]

    def full(self, tensor: Tensor) -> Value:
        """Like :meth:`value`, with the expansion that the tensor has."""
        value, shape = self.value(tensor), tuple(tensor.shape) or (1,)  # MXNet has no numbers, only arrays
        if value.shape == shape:
            return value
        value = self.reshape(value, (1,) * (len(shape) - len(value.shape)) + value.shape)
        for axis, (now, wanted) in enumerate(zip(value.shape, shape, strict=True)):
            if now == wanted:
                continue
            grown = (*value.shape[:axis], wanted, *value.shape[axis + 1 :])
            if wanted == BATCH:
                axes = {"lhs_axes": (axis,), "rhs_axes": (0,)}
                value = self.add("broadcast_like", [value.entry, INPUT_ENTRY], axes, grown)
            else:
                self.batch_of(wanted, "an expansion")
                value = self.add("broadcast_axis", [value.entry], {"axis": axis, "size": wanted}, grown)
        return value

    def constant(self, tensor: Tensor | None) -> Constant | None:
        """The constant behind ``tensor``; None when there is none or it depends on the image."""
        known = None if tensor is None else self._lookup(tensor)
        return known if isinstance(known, Constant) else None

    def variable(self, constant: Constant) -> Value:
        """A variable of the graph that holds ``constant``."""
        tensor = constant.tensor.detach().to("cpu", torch.float32)
        values = np.ascontiguousarray(tensor.numpy()) if tensor.ndim else tensor.numpy().reshape(1)
        entry = self.graph.variable(constant.name, values, auxiliary=constant.auxiliary)
        return Value(entry, values.shape)

    def add(self, op: str, inputs: list[Entry], attrs: Mapping[str, object] | None, shape: Sequence[int]) -> Value:
        """An operator of MXNet with an output of ``shape``."""
        module = self._running[-1][0] if self._running else None
        scope = self._names.scope(self._paths.get(id(module), ""))
        return Value(self.graph.operator(op, inputs, attrs, scope=scope), tuple(shape))

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """``value`` with its numbers laid out in ``shape``; reshapes of reshapes become one."""
        shape = tuple(shape)
        source = value.reshaped or value
        if source.shape == shape:
            return source
        if value.shape == shape:
            return value
        sizes = [self.size(size, axis, source.shape) for axis, size in enumerate(shape)]
        if sizes.count(-1) > 1:
            raise self.unsupported("a shape with the batch in two places")
        flat = len(shape) == 2 and sizes[0] == 0 and len(source.shape) > 2
        flattened = self.add("Flatten", [source.entry], {}, shape) if flat else None
        made = flattened or self.add("Reshape", [source.entry], {"shape": sizes}, shape)
        return replace(made, reshaped=source)

    def permute(self, value: Value, axes: Sequence[int]) -> Value:
        """``value`` with axis i taken from ``axes[i]``; permutations of permutations become one."""
        axes = tuple(axis % len(value.shape) for axis in axes)
        source, before = value.permuted or (value, tuple(range(len(axes))))
        together = tuple(before[axis] for axis in axes)
        if together == tuple(range(len(axes))):
            return source
        shape = [source.shape[axis] for axis in together]
        return replace(self.add("transpose", [source.entry], {"axes": together}, shape), permuted=(source, together))

    def size(self, size: int, axis: int, source: Shape) -> int:
        """``size`` as MXNet's Reshape takes it: 0 is the input's size at that axis, -1 what remains."""
        if axis == 0 and size == source[0]:
            return 0
        return -1 if size % BATCH == 0 else self.batch_of(size, "a shape")

    def batch_of(self, size: int, what: str) -> int:
        """``size``, which must not be the batch's."""
        if size >= BATCH:
            raise self.unsupported(f"{what} that depends on the number of images")
        return size

    def _twin(self, tensor: Tensor) -> Tensor:
        """The tensor that stands for ``tensor``: itself, unless it has values, which only a constant has."""
        if id(tensor) in self._known:
            return tensor
        twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        self._bind(twin, Constant(tensor))
        self._alive.append(tensor)
        return twin

    def _compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run what does not depend on the image twice: without values for the shapes, and with them for one image."""
        leaves, structure = pytree.tree_flatten((args, kwargs))
        places = any(argument.name == "device" for argument in func._schema.arguments)
        if places and not any(isinstance(leaf, torch.device) for leaf in leaves):
            leaves, structure = pytree.tree_flatten((args, {**kwargs, "device": torch.device("meta")}))
        numbers = [leaf for leaf in leaves if isinstance(leaf, (int, float)) and leaf >= BATCH and leaf % BATCH == 0]
        if numbers and (max(numbers) > BATCH or func.overloadpacket.__name__ not in SAME_FOR_ALL):
            raise self.unsupported("a constant that depends on the number of images")
        meta_args, meta_kwargs = pytree.tree_unflatten([_on("meta", leaf) for leaf in leaves], structure)
        real_leaves = [self._real(leaf) if isinstance(leaf, Tensor) else _on("cpu", leaf) for leaf in leaves]
        real_args, real_kwargs = pytree.tree_unflatten(
            [1 if isinstance(n, int) and n == BATCH else n for n in real_leaves], structure
        )
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise self.unsupported("a random number")
        result = func(*meta_args, **meta_kwargs)
        real = func(*real_args, **real_kwargs)
        for twin, tensor in zip(pytree.tree_leaves(result), pytree.tree_leaves(real), strict=True):
            if isinstance(twin, Tensor) and id(twin) not in self._known:
                self._bind(twin, Constant(tensor))
        return result

    def _real(self, tensor: Tensor) -> Tensor:
        known = self._lookup(tensor)
        assert isinstance(known, Constant)
        return known.tensor.detach().cpu()

    def _lookup(self, tensor: Tensor) -> Value | Constant:
        if self._as_of[id(tensor)] != self._written.get(_memory(tensor), 0):
            raise self.unsupported("reading what another view has written in place")
        return self._known[id(tensor)]

    def _note_write(self, tensor: Tensor) -> None:
        memory = _memory(tensor)
        self._written[memory] = self._written.get(memory, 0) + 1

    def _bind(self, tensor: Tensor, value: Value | Constant) -> None:
        self._known[id(tensor)] = value
        self._as_of[id(tensor)] = self._written.get(_memory(tensor), 0)
        self._alive.append(tensor)


def _memory(tensor: Tensor) -> int:
    """The identity of the memory behind ``tensor``, which :class:`Tracer` keeps alive."""
    return tensor.untyped_storage()._cdata


def _on(device: str, leaf: Any) -> Any:
    return torch.device(device) if isinstance(leaf, torch.device) else leaf
