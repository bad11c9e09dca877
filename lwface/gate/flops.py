"""The official FLOPs count of a network, by watching the operators one forward pass executes.

The count is what the challenge's own program prints, whatever the network is written with. For one image, with ``Cin``
and ``Cout`` the channels of a layer's input and output, ``g`` its groups and ``K`` its kernel's elements:

* convolution with bias: ``2 * Cin * K * Ho * Wo * Cout / g``, without: ``(2 * Cin * K - 1) * Ho * Wo * Cout / g`` (the
  -1 stands inside the division, as in the official program; ``g`` divides ``Cout``, so nothing is rounded);
* fully connected layer: ``2 * inputs * outputs``, minus ``outputs`` when it has no bias. Applied to several positions
  (the tokens of a transformer, of which the official program knows nothing) it counts once a position, as the 1x1
  convolution it equals would;
* everything else counts 0. What of it multiplies matrices is reported as ``uncounted``, in multiply-adds:
  deconvolution, products of two activations, attention.

Operators are seen below the Python API, so no layer hides in a functional call, an einsum or a plain ``@``: a product
is a fully connected layer unless *both* of its operands depend on the image. A layer that runs twice counts twice. An
operator that cannot be looked into (a fused recurrent layer, a quantised or third-party kernel) is an error, because a
gate must not guess.
"""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.gate.budgets import Budget, violations

CONVOLUTION = "convolution"
FULLY_CONNECTED = "fully connected"
DECONVOLUTION = "deconvolution"
MATRIX_PRODUCT = "matrix product"
ATTENTION = "attention"

# Matrix products of ATen, with the position of their left operand: before it stands what is added to the product.
PRODUCTS = {
    "mm": 0,
    "bmm": 0,
    "mv": 0,
    "dot": 0,
    "vdot": 0,
    "addmm": 1,
    "_addmm_activation": 1,
    "baddbmm": 1,
    "addbmm": 1,
    "addmv": 1,
}
# Operators that hide products inside one kernel; together with all unknown "conv" operators they are refused.
OPAQUE = (
    "rnn",
    "lstm",
    "gru",
    "_transformer_encoder_layer_fwd",
    "_native_multi_head_attention",
    "_trilinear",
    "_scaled_mm",
    "_int_mm",
    "mkldnn_linear",
    "pack_mm",
    "_cslt_sparse_mm",
    "conv",
)
NUMBER_TYPES_OF_WEIGHTS = (torch.int8, torch.uint8)  # integers that are weights, not positions or counters


@dataclass(frozen=True)
class LayerCost:
    """What one executed layer costs; shapes are without the batch of one."""

    path: str  # module that ran it, as in named_modules()
    operation: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    groups: int
    bias: bool
    flops: int  # official count
    macs: int  # multiply-adds


@dataclass(frozen=True)
class FlopsReport:
    """What a network costs for one image, and what it weighs."""

    flops: int  # official count
    uncounted: dict[str, int]  # multiply-adds a kind of operation the official count does not see
    macs: int  # multiply-adds of everything, seen and unseen
    params: int  # numbers that are parameters
    aux: int  # numbers that are running statistics of batch norms
    model_bytes: int  # bytes of all tensors a saved model holds
    embedding: int  # numbers the network puts out
    number_type: str  # of the weights: float32, or several joined by +
    layers: list[LayerCost] = field(repr=False)


def flops_text(flops: float) -> str:
    """``flops`` as the official program prints it: one decimal and a suffix by powers of 1000, ``933.3M``."""
    for value, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if flops >= value:
            return f"{flops / value:.1f}{suffix}"
    return f"{flops:.1f}"


def count_flops(network: nn.Module, input_shape: tuple[int, ...] = (1, 3, 112, 112)) -> FlopsReport:
    """Count what ``network`` executes for one input, on the device and in the number type its weights have.

    A network that runs outside PyTorch, such as an ONNX model, gives its own ``flops_report()``.

    The network is run once in evaluation mode and left as it was. Weights on the ``meta`` device are enough: then
    nothing is computed.

    Raises:
        UserError: the batch is not 1, the network cannot be run, does not put out one tensor of the width that it
            announces, or runs an operator that hides what it computes.
    """
    if input_shape[0] != 1:
        raise UserError(f"input shape {input_shape}: FLOPs are counted for one image, so its first number is 1")
    if hasattr(network, "flops_report"):
        return network.flops_report()  # type: ignore[operator]
    weight = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    image = torch.zeros(input_shape, dtype=weight.dtype, device=weight.device)
    watcher = _Watcher(network, image)
    with evaluating(network), _looked_into(), watcher.locating(), torch.inference_mode(), watcher:
        output = _run(network, image)
    if not isinstance(output, Tensor):
        raise UserError(f"the network puts out a {type(output).__name__}: expected one tensor of shape (N, D)")
    announced = getattr(network, "embedding_size", output.numel())
    if output.numel() != announced:
        raise UserError(f"the network says that its embedding has {announced} numbers and puts out {output.numel()}")
    uncounted: Counter[str] = Counter()
    for layer in watcher.layers:
        if layer.operation not in (CONVOLUTION, FULLY_CONNECTED):
            uncounted[layer.operation] += layer.macs
    saved = {id(tensor): tensor for tensor in network.state_dict(keep_vars=True).values()}
    aux = [b for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return FlopsReport(
        flops=sum(layer.flops for layer in watcher.layers),
        uncounted=dict(uncounted),
        macs=sum(layer.macs for layer in watcher.layers),
        params=sum(parameter.numel() for parameter in network.parameters()),
        aux=sum(buffer.numel() for buffer in aux),
        model_bytes=sum(tensor.numel() * tensor.element_size() for tensor in saved.values()),
        embedding=output.numel(),
        number_type=_number_type(network),
        layers=watcher.layers,
    )


def _run(network: nn.Module, image: Tensor) -> object:
    """What the network puts out; where its layers do not fit together, an error that says between which."""
    reached: list[str] = []
    hooks = [
        child.register_forward_hook(lambda _, __, put, name=name: reached.append(f"{name} gave {_shape(put)}"))
        for name, child in network.named_children()
    ]
    try:
        return network(image)
    except UserError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        after = f" after its {reached[-1]}" if reached else ""
        raise UserError(f"the network cannot be run on an image of {_shape(image)}: {reason}{after}") from error
    finally:
        for hook in hooks:
            hook.remove()


def _shape(tensor: object) -> str:
    return "x".join(map(str, tensor.shape)) if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"


def budget_violations(report: FlopsReport, track: Budget, file_bytes: int = 0) -> list[str]:
    """What ``track`` forbids about a counted network, one sentence each; empty when it is admitted.

    Args:
        file_bytes: size of the file the network is kept in, which counts when it is larger than its tensors.
    """
    return violations(
        track,
        flops=report.flops,
        model_bytes=max(report.model_bytes, file_bytes),
        embedding=report.embedding,
        number_type=report.number_type,
    )


def _number_type(network: nn.Module) -> str:
    """The weights' number types, without ``torch.``, joined by + where there are several."""
    tensors = [*network.parameters(), *network.buffers()]
    weights = {t.dtype for t in tensors if t.is_floating_point() or t.dtype in NUMBER_TYPES_OF_WEIGHTS}
    return "+".join(sorted(str(dtype).removeprefix("torch.") for dtype in weights)) or "float32"


@contextlib.contextmanager
def _looked_into() -> Iterator[None]:
    """No fused transformer layers and no compiled graphs inside: both would hide the operators they run."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    compiling = "torch._dynamo" in sys.modules  # else nothing is compiled, and importing it takes seconds
    try:
        with (
            warnings.catch_warnings(),
            torch.compiler.set_stance("force_eager") if compiling else contextlib.nullcontext(),
        ):
            warnings.filterwarnings("ignore", "Using `torch.compile")  # it minds the hooks that locate the layers
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


class _Watcher(TorchDispatchMode):
    """Sees every operator, notes those that multiply matrices, and follows what depends on the image.

    Dependence is a property of memory, not of tensor objects, so views and writes through views are followed too.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch asks this when the class is made; True would import its compiler, which takes seconds."""
        return False

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.layers: list[LayerCost] = []
        self._paths = {id(module): name for name, module in network.named_modules()}
        self._running: list[str] = []
        self._dependent = {_memory(image)}

    @contextlib.contextmanager
    def locating(self) -> Iterator[None]:
        """Know, inside, which module is running."""

        def enter(module: nn.Module, _: Any) -> None:
            self._running.append(self._paths.get(id(module), type(module).__name__))

        def leave(*_: Any) -> None:
            self._running.pop()

        before = register_module_forward_pre_hook(enter)
        after = register_module_forward_hook(leave, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        attention = "scaled_dot_product" in name
        if not attention and name not in PRODUCTS and name not in ("convolution", "_convolution", "linear"):
            with self:  # a composite operator is watched through its parts
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            if func.namespace not in ("aten", "prim", "prims") or any(part in name for part in OPAQUE):
                where = self._running[-1] if self._running else ""
                raise UserError(f"cannot count operator {func} in module {where!r}: it hides what it computes")
        result = func(*args, **kwargs)
        if attention:
            self._attention(*args[:3], result=result)
        elif name in PRODUCTS:
            self._product(args, PRODUCTS[name], result)
        elif name == "linear":
            self._linear(*args, result=result)
        elif name in ("convolution", "_convolution"):
            self._convolution(args, result)
        tensors = (leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        if any(self._depends(tensor) for tensor in tensors):
            outputs = (leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor))
            self._dependent.update(_memory(tensor) for tensor in outputs)
        return result

    def _depends(self, tensor: Tensor) -> bool:
        return _memory(tensor) in self._dependent

    def _note(
        self,
        operation: str,
        source: Tensor,
        result: Tensor,
        *,
        flops: int = 0,
        macs: int,
        bias: bool = False,
        kernel: tuple[int, ...] = (),
        groups: int = 1,
    ) -> None:
        path = self._running[-1] if self._running else ""
        shapes = tuple(source.shape[1:]), tuple(result.shape[1:])
        self.layers.append(LayerCost(path, operation, *shapes, kernel, groups, bias, flops, macs))

    def _convolution(self, args: tuple[Any, ...], result: Tensor) -> None:
        source, weight, bias, _, _, _, transposed, _, groups = args[:9]
        kernel = tuple(weight.shape[2:])
        elements = math.prod(kernel)
        if transposed:  # (Cin, Cout / g, kernel): every input number meets Cout / g kernels
            macs = source.numel() * weight.shape[1] * elements
            self._note(DECONVOLUTION, source, result, macs=macs, bias=bias is not None, kernel=kernel, groups=groups)
            return
        inputs = weight.shape[1] * groups  # Cin
        per_output = 2 * inputs * elements - (bias is None)
        self._note(
            CONVOLUTION,
            source,
            result,
            flops=per_output * result.numel() // groups,
            macs=weight.shape[1] * elements * result.numel(),
            bias=bias is not None,
            kernel=kernel,
            groups=groups,
        )

    def _linear(self, source: Tensor, weight: Tensor, bias: Tensor | None = None, *, result: Tensor) -> None:
        macs = source.numel() * weight.shape[0]
        flops = 2 * macs - (result.numel() if bias is None else 0)
        self._note(FULLY_CONNECTED, source, result, flops=flops, macs=macs, bias=bias is not None)

    def _product(self, args: tuple[Any, ...], left_at: int, result: Tensor) -> None:
        left, right = args[left_at : left_at + 2]
        columns = right.shape[-1] if right.ndim > 1 else 1
        macs = left.numel() * columns
        if self._depends(left) and self._depends(right):
            self._note(MATRIX_PRODUCT, left, result, macs=macs)
            return
        bias = left_at == 1 and not self._depends(args[0])
        outputs = macs // max(left.shape[-1], 1)
        self._note(
            FULLY_CONNECTED,
            left if self._depends(left) else right,
            result,
            flops=2 * macs - (0 if bias else outputs),
            macs=macs,
            bias=bias,
        )

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, *, result: Any) -> None:
        output = result if isinstance(result, Tensor) else result[0]
        positions = query.numel() // query.shape[-1]  # batch, heads and queries together
        macs = positions * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        self._note(ATTENTION, query, output, macs=macs)


def _memory(tensor: Tensor) -> StorageWeakRef:
    """The identity of the memory behind ``tensor``, without keeping it alive."""
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except NotImplementedError:
        raise UserError(f"cannot count a network that computes in {tensor.layout} tensors") from None
