"""Operators that move numbers: reshape, slice, join, pad, crop, enlarge; and the heads that a network ends in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lwface.mxnet.operators.operation import Operation, Shape, numbered, operator
from lwface.mxnet.options import NodeOptions

MAX_PARTS = 4096  # of a tensor that is split
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}


@operator("Reshape", "reshape")
def reshape(options: NodeOptions) -> Operation:
    """A new shape; 0 keeps a size, -1 is what is left, -2 keeps all others, -3 joins two, -4 splits one in two."""
    codes, reverse = options.integers("shape", (), low=-4), options.flag("reverse", False)
    target, keep_highest = options.integers("target_shape", (), low=0), options.flag("keep_highest", False)
    if not codes and not target:
        raise options.error("the option shape is missing")

    def compute(x: Tensor) -> Tensor:
        if codes:
            return x.reshape(_reshaped(options, codes, tuple(x.shape), reverse))
        sizes = [x.shape[0] if i == 0 and keep_highest else size or -1 for i, size in enumerate(target)]
        return x.reshape(sizes)

    return Operation(compute)


def _reshaped(options: NodeOptions, codes: Sequence[int], shape: Shape, reverse: bool) -> list[int]:
    """The sizes that ``codes`` make of ``shape``, with -1 where a size follows from the others."""
    if reverse:
        # MXNet turns the codes round with the sizes, so a -4 would have to come after the sizes it splits into.
        found = _reshaped(options, codes[::-1], shape[::-1], False)
        return found[::-1]
    sizes: list[int] = []
    at = i = 0
    while i < len(codes):
        code = codes[i]
        needed = {0: 1, -3: 2, -4: 1}.get(code, 0)
        if (needed and at + needed > len(shape)) or (code == -4 and i + 2 >= len(codes)):
            raise options.error(f"shape {tuple(codes)} does not fit an input of shape {shape}")
        if code == 0:
            sizes.append(shape[at])
        elif code == -2:
            sizes += shape[at:]
        elif code == -3:
            sizes.append(shape[at] * shape[at + 1])
        elif code == -4:
            sizes += _split(options, shape[at], codes[i + 1], codes[i + 2])
            i += 2
        else:
            sizes.append(code)
        at = len(shape) if code == -2 else at + max(needed, 1)
        i += 1
    return sizes


def _split(options: NodeOptions, size: int, first: int, second: int) -> list[int]:
    if first == -1 and second > 0:
        first = size // second
    elif second == -1 and first > 0:
        second = size // first
    if first < 0 or second < 0 or first * second != size:
        raise options.error(f"a size of {size} does not split into {first} and {second}")
    return [first, second]


@operator("reshape_like")
def reshape_like(options: NodeOptions) -> Operation:
    """The shape of the second tensor."""
    return Operation(lambda x, like: x.reshape(like.shape), ("lhs", "rhs"))


@operator("Flatten", "flatten")
def flatten(options: NodeOptions) -> Operation:
    """All of an image in one row."""
    return Operation(lambda x: x.flatten(1))


@operator("transpose")
def transpose(options: NodeOptions) -> Operation:
    """The axes in another order; without one, turned round."""
    axes = options.integers("axes", ())
    return Operation(lambda x: x.permute(axes or tuple(reversed(range(x.ndim)))))


@operator("SwapAxis", "swapaxes")
def swap_axes(options: NodeOptions) -> Operation:
    """Two axes exchanged."""
    first, second = options.integer("dim1", 0), options.integer("dim2", 0)
    return Operation(lambda x: x.transpose(first, second))


@operator("expand_dims")
def expand_dims(options: NodeOptions) -> Operation:
    """A new axis of size 1."""
    axis = options.integer("axis")
    return Operation(lambda x: x.unsqueeze(axis))


@operator("squeeze")
def squeeze(options: NodeOptions) -> Operation:
    """Without axes of size 1: those named, or all but the first, which counts the images: also one of them is a row."""
    axes = options.integers("axis", ())

    def compute(x: Tensor) -> Tensor:
        if any(x.shape[axis] != 1 for axis in axes):
            raise options.error(f"axis {axes} of an input of shape {tuple(x.shape)} does not have size 1")
        return x.squeeze(axes or tuple(range(1, x.ndim)))

    return Operation(compute)


@operator("Concat", "concat")
def concat(options: NodeOptions) -> Operation:
    """Joined along an axis that is there."""
    names, axis = numbered(options), options.integer("dim", 1)
    return Operation(lambda *inputs: torch.cat(inputs, axis), names)


@operator("stack")
def stack(options: NodeOptions) -> Operation:
    """Joined along a new axis."""
    names, axis = numbered(options), options.integer("axis", 0)
    return Operation(lambda *inputs: torch.stack(inputs, axis), names)


@operator("SliceChannel", "split")
def slice_channel(options: NodeOptions) -> Operation:
    """Equal parts along an axis, which goes away where ``squeeze_axis`` says so."""
    parts, axis = options.integer("num_outputs", low=1, high=MAX_PARTS), options.integer("axis", 1)
    squeezed = options.flag("squeeze_axis", False)

    def compute(x: Tensor) -> Tensor | tuple[Tensor, ...]:
        size = x.shape[axis]
        if size % parts or (squeezed and size != parts):
            raise options.error(f"axis {axis} of size {size} does not divide into {parts} parts")
        found = x.unbind(axis) if squeezed else x.split(size // parts, axis)
        return found if parts > 1 else found[0]

    return Operation(compute, outputs=parts)


@operator("slice", "crop")
def slice_axes(options: NodeOptions) -> Operation:
    """``begin`` to ``end`` by ``step`` of the first axes; None is the end of an axis."""
    begin, end = options.optional_integers("begin"), options.optional_integers("end")
    step = options.optional_integers("step")
    if len(begin) != len(end) or len(step) not in (0, len(begin)) or 0 in step:
        raise options.error(f"begin {begin}, end {end} and step {step} do not belong together")

    def compute(x: Tensor) -> Tensor:
        for axis, (first, stop) in enumerate(zip(begin, end, strict=True)):
            x = _sliced(x, axis, first, stop, (step[axis] if step else None) or 1)
        return x

    return Operation(compute)


def _sliced(x: Tensor, axis: int, begin: int | None, end: int | None, step: int) -> Tensor:
    """A slice as Python makes it, of a tensor, which PyTorch cannot step through backwards."""
    if step > 0:
        return x[(slice(None),) * axis + (slice(begin, end, step),)]
    places = range(x.shape[axis])[begin:end:step]
    return x.index_select(axis, torch.arange(places.start, places.stop, places.step, device=x.device))


@operator("slice_axis")
def slice_axis(options: NodeOptions) -> Operation:
    """``begin`` to ``end`` of one axis; None is its end."""
    axis, begin = options.integer("axis"), options.integer("begin")
    end = options.optional_integer("end")
    return Operation(lambda x: x.narrow(axis, *_range(options, x.shape[axis], begin, end)))


def _range(options: NodeOptions, size: int, begin: int, end: int | None) -> tuple[int, int]:
    """First position and number of positions of a range in an axis of ``size``."""
    first, stop = begin + size if begin < 0 else begin, size if end is None else end + size if end < 0 else end
    if not 0 <= first < stop <= size:
        raise options.error(f"begin {begin} and end {end} do not fit an axis of size {size}")
    return first, stop - first


@operator("slice_like")
def slice_like(options: NodeOptions) -> Operation:
    """Cut to the sizes of the second tensor, along all axes or those named."""
    axes = options.integers("axes", ())

    def compute(x: Tensor, like: Tensor) -> Tensor:
        for axis in axes or range(x.ndim):
            x = x.narrow(axis, 0, like.shape[axis])
        return x

    return Operation(compute, ("data", "shape_like"))


@operator("reverse", "flip")
def reverse(options: NodeOptions) -> Operation:
    """Turned round along axes."""
    axes = options.integers("axis")
    return Operation(lambda x: x.flip(axes))


@operator("tile")
def tile(options: NodeOptions) -> Operation:
    """Repeated as a whole along each axis."""
    times = options.integers("reps", low=1)
    return Operation(lambda x: x.tile(times))


@operator("repeat")
def repeat(options: NodeOptions) -> Operation:
    """Each number several times along an axis, or in one row."""
    times, axis = options.integer("repeats", low=1), options.optional_integer("axis")
    return Operation(
        lambda x: x.flatten().repeat_interleave(times) if axis is None else x.repeat_interleave(times, axis)
    )


@operator("broadcast_axis", "broadcast_axes")
def broadcast_axis(options: NodeOptions) -> Operation:
    """Axes of size 1 repeated to the sizes given."""
    axes, sizes = options.integers("axis", ()), options.integers("size", (), low=1)
    if len(axes) != len(sizes):
        raise options.error(f"axis {axes} and size {sizes} do not belong together")

    def compute(x: Tensor) -> Tensor:
        shape = list(x.shape)
        for axis, size in zip(axes, sizes, strict=True):
            shape[axis] = size
        return x.expand(shape)

    return Operation(compute)


@operator("broadcast_to")
def broadcast_to(options: NodeOptions) -> Operation:
    """Axes of size 1 repeated to the shape given, in which 0 keeps a size."""
    shape = options.integers("shape", low=0)
    return Operation(lambda x: x.expand([size or -1 for size in shape]))


@operator("broadcast_like")
def broadcast_like(options: NodeOptions) -> Operation:
    """Axes of size 1 repeated to the sizes of the second tensor."""
    left, right = options.integers("lhs_axes", ()), options.integers("rhs_axes", ())
    if len(left) != len(right):
        raise options.error(f"lhs_axes {left} and rhs_axes {right} do not belong together")

    def compute(x: Tensor, like: Tensor) -> Tensor:
        shape = list(x.shape) if left else list(like.shape)
        for axis, other in zip(left, right, strict=True):
            shape[axis] = like.shape[other]
        return x.expand(shape)

    return Operation(compute, ("lhs", "rhs"))


@operator("depth_to_space")
def depth_to_space(options: NodeOptions) -> Operation:
    """Channels become positions; the block is the outermost part of the channels."""
    block = options.integer("block_size", low=1)

    def compute(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, block, block, c // (block * block), h, w)
        return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, c // (block * block), h * block, w * block)

    return Operation(compute)


@operator("space_to_depth")
def space_to_depth(options: NodeOptions) -> Operation:
    """Positions become channels: the inverse of ``depth_to_space``."""
    block = options.integer("block_size", low=1)

    def compute(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, c, h // block, block, w // block, block)
        return parts.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block * block, h // block, w // block)

    return Operation(compute)


@operator("Pad", "pad")
def pad(options: NodeOptions) -> Operation:
    """Margins of the spatial axes: a constant, the edge or a reflection."""
    mode = options.choice("mode", ("constant", "edge", "reflect"))
    width, value = options.integers("pad_width", low=0), options.number("constant_value", 0.0)
    if len(width) not in (8, 10) or any(width[:4]):
        raise options.error(f"pad_width {width}: expected 8 or 10 numbers, the first four of them 0")
    pairs = [width[i : i + 2] for i in range(4, len(width), 2)]
    margins = [size for pair in reversed(pairs) for size in pair]

    def compute(x: Tensor) -> Tensor:
        if mode == "constant":
            return F.pad(x, margins, value=value)
        return F.pad(x, margins, mode="replicate" if mode == "edge" else "reflect")

    return Operation(compute, expected=lambda shapes: [(*shapes[0], *(1,) * (len(width) // 2))[: len(width) // 2]])


@operator("Crop")
def crop_window(options: NodeOptions) -> Operation:
    """A window of ``h_w``, or of the size of a second tensor, at ``offset`` or in the middle."""
    names = numbered(options)
    offset, size = options.sizes("offset", 2, 0, low=0), options.sizes("h_w", 2, 0, low=0)
    center = options.flag("center_crop", False)
    if len(names) > 2:
        raise options.error(f"it has {len(names)} inputs, expected 1 or 2")

    def compute(x: Tensor, like: Tensor | None = None) -> Tensor:
        wanted = size if like is None else tuple(like.shape[2:4])
        for axis in (2, 3):
            first = (x.shape[axis] - wanted[axis - 2]) // 2 if center else offset[axis - 2]
            start, length = _range(options, x.shape[axis], first, first + wanted[axis - 2])
            x = x.narrow(axis, start, length)
        return x

    return Operation(compute, ("data", "crop_like")[: len(names)])


@operator("UpSampling")
def up_sampling(options: NodeOptions) -> Operation:
    """Enlarged by a whole number: ``nearest``, several inputs to one size, or ``bilinear`` by an array of weights."""
    scale, mode = options.integer("scale", low=1), options.choice("sample_type", ("nearest", "bilinear"))
    join = options.choice("multi_input_mode", ("concat", "sum"), "concat")
    options.ignore("num_filter")
    if mode == "bilinear":
        options.ignore("num_args")  # MXNet writes 1 or 2
        kernel, margin = 2 * scale - scale % 2, math.ceil((scale - 1) / 2)

        def bilinear(x: Tensor, weight: Tensor) -> Tensor:
            return F.conv_transpose2d(x, weight, None, scale, margin, 0, x.shape[1])

        def expected(shapes: Sequence[Shape]) -> list[Shape | None]:
            return [None, (shapes[0][1] if len(shapes[0]) == 4 else 0, 1, kernel, kernel)]

        return Operation(
            bilinear,
            ("data", "weight"),
            expected=expected,
            terms=lambda _: kernel * kernel,
            laid_out=lambda inputs, _: kernel * kernel * inputs[0][0, 0].numel(),
        )

    def nearest(*inputs: Tensor) -> Tensor:
        height, width = inputs[0].shape[2] * scale, inputs[0].shape[3] * scale
        if any(height % x.shape[2] or width % x.shape[3] for x in inputs):
            raise options.error(f"an input does not divide the output of {height} x {width}")
        factors = [(height // x.shape[2], width // x.shape[3]) for x in inputs]
        enlarged = [
            x.repeat_interleave(down, 2).repeat_interleave(across, 3)
            for x, (down, across) in zip(inputs, factors, strict=True)
        ]
        return sum(enlarged[1:], enlarged[0]) if join == "sum" else torch.cat(enlarged, 1)

    return Operation(nearest, numbered(options))


@operator("_contrib_BilinearResize2D")
def bilinear_resize(options: NodeOptions) -> Operation:
    """Bilinear to a size given, or by factors; without one for the height MXNet does not look at that for the width."""
    given = options.integer("height", 1, low=1), options.integer("width", 1, low=1)
    factors = [options.number(name, 0.0) for name in ("scale_height", "scale_width")]
    if factors[0] and not factors[1]:
        raise options.error("scale_height without scale_width")
    corners = options.flag("align_corners", True)
    options.choice("mode", ("size",), "size")

    def compute(x: Tensor) -> Tensor:
        size = [int(x.shape[i + 2] * factor) for i, factor in enumerate(factors)] if factors[0] else given
        for axis, length in enumerate(size, 2):
            if length == 1:  # MXNet takes the first position, PyTorch without corners that in the middle
                x = x.narrow(axis, 0, 1)
        return F.interpolate(x, size, mode="bilinear", align_corners=corners)

    return Operation(compute)


@operator("_contrib_AdaptiveAvgPooling2D")
def adaptive_average(options: NodeOptions) -> Operation:
    """The average of as many windows as the output has numbers."""
    size = options.integers("output_size", (), low=1) or (1,)
    if len(size) > 2:
        raise options.error(f"output_size {size}: expected one number or two")
    return Operation(lambda x: F.adaptive_avg_pool2d(x, (size[0], size[-1])))


@operator("Cast", "cast")
def cast(options: NodeOptions) -> Operation:
    """Another number type."""
    dtype = DTYPES[options.choice("dtype", tuple(DTYPES))]
    return Operation(lambda x: x.to(dtype))


@operator("amp_cast")
def amp_cast(options: NodeOptions) -> Operation:
    """Another number type, for numbers that are not whole."""
    dtype = DTYPES[options.choice("dtype", tuple(DTYPES))]
    return Operation(lambda x: x.to(dtype) if x.is_floating_point() else x)


@operator("identity", "_copy", "_identity_with_attr_like_rhs", "_CrossDeviceCopy")
def identity(options: NodeOptions) -> Operation:
    """Nothing."""
    return Operation(lambda x: x)
