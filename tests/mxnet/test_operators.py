"""Every operator and option against what MXNet 1.9.1 computed; ``make_golden.py`` made the file."""

import base64
import gzip
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lwface.mxnet.network import MxnetNetwork
from lwface.mxnet.operators import OPERATORS
from lwface.mxnet.symbol import read_symbol

HERE = Path(__file__).parent
LINES = gzip.decompress((HERE / "golden" / "operators.json.gz").read_bytes()).decode().splitlines()
CASES = {case["name"]: case for case in map(json.loads, LINES)}

specification = importlib.util.spec_from_file_location("make_golden", HERE / "make_golden.py")
make_golden = importlib.util.module_from_spec(specification)
specification.loader.exec_module(make_golden)
numbers = make_golden.numbers


def build(case, tmp_path):
    """The network of a case, through the file format."""
    path = tmp_path / "x-symbol.json"
    path.write_text(json.dumps(case["graph"]))
    arrays = {name: numbers(case["name"], name, tuple(shape), -1, 1) for name, shape in case["arrays"].items()}
    return MxnetNetwork(read_symbol(path), arrays, "row_output", tuple(case["shape"][1:])).eval()


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_as_mxnet(name, tmp_path):
    case = CASES[name]
    images = torch.from_numpy(numbers(name, "data", tuple(case["shape"]), *case["span"]))
    expected = np.frombuffer(base64.b64decode(case["output"]), "<f4").reshape(case["output_shape"])
    with torch.inference_mode():
        found = build(case, tmp_path)(images).numpy()
    tolerance = 2e-3 if "float16" in name else 2e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


def test_every_operator_has_a_case():
    nodes = [node for case in CASES.values() for node in case["graph"]["nodes"]]
    covered = {OPERATORS[node["op"]] for node in nodes if node["op"] != "null"}  # aliases share one function
    assert {name for name in OPERATORS if OPERATORS[name] not in covered} == set()


def test_every_operator_is_documented():
    page = (HERE.parents[1] / "docs" / "mxnet.md").read_text()
    table = [line for line in page[: page.index("## Writing")].splitlines() if line.startswith("| ")]
    listed = {name for line in table for name in re.findall(r"`(\w+)`", line)}
    by_rule = ("_register_binary", "_register_scalar")  # the page says how these are called
    named = {name for name in OPERATORS if not OPERATORS[name].__qualname__.startswith(by_rule)}
    assert named - listed == set()
    words = {"_NAME", "_Name", "broadcast_NAME", "_NAME_scalar", "_NameScalar", "keepdims", "exclude"}
    assert listed - set(OPERATORS) == words
