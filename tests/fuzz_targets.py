"""Valid small files of every format, and the ways in which ``fuzz_formats.py`` damages them."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import pickle
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords, identity_records
from lwface.formats.feature_file import HEADER, read_features, validate
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.recordio import RecordWriter, pack
from lwface.formats.verification_pack import read_pack, write_pack
from lwface.mxnet import plan as mxnet_plan
from lwface.mxnet.network import MxnetNetwork, load_mxnet
from lwface.mxnet.operators import OPERATORS
from lwface.mxnet.params import VERSION_1, VERSION_3, read_params, write_params
from lwface.mxnet.symbol import read_symbol

HERE = Path(__file__).parent
Files = dict[str, bytes]


@dataclass(frozen=True)
class Target:
    """One way of reading: what makes damaged files, and the reader of a folder of them."""

    name: str
    share: int  # of all files, relative to the others
    damage: Callable[[random.Random], Files]
    read: Callable[[Path], object]


RUN_PRODUCTS = 2**28  # networks that compute more are refused here, so that all others can be run

# Numbers at which sizes overflow or signs change.
NUMBERS = [0, 1, 2, 7, 127, 255, 256, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**60, 2**62]
NUMBERS += [2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2, 0x112, 0xF993FAC8, 0xF993FAC9, 0xF993FACA, 0xCED7230A]
# And as float32: 1e9, 2**24, the largest, infinity, NaN, -1, 0.5.
NUMBERS += [0x4E6E6B28, 0x4B800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0xBF800000, 0x3F000000]
TEXTS = ["", "0", "-1", "1", "(0, 0)", "(1, 1)", "(-1,)", "[3,3]", "()", "None", "True", "nan", "inf", "-inf", "1e999"]
TEXTS += [
    "2147483647",
    "-2147483648",
    "99999999999999999999",
    "(100000, 100000)",
    "(1, 2, 3, 4, 5, 6, 7, 8)",
    "(0, -1)",
]
TEXTS += [
    "(-4, -1, 2, -2)",
    "float16",
    "int8",
    "max",
    "avg",
    "lp",
    "full",
    "same",
    "NHWC",
    "prelu",
    "rrelu",
    "bilinear",
]
TEXTS += ["(64, 64)", "(1024, 1024)", "(1024, 1)"]
TEXTS += ["data", "../../x", "\ud800", "\x00", "a" * 3000, "__import__('os')", "5" * 400, "0.5", "1e-45", "3", "64"]


def damage_bytes(dice: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """None to four changes: bits, cuts, copies, lengths, pieces of other files."""
    changed = bytearray(data)
    for _ in range(dice.choice((0, 1, 1, 1, 1, 1, 1, 2, 4))):
        _change(dice, changed, others)
    return bytes(changed)


def _change(dice: random.Random, data: bytearray, others: list[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    size = dice.choice((1, 2, 4, 8, 16, 64, 256))
    frame = data.find(b"\xff\xc0\x00\x11", at)
    kind = dice.randrange(10 if frame >= 0 else 9)
    if kind == 0 and data:
        for _ in range(dice.randrange(1, 9)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        del data[at : at + size]
    elif kind == 3:
        data[at:at] = data[at : at + size] * dice.choice((1, 1, 2, 50, 5000))
    elif kind == 4:
        data[at:at] = dice.choice((bytes(size), b"\xff" * size, dice.randbytes(size)))
    elif kind == 5:
        other = dice.choice(others)
        start = dice.randrange(len(other) + 1)
        data[at : at + dice.choice((0, size))] = other[start : start + size]
    elif kind == 6 and data:
        source = dice.randrange(len(data))
        data[at : at + size] = data[source : source + size]
    elif kind == 9:  # the size of a JPEG
        data[frame + 5 : frame + 9] = struct.pack(
            ">HH", *dice.choices((0, 1, 16, 4000, 8000, 16000, 30000, 65535), k=2)
        )
    else:  # what a length or a magic number may be taken for
        at -= at % 4 if dice.random() < 0.8 else 0
        width = dice.choice((4, 4, 8))
        number = dice.choice([*NUMBERS, len(data), len(data) - at, dice.randrange(64)])
        data[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")


def damage_json(dice: random.Random, text: bytes) -> bytes:
    """None to six changes to the structure: keys, numbers, entries, operators, options."""
    content = json.loads(text)
    options = [node["attrs"] for node in content["nodes"] if node.get("attrs") and node["op"] != "null"]
    if options and dice.random() < 0.4:  # one option at its limits: the rest of the graph stays as it was
        holder = dice.choice(options)
        holder[dice.choice(list(holder))] = dice.choice(TEXTS)
        return json.dumps(content).encode()
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3, 6))):
        places = list(_places(content))
        texts = [(h, k) for h, k in places if isinstance(h[k], str) and k != "name"]  # operators and options
        holder, key = dice.choice(texts if texts and dice.random() < 0.5 else places)
        _change_value(dice, holder, key, [h[k] for h, k in places])
    return json.dumps(content).encode()


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every (object or list, key) below ``content``."""
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        yield content, key
        yield from _places(content[key])


def _change_value(dice: random.Random, holder: Any, key: Any, values: list[Any]) -> None:
    value = holder[key]
    kind = dice.randrange(10)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = dice.choice([None, [], {}, True, -1, 0.5, 2**70, "", "x", [[0, 0, 0]], {"a": "b"}])
    elif kind == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(dice.choice((value, dice.choice(values)))))
    elif kind == 3 and isinstance(holder, dict):
        holder[dice.choice(TEXTS)] = value
    elif kind == 4 and key == "op":
        holder[key] = dice.choice(OPERATOR_NAMES)
    elif isinstance(value, bool) or value is None or isinstance(value, (dict, float)):
        holder[key] = copy.deepcopy(dice.choice(values))
    elif isinstance(value, int):
        holder[key] = dice.choice([value + 1, value - 1, dice.randrange(-2, 20), dice.choice(NUMBERS)])
    elif isinstance(value, str):
        options = [*TEXTS, str(dice.randrange(-3, 300)), f"({dice.randrange(9)}, {dice.randrange(9)})", value[::-1]]
        holder[key] = dice.choice([*options, *[v for v in values if isinstance(v, str)][:20]])
    else:
        dice.shuffle(value)


OPERATOR_NAMES = list(OPERATORS)


def _bytes_of(write: Callable[[Path], object], *names: str) -> Files:
    """The files ``names`` that ``write`` makes in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return {name: (Path(folder) / name).read_bytes() for name in names}


def _params_target() -> Target:
    draw = np.random.default_rng(0)
    arrays = {"arg:a": draw.normal(size=(2, 3)).astype("f4"), "aux:b": np.arange(5, dtype="i8")}
    arrays["arg:c"] = np.ones((1, 2, 1), "f2")
    newest = _bytes_of(lambda folder: write_params(folder / "x-0001.params", arrays), "x-0001.params")["x-0001.params"]
    names = struct.pack("<QQ1s", 1, 1, b"a")
    head, tail = struct.pack("<QQQ", 0x112, 0, 1), struct.pack("<iii2f", 1, 0, 0, 1, 2) + names
    seeds = [newest, head + struct.pack("<III", 2, 1, 2) + tail, head + struct.pack("<IIq", VERSION_1, 1, 2) + tail]
    seeds.append(head + struct.pack("<IiIq", VERSION_3, 0, 1, 2) + tail)

    def damage(dice: random.Random) -> Files:
        return {"x-0001.params": damage_bytes(dice, dice.choice(seeds), seeds)}

    return Target("params", 25, damage, lambda folder: read_params(folder / "x-0001.params"))


def _network_targets() -> list[Target]:
    """The graphs of the operators' golden file, with arrays; what is accepted is run."""
    lines = gzip.decompress((HERE / "mxnet" / "golden" / "operators.json.gz").read_bytes()).decode().splitlines()
    cases = [case for case in map(json.loads, lines) if len(case["shape"]) > 1]
    draw = np.random.default_rng(0)
    graphs, params, shapes = [], [], []
    for case in cases:
        arrays = {
            f"arg:{n}": draw.uniform(0.5, 1, s).astype("f4") for n, s in case["arrays"].items() if min(s, default=0)
        }
        graphs.append(json.dumps(case["graph"]).encode())
        params.append(_bytes_of(lambda folder, a=arrays: write_params(folder / "p", a), "p")["p"])
        shapes.append(tuple(case["shape"][1:]))

    def damage_graph(dice: random.Random) -> Files:
        i = dice.randrange(len(graphs))
        by_structure = dice.random() < 0.8
        graph = damage_json(dice, graphs[i]) if by_structure else damage_bytes(dice, graphs[i], graphs)
        return {"m-symbol.json": graph, "m-0001.params": params[i], "case": str(i).encode()}

    def damage_params(dice: random.Random) -> Files:
        i = dice.randrange(len(graphs))
        return {
            "m-symbol.json": graphs[i],
            "m-0001.params": damage_bytes(dice, params[i], params),
            "case": str(i).encode(),
        }

    def read(folder: Path) -> None:
        shape = shapes[int((folder / "case").read_text())]
        symbol, arrays = read_symbol(folder / "m-symbol.json"), read_params(folder / "m-0001.params")
        network = MxnetNetwork(symbol, arrays, None, shape).eval()
        with torch.inference_mode():
            features = network(torch.full((2, *shape), 0.75))
        assert features.shape == (2, network.embedding_size), (features.shape, network.embedding_size)

    return [Target("graph", 30, damage_graph, read), Target("graph-params", 8, damage_params, read)]


def _face_network_target() -> Target:
    """A network of the usual size through the usual door."""
    graph = {
        "nodes": [
            {"op": "null", "name": "data", "inputs": []},
            {"op": "_minus_scalar", "name": "m", "attrs": {"scalar": "127.5"}, "inputs": [[0, 0, 0]]},
            {"op": "null", "name": "w", "inputs": []},
            {
                "op": "Convolution",
                "name": "c",
                "attrs": {"kernel": "(3, 3)", "num_filter": "4", "stride": "(8, 8)", "no_bias": "True"},
                "inputs": [[1, 0, 0], [2, 0, 0]],
            },
            *({"op": "null", "name": name, "inputs": []} for name in ("gamma", "beta", "mean", "var")),
            {
                "op": "BatchNorm",
                "name": "b",
                "attrs": {"fix_gamma": "False"},
                "inputs": [[i, 0, 0] for i in range(3, 8)],
            },
            {"op": "Pooling", "name": "p", "attrs": {"kernel": "(2, 2)", "stride": "(2, 2)"}, "inputs": [[8, 0, 0]]},
            {"op": "null", "name": "fc1_weight", "inputs": []},
            {
                "op": "FullyConnected",
                "name": "fc1",
                "attrs": {"num_hidden": "8", "no_bias": "True"},
                "inputs": [[9, 0], [10, 0]],
            },
        ],
        "heads": [[11, 0, 0]],
    }
    text = json.dumps(graph).encode()
    arrays = {name: np.ones(4, "f4") for name in ("arg:gamma", "arg:beta", "aux:mean", "aux:var")}
    arrays |= {"arg:w": np.ones((4, 3, 3, 3), "f4"), "arg:fc1_weight": np.ones((8, 196), "f4")}
    params = _bytes_of(lambda folder: write_params(folder / "p", arrays), "p")["p"]

    def damage(dice: random.Random) -> Files:
        if dice.random() < 0.7:
            return {"m-symbol.json": damage_json(dice, text), "m-0001.params": params}
        return {"m-symbol.json": text, "m-0001.params": damage_bytes(dice, params, [params])}

    def read(folder: Path) -> None:
        network = load_mxnet(folder / "m", 1)
        with torch.inference_mode():
            network(torch.zeros(1, 3, 112, 112, dtype=torch.uint8))

    return Target("face-network", 7, damage, read)


def _pictures() -> list[bytes]:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    return [encode_jpeg(image, quality) for image, quality in zip(noise, (95, 50, 5), strict=True)]


def _records_target() -> Target:
    pictures = _pictures()

    def insightface(folder: Path) -> None:
        with RecordWriter(folder / "train.rec") as writer:
            for key in range(1, 7):
                writer.write(key, pack((0, float((key - 1) // 2), key, 0), pictures[key % 3]))
            for key, payload in identity_records([1, 3, 5], 7):
                writer.write(key, payload)

    def plain(folder: Path) -> None:
        with RecordWriter(folder / "train.rec") as writer:
            for key in range(5):
                writer.write(key, pack((0, [float(key), 1.0], key, 0), pictures[key % 3] + b"\x0a\x23\xd7\xce" * key))

    seeds = [_bytes_of(make, "train.rec", "train.idx") for make in (insightface, plain)]
    others = {name: [seed[name] for seed in seeds] for name in ("train.rec", "train.idx")}

    def damage(dice: random.Random) -> Files:
        files = {**dice.choice(seeds), "property": dice.choice((b"3,16,16", b"5,16,16\n", b"3,16", b"99999999999,1,1"))}
        for name in dice.choice((["train.rec"], ["train.rec"], ["train.idx"], ["train.rec", "train.idx"])):
            files[name] = damage_bytes(dice, files[name], others[name])
        return files

    def read(folder: Path) -> None:
        records = FaceRecords(folder)
        for part in (lambda: records.labels(), lambda: records.identities, lambda: records.num_classes):
            _go_on(part)
        for i in range(min(len(records), 20)):
            _go_on(lambda i=i: decode_rgb(records.read(i)[1]))
        records.reader.close()

    return Target("records", 15, damage, read)


def _go_on(part: Callable[[], object]) -> None:
    """A user's error in one part does not keep the others from being tried."""
    with contextlib.suppress(UserError):
        part()


def _pack_target() -> Target:
    pictures = _pictures()
    images, same = [pictures[i % 3] for i in range(6)], [True, False, True]
    seeds = list(_bytes_of(lambda folder: write_pack(folder / "a", images, same), "a").values())
    arrays = [np.frombuffer(image, np.uint8) for image in images]
    for protocol in range(6):
        seeds += [
            pickle.dumps(content, protocol) for content in ((images, same), (arrays, np.array(same)), (arrays, same))
        ]
    seeds.append(pickle.dumps((np.array(arrays, object), same), 2))

    def damage(dice: random.Random) -> Files:
        return {"lfw.bin": damage_bytes(dice, dice.choice(seeds), seeds)}

    def read(folder: Path) -> None:
        read_pack(folder / "lfw.bin").decode((16, 16))

    return Target("pack", 12, damage, read)


def _features_target() -> Target:
    rows = np.random.default_rng(0).normal(size=(5, 8)).astype("<f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    seed = HEADER.pack(5, 8, 32, 5) + rows.tobytes()

    def damage(dice: random.Random) -> Files:
        data = damage_bytes(dice, seed, [seed])
        if dice.random() < 0.3:  # a header that agrees with itself, so that only the size can tell
            n, d = dice.choice([*NUMBERS, 5]), dice.choice([*NUMBERS, 8])
            data = struct.pack("<4I", n % 2**32, d % 2**32, d * 4 % 2**32, 5) + data[16:]
        return {"f.bin": data}

    def read(folder: Path) -> None:
        _go_on(lambda: float(read_features(folder / "f.bin").sum()))
        validate(folder / "f.bin")

    return Target("features", 8, damage, read)


def make_targets() -> list[Target]:
    """All ways of reading."""
    torch.set_num_threads(1)
    mxnet_plan.MAX_PRODUCTS = RUN_PRODUCTS
    targets = [_params_target(), *_network_targets(), _face_network_target()]
    return [*targets, _records_target(), _pack_target(), _features_target()]
