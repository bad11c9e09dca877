import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.commands import gate
from lwface.models.store import load_model, save_model
from lwface.mxnet.export import save_mxnet
from lwface.mxnet.params import read_params, write_params
from lwface.networks import create_network
from lwface.settings.resolve import network_settings

SCRIPT = Path(__file__).resolve().parents[2] / "common" / "flops_counter.py"


@pytest.fixture
def run(capsys):
    """Runs the command in this process: status, stdout, stderr. argparse's and the user's errors are statuses too."""

    def call(*arguments):
        try:
            status = gate.main([*map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        except UserError as error:
            status = error.exit_status
            print(error, file=sys.stderr)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def model(tmp_path):
    """A saved light network, as PREFIX,EPOCH, and its file."""
    torch.manual_seed(0)
    config = network_settings("mnas025")
    path = save_model(str(tmp_path / "model"), 3, create_network(config), config)
    return f"{tmp_path / 'model'},3", path


def test_y2_as_the_official_program_prints_it(run):
    status, out, _ = run("--network", "y2")
    assert status == 0
    assert out.splitlines()[0] == "FLOPs: 933336950"


def test_within_and_over_the_budget(run):
    status, out, _ = run("--network", "mnas025", "--track", "deepglint-light")
    assert status == 0
    assert "deepglint-light: within the budget" in out
    status, out, _ = run("--network", "m1", "--track", "iqiyi-light")
    assert status == 1
    assert "iqiyi-light: OVER THE BUDGET" in out
    assert f"FLOPs 1132662629 exceed the limit 1073741824 of iqiyi-light by {1132662629 - 1024**3}" in out


def test_json_holds_every_figure(run, tmp_path):
    arguments = ("--network", "mnas025", "--track", "iqiyi-large", "--json", "--output", tmp_path / "gate.json")
    status, out, _ = run(*arguments)
    figures = json.loads(out)
    assert status == 0
    assert json.loads((tmp_path / "gate.json").read_text()) == figures
    macs = figures.pop("macs")
    assert figures == {
        "network": "mnas025",
        "flops": 48221190,
        "uncounted": {},
        "params": 286782,
        "aux": 10376,
        "model_bytes": 4 * (286782 + 10376),
        "embedding": 256,
        "number_type": "float32",
        "track": "iqiyi-large",
        "fits": True,
        "violations": [],
    }
    assert figures["flops"] / 2 < macs < figures["flops"]


def test_layers_add_up(run):
    _, out, _ = run("--network", "m05", "--per-layer", "--json")
    figures = json.loads(out)
    assert sum(layer["flops"] for layer in figures["layers"]) == figures["flops"]
    first, last = figures["layers"][0], figures["layers"][-1]
    assert first["path"] == "body.conv_1.conv2d"
    assert first["input_shape"] == [3, 112, 112]
    assert (last["path"], last["operation"], last["bias"]) == ("head.pre_fc1", "fully connected", True)


def test_layer_table_is_aligned(run):
    _, out, _ = run("--network", "mnas025", "--per-layer")
    lines = out.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("FLOPs:"))]
    assert len(table) == 55  # a header, 53 convolutions and a linear layer
    assert len({len(line) for line in table}) == 1
    assert table[1].split()[:5] == ["body.stage1_conv0.conv0", "convolution", "3x112x112", "8x112x112", "3x3"]


def test_a_model_counts_as_its_network_and_its_file_counts_for_the_size(run, model):
    name, path = model
    status, out, _ = run("--model", name, "--track", "deepglint-light", "--json")
    figures = json.loads(out)
    assert (status, figures["flops"], figures["model"]) == (0, 48221190, name)
    assert figures["model_bytes"] == path.stat().st_size > 4 * (286782 + 10376)


def test_a_model_whose_file_is_too_large_is_refused(run, model, monkeypatch):
    name, path = model
    padded = path.read_bytes() + bytes(20 * 1024**2)
    loaded = load_model(name)
    path.write_bytes(padded)
    monkeypatch.setattr("lwface.models.store.load_model", lambda *_: loaded)
    status, out, _ = run("--model", name, "--track", "deepglint-light")
    assert status == 1
    assert f"model size {len(padded)} bytes exceeds the limit 20971520 of deepglint-light" in out


def test_json_is_printed_or_written(run, tmp_path):
    status, printed, _ = run("--network", "mnas025", "--json")
    assert status == 0
    for flag in ("--json", "--output"):
        status, out, _ = run("--network", "mnas025", flag, tmp_path / "gate.json")
        assert (status, out.startswith("FLOPs: ")) == (0, True)
        assert json.loads((tmp_path / "gate.json").read_text()) == json.loads(printed)
    status, out, _ = run("--network", "mnas025", "--json", "--output", tmp_path / "gate.json")
    assert (status, json.loads(out)) == (0, json.loads(printed))
    status, _, err = run("--network", "mnas025", "--json", tmp_path)
    assert (status, err) == (2, f"--json {tmp_path}: is a folder; give the name of the file with the figures\n")


def test_the_same_network_as_mxnets_files_counts_the_same(run, model, tmp_path):
    name, _ = model
    network, _ = load_model(name)
    save_mxnet(tmp_path / "theirs", 3, network)
    mine = json.loads(run("--model", name, "--json")[1])
    status, out, _ = run("--model", tmp_path / "theirs,3", "--track", "deepglint-light", "--json")
    found = json.loads(out)
    assert status == 0
    size = (tmp_path / "theirs-0003.params").stat().st_size
    assert found["model_bytes"] == size > 4 * (286782 + 10376)
    for key in ("flops", "uncounted", "macs", "params", "aux", "embedding", "number_type"):
        assert found[key] == mine[key], key
    assert json.loads(run("--model", tmp_path / "theirs,3", "--layer", "fc1_output", "--json")[1])["flops"] == 48221190
    status, _, error = run("--model", tmp_path / "theirs,3", "--layer", "fc2")
    assert status == 2
    assert error.strip().endswith("the graph has no output 'fc2': did you mean 'fc1'?")


def test_every_byte_of_a_parameter_file_counts(run, model, tmp_path):
    save_mxnet(tmp_path / "fat", 1, load_model(model[0])[0])
    path = tmp_path / "fat-0001.params"
    write_params(path, {**read_params(path), "arg:fc7_weight": np.zeros((20480, 256), np.float32)})  # 20 MiB unused
    status, out, _ = run("--model", tmp_path / "fat,1", "--track", "deepglint-light")
    assert status == 1
    assert f"model size {path.stat().st_size} bytes exceeds the limit 20971520" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "y2", "--layer", "fc1_output"], "it goes with --model"),
        ([], "one of the arguments --network --model is required"),
        (["--network", "y2", "--model", "a,1"], "not allowed with argument"),
        (["--network", "y3"], "unknown network 'y3': did you mean 'y2'"),
        (["--network", "y2", "--track", "deepglint"], "unknown track 'deepglint': did you mean 'deepglint-l"),
        (["--model", "absent/model,1"], "absent/model-0001.safetensors: no such model"),
        (["--model", "absent"], "expected PREFIX,EPOCH"),
        (["--network", "y2", "--layers"], "unrecognized arguments: --layers"),
    ],
)
def test_bad_usage_is_status_2(run, arguments, message):
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert message in err


def test_runs_as_a_script_from_any_folder(tmp_path):
    command = [sys.executable, str(SCRIPT), "--network", "m1", "--track", "deepglint-light"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stdout.startswith("FLOPs: 1132662629\n")
    assert done.stderr == ""
