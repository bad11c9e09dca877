"""A stand-in for onnxruntime-web, and models that a page takes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from lwface.deploy.web.runtime import GLUE, SCRIPT, WASM
from lwface.networks.base import FaceNetwork
from lwface.onnx.export import export_onnx

# It says what it was given: a checksum of the model and of what starts it. Not one of crypto, which is made in the
# background: a browser that prints its document does not wait for that.
FAKE_SCRIPT = rb"""/*! ONNX Runtime Web v9.9.9 */
"use strict";
const checksum = (bytes) => new Uint8Array(bytes).reduce((sum, byte) => (31 * sum + byte) % 1000003, 7);
const ort = { env: { wasm: {} }, InferenceSession: { create: async (model) => {
  document.body.dataset.model = checksum(model);
  document.body.dataset.wasm = checksum(ort.env.wasm.wasmBinary);
  document.body.dataset.glue = (await import(ort.env.wasm.wasmPaths.mjs)).default;
  return {};
} } };
"""
FAKE = {SCRIPT: FAKE_SCRIPT, GLUE: b'export default "glue";\n', WASM: bytes(range(256)) * 300}


def checksum(data: bytes) -> int:
    """What the script calls so."""
    total = 7
    for byte in data:
        total = (31 * total + byte) % 1000003
    return total


def write_package(path: Path, files: Mapping[str, bytes]) -> Path:
    """A package as npm has it, with ``files`` in its folder dist and others that nobody asks for."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"package/package.json": b"{}", **{f"package/dist/{n}": d for n, d in files.items()}}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def package(tmp_path) -> Path:
    """A package of a version that is not known."""
    return write_package(tmp_path / "onnxruntime-web-9.9.9.tgz", FAKE)


@pytest.fixture(scope="session")
def make_network() -> Callable[[], nn.Module]:
    """A network of 16 numbers."""

    def make() -> nn.Module:
        torch.manual_seed(0)
        return FaceNetwork(nn.Conv2d(3, 1, 28, 28), nn.Flatten(), 16).eval()

    return make


@pytest.fixture(scope="session")
def model(make_network) -> bytes:
    """It, exported."""
    return export_onnx(make_network())
