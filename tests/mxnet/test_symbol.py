"""Symbol files: the text MXNet 1.9.1 writes, JSON of older versions, and damage."""

import json
import tracemalloc

import pytest

from lwface.base.errors import UserError
from lwface.mxnet.names import symbol_path
from lwface.mxnet.symbol import Node, Symbol, output_count, read_symbol, write_symbol

# Made with MXNet 1.9.1: BatchNorm(data, name="b"), Convolution(of it, kernel=(1, 1), num_filter=3, name="c",
# attr={"__lr_mult__": "2"}), mx.sym.Group([c, b]).tojson()
GOLDEN = """{
  "nodes": [
    {
      "op": "null", 
      "name": "data", 
      "inputs": []
    }, 
    {
      "op": "null", 
      "name": "b_gamma", 
      "inputs": []
    }, 
    {
      "op": "null", 
      "name": "b_beta", 
      "inputs": []
    }, 
    {
      "op": "null", 
      "name": "b_moving_mean", 
      "attrs": {"__init__": "[\\"zero\\", {}]"}, 
      "inputs": []
    }, 
    {
      "op": "null", 
      "name": "b_moving_var", 
      "attrs": {"__init__": "[\\"one\\", {}]"}, 
      "inputs": []
    }, 
    {
      "op": "BatchNorm", 
      "name": "b", 
      "inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 1], [4, 0, 1]]
    }, 
    {
      "op": "null", 
      "name": "c_weight", 
      "attrs": {
        "__lr_mult__": "2", 
        "kernel": "(1, 1)", 
        "num_filter": "3"
      }, 
      "inputs": []
    }, 
    {
      "op": "null", 
      "name": "c_bias", 
      "attrs": {
        "__lr_mult__": "2", 
        "kernel": "(1, 1)", 
        "num_filter": "3"
      }, 
      "inputs": []
    }, 
    {
      "op": "Convolution", 
      "name": "c", 
      "attrs": {
        "__lr_mult__": "2", 
        "kernel": "(1, 1)", 
        "num_filter": "3"
      }, 
      "inputs": [[5, 0, 0], [6, 0, 0], [7, 0, 0]]
    }
  ], 
  "arg_nodes": [0, 1, 2, 3, 4, 6, 7], 
  "node_row_ptr": [0, 1, 2, 3, 4, 5, 8, 9, 10, 11], 
  "heads": [[8, 0, 0], [5, 0, 0]], 
  "attrs": {"mxnet_version": ["int", 10901]}
}"""  # noqa: W291 - MXNet leaves spaces at the ends of lines


@pytest.fixture
def read(tmp_path):
    """Reads a text, or what JSON makes of an object, as a symbol file."""

    def call(content):
        path = tmp_path / "model-symbol.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read_symbol(path)

    return call


def graph(*nodes, heads=((0, 0),), **more):
    listed = [
        {"op": op, "name": name, "inputs": [list(entry) for entry in inputs], **extra}
        for op, name, inputs, extra in nodes
    ]
    return {"nodes": listed, "heads": [list(head) for head in heads], **more}


def test_text_is_mxnets(read, tmp_path):
    symbol = read(GOLDEN.encode())
    write_symbol(tmp_path / "written.json", symbol)
    assert (tmp_path / "written.json").read_text() == GOLDEN
    assert symbol.heads == ((8, 0), (5, 0))
    assert symbol.nodes[5] == Node("BatchNorm", "b", {}, ((0, 0), (1, 0), (2, 0), (3, 0), (4, 0)))
    assert symbol.nodes[8].attrs == {"__lr_mult__": "2", "kernel": "(1, 1)", "num_filter": "3"}


def test_long_lists_have_one_entry_a_line(tmp_path):
    # As mx.sym.Group([mx.sym.Concat(*twelve variables, dim=1, name="c")] + variables).tojson() lays it out.
    variables = [Node("null", f"v{i}", {}, ()) for i in range(12)]
    joined = Node("Concat", "c", {"dim": "1", "num_args": "12"}, tuple((i, 0) for i in range(12)))
    symbol = Symbol((*variables, joined), ((12, 0), *((i, 0) for i in range(12))))
    write_symbol(tmp_path / "x.json", symbol)
    text = (tmp_path / "x.json").read_text()
    assert '      "inputs": [\n        [0, 0, 0], \n        [1, 0, 0], \n' in text
    assert '        [11, 0, 0]\n      ]\n    }\n  ], \n  "arg_nodes": [\n    0, \n    1, \n' in text
    assert '  "heads": [\n    [12, 0, 0], \n    [0, 0, 0], \n' in text
    assert read_symbol(tmp_path / "x.json") == symbol


@pytest.mark.parametrize(
    ("op", "attrs", "count"),  # node_row_ptr of MXNet 1.9.1
    [
        ("BatchNorm", {}, 3),
        ("Dropout", {}, 2),
        ("LeakyReLU", {"act_type": "prelu"}, 1),
        ("LeakyReLU", {"act_type": "rrelu"}, 2),
        ("LayerNorm", {}, 3),
        ("InstanceNorm", {}, 3),
        ("GroupNorm", {}, 3),
        ("L2Normalization", {}, 2),
        ("LRN", {}, 2),
        ("SliceChannel", {"num_outputs": "3"}, 3),
        ("Pooling", {"kernel": "(2, 2)"}, 2),
        ("Pooling", {"kernel": "(2, 2)", "pool_type": "max"}, 2),
        ("Pooling", {"kernel": "(2, 2)", "pool_type": "avg"}, 1),
        ("Pooling", {"kernel": "(2, 2)", "pool_type": "sum"}, 1),
        ("Pooling", {"global_pool": "True"}, 1),
        ("Pooling", {"global_pool": "True", "kernel": "(7, 7)"}, 2),
        ("Convolution", {}, 1),
    ],
)
def test_outputs_are_counted_as_mxnet_does(op, attrs, count):
    assert output_count(Node(op, "x", attrs, ())) == count


def test_json_of_older_versions(read):
    variable = ("null", "data", (), {})
    weight = ("null", "fc1_weight", (), {"param": {}, "attr": {"lr_mult": "2"}, "backward_source_id": -1})
    layer = {"param": {"num_hidden": "8"}, "attr": {"ctx_group": "stage1"}, "backward_source_id": -1}
    found = read(graph(variable, weight, ("FullyConnected", "fc1", [(0, 0), (1, 0)], layer), heads=[(2, 0)]))
    assert found.nodes[2] == Node("FullyConnected", "fc1", {"num_hidden": "8", "ctx_group": "stage1"}, ((0, 0), (1, 0)))
    one = graph(
        variable, ("Flatten", "f", [(0, 0, 0)], {"attr": {}}), heads=[(1, 0, 0)], attrs={"mxnet_version": ["int", 905]}
    )
    assert read(one).heads == ((1, 0),)


def test_running_statistics_that_old_versions_left_out_are_put_in(read):
    names = ("data", "bn_gamma", "bn_beta")
    old = graph(
        *[("null", name, (), {}) for name in names],
        ("BatchNorm", "bn", [(0, 0), (1, 0), (2, 0)], {"param": {"eps": "0.001"}}),
        ("Flatten", "f", [(3, 0)], {}),
        heads=[(4, 0)],
    )
    found = read(old)
    assert [node.name for node in found.nodes] == [*names, "bn_moving_mean", "bn_moving_var", "bn", "f"]
    assert found.nodes[5].inputs == ((0, 0), (1, 0), (2, 0), (3, 0), (4, 0))
    assert found.nodes[6].inputs == ((5, 0),)
    assert found.heads == ((6, 0),)


DATA = ("null", "data", (), {})
DAMAGED = {
    "empty": (b"", "Expecting value"),
    "not UTF-8": (b'{"nodes": "\xff"}', "codec"),
    "cut": (GOLDEN.encode()[:700], "Expecting|Unterminated|delimiter"),
    "a list": ([], "the file is a list"),
    "nothing": ({}, "nodes is missing"),
    "no nodes": ({"nodes": [], "heads": []}, "0 nodes"),
    "nodes of text": ({"nodes": "data", "heads": []}, "nodes is a str"),
    "a node of text": ({"nodes": ["data"], "heads": []}, "node 0 is a str"),
    "no op": ({"nodes": [{"name": "a", "inputs": []}], "heads": []}, "op of node 0 is missing"),
    "a name of numbers": ({"nodes": [{"op": "null", "name": 5, "inputs": []}], "heads": []}, "name of node 0 is a int"),
    "no inputs": ({"nodes": [{"op": "null", "name": "a"}], "heads": [[0, 0]]}, "inputs of node 0 'a' is missing"),
    "no heads": (graph(DATA, heads=()), "puts nothing out"),
    "heads missing": ({"nodes": graph(DATA)["nodes"]}, "heads is missing"),
    "a head that does not exist": (graph(DATA, heads=[(1, 0)]), "heads: node 1 does not exist"),
    "a negative head": (graph(DATA, heads=[(-1, 0)]), "node -1 does not exist"),
    "a huge head": (graph(DATA, heads=[(10**300, 0)]), "node of very many digits does not exist"),
    "an output that cannot be": (graph(DATA, heads=[(0, 2**40)]), "has no output"),
    "an entry of one": (graph(DATA, heads=[(0,)]), "not .node, output"),
    "an entry of four": (graph(DATA, heads=[(0, 0, 0, 0)]), "not .node, output"),
    "an entry of truth": (graph(DATA, heads=[(False, 0)]), "not .node, output"),
    "a fraction": (graph(DATA, heads=[(0.0, 0)]), "not .node, output"),
    "a node after": (
        graph(DATA, ("Flatten", "f", [(2, 0)], {}), DATA),
        "node 2 does not exist or does not stand before",
    ),
    "itself": (graph(DATA, ("Flatten", "f", [(1, 0)], {})), "a cycle"),
    "a variable with inputs": (graph(DATA, ("null", "b", [(0, 0)], {})), "is a variable, but has inputs"),
    "two variables of one name": (graph(DATA, DATA), "two variables are called 'data'"),
    "an option of numbers": (
        graph(DATA, ("Flatten", "f", [(0, 0)], {"attrs": {"axis": 1}})),
        "'axis' of node 1 is a int",
    ),
    "options of text": (graph(DATA, ("Flatten", "f", [(0, 0)], {"attrs": "x"})), "attrs of node 1 is a str"),
    "a long option": (graph(DATA, ("Flatten", "f", [(0, 0)], {"attrs": {"axis": "1" * 10**5}})), "more than 65536"),
    "an empty name": (graph(("null", "", (), {})), "1 to"),
    "a path as a name": (graph(("null", "../../etc/passwd", (), {})), "path of a file"),
    "half a character": (b'{"nodes": [{"op": "null", "name": "\\ud800", "inputs": []}]}', "printed"),
    "NaN": (b'{"nodes": [NaN]}', "NaN, which is not a number"),
    "infinity": (b'{"nodes": [-Infinity]}', "-Infinity"),
    "a key twice": (b'{"nodes": [], "nodes": []}', "twice"),
    "a number of 100 000 digits": (b'{"nodes": [' + b"9" * 10**5 + b"]}", "digits|node 0 is a int"),
    "lists in lists": (b"[" * 10**6, "nested too deeply"),
    "objects in objects": (b'{"nodes":' * 10**5, "nested too deeply"),
    "very large": (b"[" + b" " * 2**24, "larger than"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_an_error(damage, read):
    content, message = DAMAGED[damage]
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message) as error:
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    assert "model-symbol.json: not an MXNet symbol, or damaged: " in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


def test_operators_may_share_a_name(read):
    found = read(graph(DATA, ("Flatten", "f", [(0, 0)], {}), ("Flatten", "f", [(1, 0)], {})))
    assert [node.name for node in found.nodes] == ["data", "f", "f"]


def test_the_path_of_a_model():
    assert str(symbol_path("models/y1/model")) == "models/y1/model-symbol.json"
