"""Makes ``golden/operators.json.gz``: what MXNet 1.9.1 computes for small graphs, one a line.

Runs under MXNet's own Python (3.11, numpy 1.23.5), which the project's environment does not have:

    MXNET_SUBGRAPH_BACKEND=NONE MXNET_MKLDNN_ENABLED=0 python tests/mxnet/make_golden.py

(MKL-DNN is off because its deconvolution knows no ``target_shape``.)

A line holds the graph as MXNet writes it, the shapes of input and arrays, the range of the input, and the output as
float32 in base64. Input and arrays are not stored: :func:`numbers` makes them again from the case's name.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent / "golden" / "operators.json.gz"


def numbers(case: str, name: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """The numbers of an input or array; those of a variance are above 0."""
    if name.endswith("var"):
        low, high = 0.5, 2.0
    draw = np.random.RandomState(zlib.crc32(f"{case} {name}".encode()))  # the same in every version of NumPy
    return draw.uniform(low, high, shape).astype(np.float32)


def cases(mx):
    """``name -> (symbol of data, shape of data, range of data)``; every symbol ends in one row an image."""
    S = mx.sym
    found = {}
    images = S.Variable("data")

    def data():
        return images

    def add(name, symbol, shape=(2, 4, 5, 3), span=(-2.0, 2.0)):
        assert name not in found, name
        found[name] = (S.Flatten(symbol, name="row"), shape, span)

    def array(name, shape):
        return S.Variable(name, shape=shape)

    def each(prefix, make, options, shape=(2, 4, 5, 3), **span):
        for tag, kwargs in options.items():
            add(f"{prefix} {tag}", make(data(), name="x", **kwargs), shape, **span)

    each(
        "Convolution",
        S.Convolution,
        {
            "plain": {"kernel": (3, 3), "num_filter": 6},
            "no bias": {"kernel": (3, 2), "num_filter": 6, "no_bias": True},
            "stride pad": {"kernel": (3, 3), "num_filter": 6, "stride": (2, 1), "pad": (1, 2)},
            "dilate": {"kernel": (2, 3), "num_filter": 6, "dilate": (2, 2), "pad": (2, 2)},
            "groups": {
                "kernel": (3, 3),
                "num_filter": 6,
                "num_group": 2,
                "pad": (1, 1),
                "workspace": 512,
                "cudnn_tune": "off",
            },
            "depthwise": {"kernel": (3, 3), "num_filter": 4, "num_group": 4, "layout": "NCHW"},
        },
    )
    each(
        "Convolution 1-D",
        S.Convolution,
        {
            "plain": {"kernel": (3,), "num_filter": 3},
            "stride": {"kernel": 3, "num_filter": 3, "stride": 2, "pad": 1, "dilate": 2},
        },
        (2, 4, 11),
    )
    add("Convolution 3-D", S.Convolution(data(), kernel=(2, 2, 2), num_filter=2, pad=(1, 0, 1)), (2, 3, 4, 4, 4))
    each(
        "Deconvolution",
        S.Deconvolution,
        {
            "plain": {"kernel": (3, 3), "num_filter": 6},
            "bias": {"kernel": (3, 3), "num_filter": 6, "no_bias": False},
            "stride pad adj": {"kernel": (3, 3), "num_filter": 6, "stride": (2, 3), "pad": (1, 1), "adj": (1, 2)},
            "target even": {"kernel": (4, 4), "num_filter": 6, "stride": (2, 2), "target_shape": (10, 6)},
            "target odd": {"kernel": (4, 4), "num_filter": 6, "stride": (2, 2), "target_shape": (9, 5)},
            "target ignores pad": {
                "kernel": (4, 4),
                "num_filter": 6,
                "stride": (2, 2),
                "target_shape": (10, 6),
                "pad": (3, 3),
            },
            "groups": {"kernel": (4, 4), "num_filter": 4, "stride": (2, 2), "pad": (1, 1), "num_group": 4},
            "groups of two": {"kernel": (3, 2), "num_filter": 6, "num_group": 2},
            "dilate": {"kernel": (3, 3), "num_filter": 2, "dilate": (2, 1)},
        },
    )
    add("Deconvolution 1-D", S.Deconvolution(data(), kernel=(3,), num_filter=2, stride=(2,)), (2, 4, 5))
    each(
        "FullyConnected",
        S.FullyConnected,
        {
            "plain": {"num_hidden": 7},
            "no bias": {"num_hidden": 7, "no_bias": True},
            "last": {"num_hidden": 7, "flatten": False},
        },
    )
    each("FullyConnected 2-D", S.FullyConnected, {"plain": {"num_hidden": 3}}, (2, 9))
    each(
        "BatchNorm",
        S.BatchNorm,
        {
            "defaults": {},
            "gamma": {"fix_gamma": False, "eps": 2e-5, "momentum": 0.9},
            "global": {"fix_gamma": False, "use_global_stats": True},
            "axis": {"fix_gamma": False, "axis": 3},
            "last axis": {"fix_gamma": False, "axis": -1},
        },
    )
    each("BatchNorm 2-D", S.BatchNorm, {"gamma": {"fix_gamma": False}}, (3, 5))
    each("BatchNorm_v1", S.BatchNorm_v1, {"defaults": {}, "gamma": {"fix_gamma": False, "eps": 1e-4}})
    each("InstanceNorm", S.InstanceNorm, {"defaults": {}, "eps": {"eps": 0.1}})
    each("LayerNorm", S.LayerNorm, {"defaults": {}, "axis": {"axis": 1, "eps": 0.1}})
    each("GroupNorm", S.GroupNorm, {"one": {}, "two": {"num_groups": 2, "eps": 0.01}})
    each("LRN", S.LRN, {"defaults": {"nsize": 3}, "all": {"nsize": 3, "alpha": 0.5, "beta": 0.5, "knorm": 1.5}})
    each("L2Normalization", S.L2Normalization, {m: {"mode": m} for m in ("instance", "channel", "spatial")})
    add("L2Normalization 2-D", S.L2Normalization(data(), eps=0.1), (3, 7))
    for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign"):
        add(f"Activation {kind}", S.Activation(data(), act_type=kind))
    for kind in ("leaky", "prelu", "elu", "selu", "gelu", "rrelu"):
        add(f"LeakyReLU {kind}", S.LeakyReLU(data(), act_type=kind, name="x")[0])
    add("LeakyReLU prelu one slope", S.LeakyReLU(data(), array("x_gamma", (1,)), act_type="prelu", name="x"))
    add("LeakyReLU prelu 2-D", S.LeakyReLU(data(), act_type="prelu", name="x"), (3, 5))
    each("LeakyReLU options", S.LeakyReLU, {"leaky": {"slope": 0.1}, "elu": {"act_type": "elu", "slope": 0.7}})
    add("LeakyReLU options rrelu", S.LeakyReLU(data(), act_type="rrelu", lower_bound=0.1, upper_bound=0.2)[0])
    for kind in ("max", "avg", "sum", "lp"):
        power = {"p_value": 2} if kind == "lp" else {}
        each(
            f"Pooling {kind}",
            S.Pooling,
            {
                "plain": dict(pool_type=kind, kernel=(2, 2), **power),
                "stride": dict(pool_type=kind, kernel=(3, 2), stride=(2, 2), **power),
                "pad": dict(pool_type=kind, kernel=(3, 3), stride=(2, 2), pad=(1, 1), **power),
                "big pad": dict(pool_type=kind, kernel=(3, 3), stride=(1, 1), pad=(2, 2), **power),
                "full": dict(pool_type=kind, kernel=(3, 3), stride=(2, 2), pooling_convention="full", **power),
                "full pad": dict(
                    pool_type=kind, kernel=(3, 3), stride=(3, 2), pad=(1, 1), pooling_convention="full", **power
                ),
                "full cut": dict(
                    pool_type=kind, kernel=(2, 2), stride=(3, 3), pad=(1, 1), pooling_convention="full", **power
                ),
                "global": dict(pool_type=kind, global_pool=True, **power),
                "global kernel": dict(
                    pool_type=kind, global_pool=True, kernel=(7, 7), pad=(1, 1), stride=(2, 2), **power
                ),
            },
        )
    for tag, kwargs in {
        "valid": {"pad": (1, 1)},
        "full": {"pad": (1, 1), "pooling_convention": "full"},
        "big": {"pad": (2, 2)},
    }.items():
        kwargs = dict(kernel=(3, 3), stride=(2, 2), pool_type="avg", count_include_pad=False, **kwargs)
        add(f"Pooling avg without pad {tag}", S.Pooling(data(), **kwargs))
    for counted in (True, False):
        kwargs = {"kernel": (3, 3), "stride": (3, 2), "pad": (1, 1), "count_include_pad": counted}
        pooled = S.Pooling(data(), pool_type="avg", pooling_convention="full", **kwargs)
        add(f"Pooling avg pad alone {counted}", pooled)
    for power in (1, 3):
        add(f"Pooling lp {power}", S.Pooling(data(), kernel=(2, 2), pool_type="lp", p_value=power), span=(0.1, 2.0))
    add("Pooling 1-D", S.Pooling(data(), kernel=(3,), stride=(2,), pool_type="avg"), (2, 3, 9))
    add(
        "Pooling 1-D max",
        S.Pooling(data(), kernel=(3,), stride=(2,), pool_type="max", pooling_convention="full"),
        (2, 3, 8),
    )
    add("Pooling 3-D", S.Pooling(data(), kernel=(2, 2, 2), pool_type="max"), (2, 2, 3, 4, 3))
    for kind in ("max", "avg", "sum"):
        kwargs = {"pool_type": kind, "kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)}
        add(f"Pooling_v1 {kind}", S.Pooling_v1(data(), **kwargs), span=(-2.0, -0.5))
        add(f"Pooling_v1 {kind} full", S.Pooling_v1(data(), pooling_convention="full", **kwargs), span=(-2.0, -0.5))
        add(f"Pooling_v1 {kind} global", S.Pooling_v1(data(), pool_type=kind, kernel=(3, 3), global_pool=True))
    add_arithmetic(S, add, data, array)
    add_shaping(S, add, data, array)
    add_heads(S, add, data)
    return found


def add_arithmetic(S, add, data, array):
    """Cases of ``mxnet_operators/arithmetic.py``."""
    names = "add sub mul div mod power maximum minimum hypot equal not_equal greater greater_equal lesser lesser_equal"
    for name in f"{names} logical_and logical_or logical_xor".split():
        right = array("other", (1, 4, 1, 1))
        add(f"broadcast_{name}", getattr(S, f"broadcast_{name}")(S.rint(data()), S.rint(S.abs(right) * 2) + 1))
    names = "elemwise_add elemwise_sub elemwise_mul elemwise_div _plus _Minus _mul _Div _grad_add"
    for name in names.split():
        make = getattr(S, name) if hasattr(S, name) else getattr(S._internal, name)
        add(name, make(data(), S.abs(data()) + 1))
    names = "_mod _power _Maximum _minimum _hypot _equal _not_equal _greater _greater_equal _lesser _lesser_equal"
    for name in f"{names} _logical_and _logical_or _logical_xor".split():
        add(name, getattr(S._internal, name)(S.rint(data()), S.rint(S.abs(data())) + 1))
    scalars = "plus minus rminus mul div rdiv mod rmod power rpower maximum minimum hypot equal not_equal greater"
    for name in f"{scalars} greater_equal lesser lesser_equal logical_and logical_or logical_xor".split():
        add(
            f"_{name}_scalar",
            getattr(S._internal, f"_{name}_scalar")(S.rint(data()) + 0.5, scalar=1.5),
            span=(0.6, 3.0),
        )
    for name in ["PlusScalar", "RMinusScalar", "DivScalar", "RPowerScalar", "MaximumScalar", "GreaterEqualScalar"]:
        add(f"_{name}", getattr(S._internal, f"_{name}")(data(), scalar=0.5))
    anything = (
        "abs sign ceil floor trunc fix rint round square cbrt exp expm1 sin cos tan arctan sinh cosh tanh arcsinh"
    )
    for (
        name
    ) in f"{anything} degrees radians erf sigmoid relu softsign negative logical_not zeros_like ones_like".split():
        add(name, getattr(S, name)(data()), (2, 12))
    for name in ["sqrt", "rsqrt", "rcbrt", "reciprocal", "log", "log2", "log10", "log1p", "gammaln"]:
        add(name, getattr(S, name)(data()), (2, 12), (0.1, 3.0))
    for name in ["arcsin", "arccos", "arctanh", "erfinv"]:
        add(name, getattr(S, name)(data()), (2, 12), (-0.9, 0.9))
    add("arccosh", S.arccosh(data()), (2, 12), (1.1, 3.0))
    add("rint halves", S.rint(S.rint(data()) + 0.5) + S.round(S.rint(data()) + 0.5) * 10, (2, 12))
    add("clip", S.clip(data(), a_min=-0.5, a_max=1))
    add("clip crossed", S.clip(data(), a_min=1, a_max=-0.5))
    add("broadcast_mod zero", S.broadcast_mod(data(), S.rint(data())))
    add("_mod_scalar zero", S._internal._mod_scalar(data(), scalar=0))
    add("_rmod_scalar zero", S._internal._rmod_scalar(S.rint(data()), scalar=1.5))
    add("hard_sigmoid", S.hard_sigmoid(data()))
    add("hard_sigmoid options", S.hard_sigmoid(data(), alpha=0.5, beta=0.1))
    add("smooth_l1", S.smooth_l1(data(), scalar=2.0))
    add("add_n", S.add_n(data(), data() * 2, S.abs(data())))
    add("where", S.where(S.relu(data()), data() * 3, data() - 1))
    for name in ("sum", "mean", "max", "min", "prod"):
        add(f"{name} axis", getattr(S, name)(data(), axis=1))
        add(f"{name} axes", getattr(S, name)(data(), axis=(2, -1), keepdims=True))
        add(f"{name} exclude", getattr(S, name)(data(), axis=(0, 1), exclude=True))
    add(
        "sum all",
        S.broadcast_mul(
            data(), S.reshape(S.sum(S.ones_like(S.slice_axis(data(), axis=0, begin=0, end=1))), shape=(1, 1, 1, 1))
        ),
    )
    add("norm", S.norm(data(), axis=1, keepdims=True))
    add("norm one", S.norm(data(), ord=1, axis=(2, 3)))
    add("dot", S.dot(data(), array("w", (7, 3))), (2, 7))
    add("dot transposed", S.dot(data(), array("w", (3, 7)), transpose_b=True), (2, 7))
    add("dot 3-D", S.dot(data(), array("w", (7, 3))), (2, 4, 7))
    add("batch_dot", S.batch_dot(data(), data(), transpose_b=True), (2, 3, 4))
    add("batch_dot a", S.batch_dot(data(), S.relu(data()), transpose_a=True), (2, 3, 4))


def add_shaping(S, add, data, array):
    """Cases of ``mxnet_operators/shaping.py``."""
    shapes = {
        "flat": {"shape": (0, -1)},
        "numbers": {"shape": (-1, 4, 15)},
        "rest": {"shape": (0, -2)},
        "join": {"shape": (0, -3, 0)},
        "join all": {"shape": (-3, -3)},
        "split": {"shape": (0, -4, 2, -1, 0, 0)},
        "split left": {"shape": (0, -4, -1, 2, -2)},
        "reverse": {"shape": (-1, 0, 0), "reverse": True},
        "reverse keep": {"shape": (0, -1, 2, 3), "reverse": True},
        "target": {"target_shape": (0, 20, 3), "keep_highest": True},
    }
    for tag, kwargs in shapes.items():
        add(f"Reshape {tag}", S.reshape(S.reshape(data() * 2, **kwargs), shape=(-1, 60)))
    add("reshape_like", S.reshape_like(data(), S.reshape(data(), shape=(0, -3, 0))))
    add("Flatten", S.Flatten(data()))
    add("transpose", S.transpose(data(), axes=(0, 2, 3, 1)))
    add("transpose all", S.transpose(S.transpose(data()) + S.transpose(data())))
    add("SwapAxis", S.SwapAxis(data(), dim1=1, dim2=3))
    add("expand squeeze", S.squeeze(S.expand_dims(data(), axis=2), axis=2))
    add("squeeze all", S.squeeze(S.mean(data(), axis=(2, 3), keepdims=True)))
    add("Concat", S.Concat(data(), data() * 2, S.relu(data())))
    add("Concat dim", S.Concat(data(), data() * 2, dim=2))
    add("stack", S.stack(data(), data() * 2, axis=1))
    parts = S.SliceChannel(data(), num_outputs=2)
    add("SliceChannel", parts[1] - parts[0] * 2)
    parts = S.split(data(), num_outputs=4, axis=1, squeeze_axis=True)
    add("split squeezed", S.Concat(parts[3], parts[0], dim=1))
    add("slice", S.slice(data(), begin=(None, 1, -4), end=(None, 3, -1)))
    add("slice step", S.slice(data(), begin=(None, None, 4), end=(None, None, 0), step=(1, 2, -2)))
    add("slice_axis", S.slice_axis(data(), axis=-1, begin=-2, end=None))
    add("slice_axis end", S.slice_axis(data(), axis=2, begin=1, end=-1))
    add(
        "slice_like",
        S.slice_like(data(), S.slice_axis(S.slice_axis(data(), axis=2, begin=0, end=3), axis=3, begin=0, end=2)),
    )
    add("slice_like axes", S.slice_like(data(), array("like", (1, 4, 2, 2)), axes=(2, 3)))
    add("reverse", S.reverse(data(), axis=(1, 3)))
    add("tile", S.tile(data(), reps=(1, 2, 1, 2)))
    add("repeat", S.repeat(data(), repeats=2, axis=1))
    add("broadcast_axis", S.broadcast_axis(S.mean(data(), axis=(1, 2), keepdims=True), axis=(1, 2), size=(3, 2)))
    add("broadcast_to", S.broadcast_to(S.mean(data(), axis=1, keepdims=True), shape=(0, 3, 0, 0)))
    add("broadcast_like", S.broadcast_like(S.mean(data(), axis=1, keepdims=True), data()))
    add(
        "broadcast_like axes",
        S.broadcast_like(S.mean(data(), axis=1, keepdims=True), data(), lhs_axes=(1,), rhs_axes=(3,)),
    )
    add("depth_to_space", S.depth_to_space(data(), block_size=2), (2, 8, 3, 2))
    add("space_to_depth", S.space_to_depth(data(), block_size=2), (2, 3, 4, 6))
    width = (0, 0, 0, 0, 1, 2, 2, 1)
    add("Pad constant", S.Pad(data(), mode="constant", pad_width=width, constant_value=1.5))
    add("Pad edge", S.Pad(data(), mode="edge", pad_width=width))
    add("Pad reflect", S.Pad(data(), mode="reflect", pad_width=width))
    add("Crop", S.Crop(data(), h_w=(3, 2), offset=(2, 1)))
    add("Crop center", S.Crop(data(), h_w=(3, 3), center_crop=True))
    add("Crop like", S.Crop(data(), S.Pooling(data(), kernel=(3, 2), pool_type="max"), num_args=2, offset=(1, 0)))
    add("UpSampling", S.UpSampling(data(), scale=2, sample_type="nearest"))
    small = S.Pooling(data(), kernel=(2, 2), stride=(2, 2), pool_type="avg")
    for mode in ("concat", "sum"):
        kwargs = {"scale": 2, "sample_type": "nearest", "multi_input_mode": mode, "num_args": 2}
        add(f"UpSampling {mode}", S.UpSampling(data(), small, **kwargs), (2, 4, 4, 6))
    for scale in (2, 3):
        add(f"UpSampling bilinear {scale}", S.UpSampling(data(), scale=scale, sample_type="bilinear", num_filter=4))
    add("BilinearResize2D", S.contrib.BilinearResize2D(data(), height=7, width=4))
    add("BilinearResize2D corners", S.contrib.BilinearResize2D(data(), height=7, width=9, align_corners=False))
    add("BilinearResize2D row", S.contrib.BilinearResize2D(data(), height=1, width=4, align_corners=False))
    add("BilinearResize2D column", S.contrib.BilinearResize2D(data(), height=7, width=1, align_corners=False))
    add("BilinearResize2D one", S.contrib.BilinearResize2D(data(), height=1, width=1))
    add("BilinearResize2D scale", S.contrib.BilinearResize2D(data(), scale_height=2, scale_width=1.5))
    add("BilinearResize2D scale of one", S.contrib.BilinearResize2D(data(), height=7, width=5, scale_width=1.5))
    add("AdaptiveAvgPooling2D", S.contrib.AdaptiveAvgPooling2D(data(), output_size=(2, 3)))
    add("AdaptiveAvgPooling2D one", S.contrib.AdaptiveAvgPooling2D(data()))
    add("amp_cast", S.amp_cast(data(), dtype="float32"))
    add("Cast", S.Cast(S.Cast(data() * 10, dtype="int32"), dtype="float32"))
    half = S.BatchNorm(S.Cast(data(), dtype="float16"), fix_gamma=False, name="y")
    half = S.broadcast_mul(S.LeakyReLU(half, act_type="prelu", name="z"), array("z_scale", (1, 4, 1, 1)))
    add("Cast float16", S.Cast(half, dtype="float32"))
    add("identity", S.identity(S.Dropout(S.BlockGrad(data()), p=0.3)))


def add_heads(S, add, data):
    """Cases of ``mxnet_operators/heads.py``."""
    flat = S.Flatten(data())
    add("SoftmaxOutput", S.SoftmaxOutput(flat, name="s"))
    add("SoftmaxOutput positions", S.SoftmaxOutput(data(), multi_output=True, name="s"))
    add("SoftmaxOutput last", S.SoftmaxOutput(data(), preserve_shape=True, name="s"))
    add("SoftmaxActivation", S.SoftmaxActivation(flat))
    add("SoftmaxActivation last", S.SoftmaxActivation(data()))
    add("SoftmaxActivation channel", S.SoftmaxActivation(data(), mode="channel"))
    add("softmax", S.softmax(data()))
    add("softmax options", S.softmax(data(), axis=1, temperature=2.0))
    add("log_softmax", S.log_softmax(data()))
    add("softmin", S.softmin(data()))
    add("LogisticRegressionOutput", S.LogisticRegressionOutput(flat, name="s"))
    add("LinearRegressionOutput", S.LinearRegressionOutput(flat, name="s"))
    add("MakeLoss", S.MakeLoss(flat * 2))


def compute(mx, name, symbol, shape, span):
    """The case as a line of the file."""
    argument_shapes, _, aux_shapes = symbol.infer_shape_partial(data=shape)
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    shapes = dict(zip(names, argument_shapes + aux_shapes, strict=False))
    arrays = {n: tuple(s) for n, s in shapes.items() if n != "data" and not n.endswith("label")}
    types = {
        n: "float16" if "float16" in name and n.startswith("z_") else "float32"
        for n in shapes
        if not n.endswith("label")
    }
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", type_dict=types, data=shape)
    executor.arg_dict["data"][:] = numbers(name, "data", shape, *span)
    for n, s in arrays.items():
        {**executor.arg_dict, **executor.aux_dict}[n][:] = numbers(name, n, s, -1.0, 1.0)
    (output,) = executor.forward(is_train=False)
    values = output.asnumpy().astype("<f4")
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    graph.pop("node_row_ptr")
    return {
        "name": name,
        "graph": graph,
        "shape": list(shape),
        "span": list(span),
        "arrays": arrays,
        "output_shape": list(values.shape),
        "output": base64.b64encode(values.tobytes()).decode(),
    }


def main():
    """Compute all cases and write the file."""
    import mxnet as mx

    lines = [compute(mx, name, *case) for name, case in cases(mx).items()]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{TARGET}: {len(lines)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
