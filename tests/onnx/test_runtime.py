"""ONNX Runtime leaves nothing in the home of who uses it through this project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lwface.onnx.runtime import TELEMETRY_SWITCH, onnx_runtime, switch_telemetry_off

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).resolve().parents[2]
EMBEDDING = """
import sys
import numpy as np
import torch
from torch import nn
import lwface
from lwface.networks.base import FaceNetwork
from lwface.onnx.export import export_onnx

network = FaceNetwork(nn.Conv2d(3, 2, 16, stride=16), nn.Sequential(nn.Flatten(), nn.Linear(98, 4)), 4).eval()
assert "onnxruntime" not in sys.modules
with open("model.onnx", "wb") as file:
    file.write(export_onnx(network))
images = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
found = lwface.embed(lwface.load_model("model.onnx"), images)
assert found.shape == (3, 4)
assert "onnxruntime" in sys.modules
"""


def files_left(tmp_path, code, **environment):
    """What ``code`` leaves in an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    dropped = (TELEMETRY_SWITCH, "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {"HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=kept | own, check=True, timeout=100)
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


def test_an_embedding_leaves_nothing_at_home(tmp_path):
    assert files_left(tmp_path, EMBEDDING) == []


def test_a_users_own_setting_stays(monkeypatch):
    monkeypatch.setenv(TELEMETRY_SWITCH, "0")
    switch_telemetry_off()
    assert os.environ[TELEMETRY_SWITCH] == "0"
    monkeypatch.delenv(TELEMETRY_SWITCH)
    assert onnx_runtime().__name__ == "onnxruntime"
    assert os.environ[TELEMETRY_SWITCH] == "1"


def test_nobody_else_imports_it_first():
    other = re.compile(
        r"""^\s*import onnxruntime\b|require\(\s*["']onnxruntime|import_module\(\s*["']onnxruntime""", re.M
    )
    found = [path.name for path in (ROOT / "lwface").rglob("*.py") if other.search(path.read_text())]
    assert found == ["runtime.py"]
    quantising = re.compile(r"^(\s*)from onnxruntime\b", re.M)
    for path in (ROOT / "lwface").rglob("*.py"):
        for match in quantising.finditer(path.read_text()):
            assert match[1], f"{path}: imports ONNX Runtime before its telemetry is off"
