"""An ONNX model as a network: run by ONNX Runtime, ours and other people's.

A model says by its metadata what is to be done to pixels 0..255 before they go in (``common/onnx_export.py``).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import UserError
from common.extras import require
from common.files import PathLike

NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxNetwork(nn.Module):
    """Runs ``model``; takes (N, 3, 112, 112) RGB 0..255 as every network does and gives (N, D) float32.

    Args:
        model: the bytes of an ONNX model, or the path of its file.
        device: where it runs; ``.to(device)`` changes it.
        threads: of one operator; None: as many as PyTorch uses.
        output: name of the output to take, where there are several.

    Raises:
        UserError: ONNX Runtime cannot run the model, or its input or output is not that of a face network.
    """

    def __init__(
        self,
        model: bytes | PathLike,
        *,
        device: torch.device | str = "cpu",
        threads: int | None = None,
        output: str | None = None,
    ) -> None:
        super().__init__()
        self._model = model if isinstance(model, bytes) else Path(model).read_bytes()
        self._device = torch.device(device)
        self._threads = threads
        # What tells this model from another in a state dict: the weights are inside ONNX Runtime.
        digest = np.frombuffer(hashlib.sha256(self._model).digest(), np.uint8).copy()
        self.sha256: Tensor
        self.register_buffer("sha256", torch.from_numpy(digest))
        self._session = self._start()
        taken = self._session.get_inputs()[0]
        self._input, self._type = taken.name, NUMPY_TYPES[taken.type]
        self._batch = taken.shape[0] if isinstance(taken.shape[0], int) else None
        self._output = output or self._session.get_outputs()[0].name
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.mean = float(self.metadata.get("input_mean", "0"))
        self.scale = float(self.metadata.get("input_scale", "1"))
        self.embedding_size = self(torch.zeros((1, 3, 112, 112))).shape[1]

    @property
    def config(self) -> dict[str, Any]:
        """The settings the model was exported with; empty when it does not say."""
        return json.loads(self.metadata.get("config", "{}"))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) float32 of RGB ``images`` (N, 3, 112, 112), uint8 or float, 0..255."""
        pixels = images.to("cpu", torch.float32)
        if (self.mean, self.scale) != (0.0, 1.0):
            pixels = (pixels - self.mean) * self.scale
        data = np.ascontiguousarray(pixels.numpy(), dtype=self._type)
        step = self._batch or len(data)
        found = [self._run(data[start : start + step], step) for start in range(0, len(data), step)]
        return torch.from_numpy(np.concatenate(found)).to(images.device)

    def to(self, *args: Any, **kwargs: Any) -> OnnxNetwork:
        """Move to a device, as every network does."""
        device, *_ = torch._C._nn._parse_to(*args, **kwargs)
        super().to(*args, **kwargs)
        if device is not None and device != self._device:
            self._device = device
            self._session = self._start()
        return self

    def _run(self, data: np.ndarray, batch: int) -> np.ndarray:
        """(n, 3, H, W) -> (n, D) float32, run as a batch of ``batch`` with n <= batch."""
        rows = len(data)
        if rows < batch:
            data = np.concatenate([data, np.zeros((batch - rows, *data.shape[1:]), data.dtype)])
        (found,) = self._session.run([self._output], {self._input: data})
        return found[:rows].reshape(rows, -1).astype(np.float32, copy=False)

    def _start(self) -> Any:
        """A session on the device: the same model, threads and machine give the same bits each time."""
        runtime = require("onnxruntime", extra="onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": self._device.index or 0, "use_tf32": 0}))
        return runtime.InferenceSession(self._model, options, providers=providers)


def load_onnx(path: PathLike, output: str | None = None) -> OnnxNetwork:
    """The network in the file ``path``, in evaluation mode."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such model")
    return OnnxNetwork(path, output=output).eval()
