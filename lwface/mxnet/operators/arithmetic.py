"""Number by number: two tensors, a tensor and a scalar, functions of one number, and sums over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from lwface.mxnet.operators.operation import Operation, Shape, all_equal, numbered, operator
from lwface.mxnet.options import NodeOptions

Binary = Callable[[Tensor, Tensor], Tensor]


def _rint(x: Tensor) -> Tensor:
    return torch.ceil(x - 0.5)  # a half goes down


def _round(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.floor(torch.abs(x) + 0.5)  # a half goes away from 0


def _mod(left: Tensor, right: Tensor) -> Tensor:
    return torch.where(right == 0, 0, torch.remainder(left, right))


def _truth(compare: Binary) -> Binary:
    """MXNet's comparisons give 0 and 1 in the type of the numbers."""
    return lambda left, right: compare(left, right).to(left.dtype)


# Name in MXNet's broadcast_ and _scalar operators, names of the operator for equal shapes, what it does.
BINARY: dict[str, tuple[tuple[str, ...], Binary]] = {
    "add": (("elemwise_add", "_add", "_plus", "_Plus", "_grad_add"), torch.add),
    "sub": (("elemwise_sub", "_sub", "_minus", "_Minus"), torch.sub),
    "mul": (("elemwise_mul", "_mul", "_Mul"), torch.mul),
    "div": (("elemwise_div", "_div", "_Div"), torch.div),
    "mod": (("_mod", "_Mod"), _mod),
    "power": (("_power", "_Power"), torch.pow),
    "maximum": (("_maximum", "_Maximum"), torch.maximum),
    "minimum": (("_minimum", "_Minimum"), torch.minimum),
    "hypot": (("_hypot", "_Hypot"), torch.hypot),
    "equal": (("_equal", "_Equal"), _truth(torch.eq)),
    "not_equal": (("_not_equal", "_Not_Equal"), _truth(torch.ne)),
    "greater": (("_greater", "_Greater"), _truth(torch.gt)),
    "greater_equal": (("_greater_equal", "_Greater_Equal"), _truth(torch.ge)),
    "lesser": (("_lesser", "_Lesser"), _truth(torch.lt)),
    "lesser_equal": (("_lesser_equal", "_Lesser_Equal"), _truth(torch.le)),
    "logical_and": (("_logical_and", "_Logical_And"), _truth(torch.logical_and)),
    "logical_or": (("_logical_or", "_Logical_Or"), _truth(torch.logical_or)),
    "logical_xor": (("_logical_xor", "_Logical_Xor"), _truth(torch.logical_xor)),
}
BROADCAST_ALIASES = {"add": "plus", "sub": "minus"}  # broadcast_plus is broadcast_add


def _capitals(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _register_binary(name: str, equal_shapes: tuple[str, ...], compute: Binary) -> None:
    @operator(*equal_shapes)
    def elementwise(options: NodeOptions) -> Operation:
        return Operation(compute, ("lhs", "rhs"), expected=all_equal)

    @operator(f"broadcast_{name}", *(f"broadcast_{BROADCAST_ALIASES[n]}" for n in [name] if n in BROADCAST_ALIASES))
    def broadcast(options: NodeOptions) -> Operation:
        return Operation(compute, ("lhs", "rhs"))


# A tensor x and a number s: the name between the underscores, and what it does.
SCALAR: dict[str, Callable[[Tensor, float], Tensor]] = {
    "plus": torch.add,
    "minus": torch.sub,
    "rminus": lambda x, s: s - x,
    "mul": torch.mul,
    "div": torch.div,
    "rdiv": lambda x, s: s / x,
    "mod": lambda x, s: _mod(x, torch.full_like(x, s)),
    "rmod": lambda x, s: _mod(torch.full_like(x, s), x),
    "power": torch.pow,
    "rpower": lambda x, s: torch.pow(s, x),
    "maximum": lambda x, s: x.clamp(min=s),
    "minimum": lambda x, s: x.clamp(max=s),
    "hypot": lambda x, s: torch.hypot(x, torch.full_like(x, s)),
    "equal": lambda x, s: (x == s).to(x.dtype),
    "not_equal": lambda x, s: (x != s).to(x.dtype),
    "greater": lambda x, s: (x > s).to(x.dtype),
    "greater_equal": lambda x, s: (x >= s).to(x.dtype),
    "lesser": lambda x, s: (x < s).to(x.dtype),
    "lesser_equal": lambda x, s: (x <= s).to(x.dtype),
    "logical_and": lambda x, s: ((x != 0) & (s != 0)).to(x.dtype),
    "logical_or": lambda x, s: ((x != 0) | (s != 0)).to(x.dtype),
    "logical_xor": lambda x, s: ((x != 0) ^ (s != 0)).to(x.dtype),
}
SCALAR_CAPITALS = {"rminus": "RMinus", "rdiv": "RDiv", "rmod": "RMod", "rpower": "RPower"}


def _register_scalar(name: str, compute: Callable[[Tensor, float], Tensor]) -> None:
    @operator(f"_{name}_scalar", f"_{SCALAR_CAPITALS.get(name, _capitals(name))}Scalar")
    def scalar(options: NodeOptions) -> Operation:
        number = options.number("scalar", 1.0)
        options.ignore("is_int")  # decides the type for integers only
        return Operation(lambda x: compute(x, number))


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "sign": torch.sign,
    "ceil": torch.ceil,
    "floor": torch.floor,
    "trunc": torch.trunc,
    "fix": torch.trunc,
    "rint": _rint,
    "round": _round,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "cbrt": lambda x: torch.sign(x) * torch.abs(x).pow(1 / 3),
    "rcbrt": lambda x: torch.sign(x) * torch.abs(x).pow(-1 / 3),
    "reciprocal": torch.reciprocal,
    "negative": torch.neg,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "arcsin": torch.asin,
    "arccos": torch.acos,
    "arctan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "arcsinh": torch.asinh,
    "arccosh": torch.acosh,
    "arctanh": torch.atanh,
    "degrees": torch.rad2deg,
    "radians": torch.deg2rad,
    "erf": torch.erf,
    "erfinv": torch.erfinv,
    "gammaln": torch.lgamma,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softsign": torch.nn.functional.softsign,
    "logical_not": lambda x: (x == 0).to(x.dtype),
    "zeros_like": torch.zeros_like,
    "ones_like": torch.ones_like,
}


def _register_unary(name: str, compute: Callable[[Tensor], Tensor]) -> None:
    @operator(name)
    def unary(options: NodeOptions) -> Operation:
        return Operation(compute)


def _register_all() -> None:
    for name, (equal_shapes, binary) in BINARY.items():
        _register_binary(name, equal_shapes, binary)
    for name, scalar in SCALAR.items():
        _register_scalar(name, scalar)
    for name, unary in UNARY.items():
        _register_unary(name, unary)


_register_all()


@operator("add_n", "ElementWiseSum")
def add_n(options: NodeOptions) -> Operation:
    """The sum of any number of tensors of one shape."""
    names = numbered(options)

    def compute(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return first

    return Operation(compute, names, expected=all_equal)


@operator("where")
def where(options: NodeOptions) -> Operation:
    """``x`` where the condition is not 0, else ``y``."""
    return Operation(
        lambda condition, x, y: torch.where(condition != 0, x, y), ("condition", "x", "y"), expected=all_equal
    )


@operator("clip")
def clip(options: NodeOptions) -> Operation:
    """Numbers below ``a_min`` and above ``a_max`` become these."""
    low, high = options.number("a_min"), options.number("a_max")
    if low > high:  # MXNet looks at a_max first, PyTorch at a_min
        return Operation(lambda x: torch.where(x > high, high, x.clamp(min=low)))
    return Operation(partial(torch.clamp, min=low, max=high))


@operator("hard_sigmoid")
def hard_sigmoid(options: NodeOptions) -> Operation:
    """``alpha x + beta`` between 0 and 1."""
    alpha, beta = options.number("alpha", 0.2), options.number("beta", 0.5)
    return Operation(lambda x: (x * alpha + beta).clamp(0, 1))


@operator("smooth_l1")
def smooth_l1(options: NodeOptions) -> Operation:
    """``(s x)^2 / 2`` near 0, ``|x| - 1 / (2 s^2)`` beyond ``1 / s^2``."""
    squared = options.number("scalar", 1.0) ** 2
    if squared == 0:
        raise options.error("scalar is 0")
    return Operation(lambda x: torch.where(x.abs() < 1 / squared, x * x * (squared / 2), x.abs() - 0.5 / squared))


def _axes(options: NodeOptions) -> Callable[[Tensor], tuple[int, ...]]:
    """The axes that a reduction goes over, from its options ``axis`` and ``exclude``; absent or empty: all of them."""
    axes, exclude = options.integers("axis", ()), options.flag("exclude", False)

    def chosen(x: Tensor) -> tuple[int, ...]:
        if not axes:
            return tuple(range(x.ndim))
        named = {axis + x.ndim if axis < 0 else axis for axis in axes}
        if len(named) != len(axes) or not named <= set(range(x.ndim)):
            raise options.error(f"axis {axes} does not fit {x.ndim} dimensions")
        return tuple(axis for axis in range(x.ndim) if (axis in named) != exclude)

    return chosen


def _product(x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


REDUCTIONS: dict[tuple[str, ...], Callable[[Tensor, tuple[int, ...], bool], Tensor]] = {
    ("sum", "sum_axis"): torch.sum,
    ("mean",): torch.mean,
    ("max", "max_axis"): torch.amax,
    ("min", "min_axis"): torch.amin,
    ("prod",): _product,
}


def _register_reduction(names: tuple[str, ...], reduce: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> None:
    @operator(*names)
    def reduction(options: NodeOptions) -> Operation:
        axes, keepdims = _axes(options), options.flag("keepdims", False)

        def compute(x: Tensor) -> Tensor:
            chosen = axes(x)
            return _at_least_1d(reduce(x, chosen, keepdims)) if chosen else x  # torch takes no axes for all axes

        return Operation(compute)


for _names, _reduce in REDUCTIONS.items():
    _register_reduction(_names, _reduce)


def _at_least_1d(x: Tensor) -> Tensor:
    """MXNet's symbols know no tensor without dimensions: a sum over everything has one number in one dimension."""
    return x.reshape(1) if x.ndim == 0 else x


@operator("norm")
def norm(options: NodeOptions) -> Operation:
    """The 1-norm or 2-norm over one or two axes, or over everything."""
    order = options.integer("ord", 2)
    if order not in (1, 2):
        raise options.error(f"ord is {order}, expected 1 or 2")
    axes, keepdims = _axes(options), options.flag("keepdims", False)
    options.choice("out_dtype", ("None",), "None")

    def compute(x: Tensor) -> Tensor:
        size = x.abs().sum(axes(x), keepdims) if order == 1 else x.square().sum(axes(x), keepdims).sqrt()
        return _at_least_1d(size)

    return Operation(compute)


@operator("dot")
def dot(options: NodeOptions) -> Operation:
    """The last axis of the first tensor times the first of the second; ``transpose_a`` takes the first's first one."""
    left_first, right_last = options.flag("transpose_a", False), options.flag("transpose_b", False)
    options.choice("forward_stype", ("None", "default"), "None")

    def compute(left: Tensor, right: Tensor) -> Tensor:
        if left.ndim == 1 and right.ndim == 1:
            return left.dot(right).reshape(1)
        left_axis = 0 if left_first else left.ndim - 1
        right_axis = right.ndim - 1 if right_last else 0
        return torch.tensordot(left, right, ([left_axis], [right_axis]))

    return Operation(
        compute, ("lhs", "rhs"), terms=lambda inputs: inputs[1].shape[-1 if right_last else 0] if inputs[1].ndim else 1
    )


@operator("batch_dot")
def batch_dot(options: NodeOptions) -> Operation:
    """A matrix product for each matrix of two stacks (..., A, B) and (..., B, C)."""
    left_turned, right_turned = options.flag("transpose_a", False), options.flag("transpose_b", False)
    options.choice("forward_stype", ("None", "default"), "None")

    def compute(left: Tensor, right: Tensor) -> Tensor:
        return torch.matmul(left.mT if left_turned else left, right.mT if right_turned else right)

    def expected(shapes: Sequence[Shape]) -> list[Shape | None]:
        return [None, (*shapes[0][:-2], *shapes[1][-2:])]

    return Operation(compute, ("lhs", "rhs"), expected=expected, terms=lambda inputs: max(inputs[0].shape[-2:]))
