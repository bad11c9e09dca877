"""An ONNX model as a network: run by ONNX Runtime, ours and other people's.

What is to be done to pixels 0..255 before a model takes them is told, in this order, by

1. whoever loads it (``pixels``);
2. its metadata, which ``recognition/export.py`` writes;
3. its graph, as far as its first arithmetic and its number types tell (:mod:`lwface.onnx.pixels`);
4. the habit of arcface_torch and insightface, from whom most other models are: ``(x - 127.5) / 127.5``, RGB.

3 and 4 are guesses, and :attr:`OnnxNetwork.told` says so. A wrong one gives no error, only bad features:
``recognition/check_model.py`` tries the usual ones.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.gate.flops import FlopsReport
from lwface.onnx.choices import Pixels
from lwface.onnx.export import IMAGE_SHAPE, OUTPUT
from lwface.onnx.file import read_onnx
from lwface.onnx.flops import flops_of_onnx
from lwface.onnx.graph import fixed_batch, image_input, one_line, parse
from lwface.onnx.pixels import ASSUMED, SIGNED, Told, pixels_flag, told_pixels
from lwface.onnx.raw_pixels import say_raw_pixels, unsay_raw_pixels
from lwface.onnx.runtime import onnx_runtime
from lwface.onnx.unsteady import unsteady_parts

NUMPY_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}

ARCFACE_TORCH = SIGNED


class OnnxNetwork(nn.Module):
    """Runs ``model``; takes (N, 3, 112, 112) RGB 0..255 as every network does and gives (N, D) float32.

    A model for a fixed number of images is run as often as it takes. Its weights are inside ONNX Runtime, so there are
    no parameters; the one buffer, ``sha256`` of the model, tells in a state dict which model it is.

    Args:
        model: the bytes of an ONNX model that keeps its weights inside; :func:`load_onnx` reads and checks a file.
        device: where it runs, a CUDA device only where ONNX Runtime has its CUDA provider; ``.to(device)`` changes it.
        threads: of one operator; None: as many as PyTorch uses.
        output: name of the output to take, where there are several.
        pixels: what the model takes, where it does not say so rightly itself.
        name: what errors call it.

    Attributes:
        image_shape: (3, H, W) of the images.
        told: what the model takes, and whether that is a guess.
        integers: it takes whole numbers.
        unsteady: what in the graph makes a feature depend on more than its image.

    Raises:
        UserError: ONNX Runtime cannot run the model, or its input or output is not that of a face network.
    """

    image_shape = IMAGE_SHAPE

    def __init__(
        self,
        model: bytes,
        *,
        device: torch.device | str = "cpu",
        threads: int | None = None,
        output: str | None = None,
        pixels: Pixels | None = None,
        name: str = "the ONNX model",
    ) -> None:
        super().__init__()
        parsed = parse(model, name)
        self.model, self.name = model, name
        self.metadata: dict[str, str] = {entry.key: entry.value for entry in parsed.metadata_props}
        self.told = Told(pixels) if pixels else told_pixels(parsed, self.metadata, name)
        self.unsteady = unsteady_parts(parsed)
        self._input, self._batch = image_input(parsed, name).name, fixed_batch(parsed, name)
        self.output = _choose_output([value.name for value in parsed.graph.output], output, name)
        self._threads = threads
        self.sha256: Tensor
        digest = torch.frombuffer(bytearray(hashlib.sha256(model).digest()), dtype=torch.uint8)
        self.register_buffer("sha256", digest.to(device))
        self._session = self._start()
        element_type = self._session.get_inputs()[0].type
        if element_type not in NUMPY_TYPES:
            raise UserError(f"{name}: takes {element_type}; expected one of {', '.join(NUMPY_TYPES)}")
        self._type = NUMPY_TYPES[element_type]
        self.integers = np.issubdtype(self._type, np.integer)
        self._require_fitting_pixels()
        self.embedding_size = self(torch.zeros((1, *IMAGE_SHAPE))).shape[1]

    @property
    def pixels(self) -> Pixels:
        """What the model takes."""
        return self.told.pixels

    def taking(self, pixels: Pixels) -> OnnxNetwork:
        """The same model in the same session, as one that takes ``pixels``.

        Raises:
            UserError: it takes whole numbers, which these are not.
        """
        other = copy.copy(self)
        other.told = Told(pixels)
        other._require_fitting_pixels()
        return other

    @property
    def config(self) -> dict[str, Any]:
        """The settings the model was exported with; empty when it is not one of ours."""
        config = json.loads(self.metadata.get("config", "{}")) if "weights_sha256" in self.metadata else {}
        return config if isinstance(config, dict) else {}

    def flops_report(self) -> FlopsReport:
        """What the model costs and weighs, counted from its graph."""
        return flops_of_onnx(parse(self.model, self.name), self.name, self.output)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) float32 of RGB ``images`` (N, 3, 112, 112), uint8 or float, 0..255."""
        data = self.as_input(images)
        step = self._batch or len(data)
        if not len(data):
            return images.new_empty((0, self.embedding_size), dtype=torch.float32)
        found = [self._run(data[start : start + step], step) for start in range(0, len(data), step)]
        return torch.from_numpy(np.concatenate(found)).to(images.device)

    def as_input(self, images: Tensor) -> np.ndarray:
        """RGB ``images`` (N, 3, 112, 112), uint8 or float, 0..255, as the model takes them."""
        if images.shape[1:] != IMAGE_SHAPE:
            raise UserError(f"images of shape {tuple(images.shape)}: the model takes (N, 3, 112, 112)")
        pixels = images.to("cpu", torch.float32)
        if self.pixels.color_order == "BGR":
            pixels = pixels.flip(1)
        if self.pixels[:2] != (0.0, 1.0):
            pixels = (pixels - self.pixels.mean) * self.pixels.scale
        return np.ascontiguousarray(pixels.numpy(), dtype=self._type)

    def _require_fitting_pixels(self) -> None:
        """Raise :class:`UserError` where conversion to whole numbers would silently make others of the pixels."""
        ends = [(end - self.pixels.mean) * self.pixels.scale for end in (0, 255)]
        whole = all(float(number).is_integer() for number in (self.pixels.mean, self.pixels.scale))
        if self.integers and not (whole and np.array_equal(np.array(ends).astype(self._type), ends)):
            number_type = np.dtype(self._type).name
            raise UserError(f"{self.name}: takes {number_type}, which pixels {pixels_flag(self.pixels)} do not fit")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OnnxNetwork:
        """What ``.to()``, ``.cuda()`` and ``.cpu()`` come down to."""
        before = self.sha256.device
        super()._apply(fn, recurse)
        if self.sha256.device != before:
            self._session = self._start()
        return self

    def _run(self, data: np.ndarray, batch: int) -> np.ndarray:
        """(n, 3, H, W) -> (n, D) float32, run as a batch of ``batch`` with n <= batch."""
        rows = len(data)
        if rows < batch:
            data = np.concatenate([data, np.zeros((batch - rows, *data.shape[1:]), data.dtype)])
        try:
            (found,) = self._session.run([self.output], {self._input: data})
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise UserError(f"{self.name}: does not run on {batch} images ({one_line(error)})") from None
        if len(found) != batch:
            raise UserError(f"{self.name}: gives an output of shape {found.shape} for {batch} images; expected (N, D)")
        return found[:rows].reshape(rows, -1).astype(np.float32, copy=False)

    def _start(self) -> Any:
        """A session on the device: the same model, threads and machine give the same bits each time."""
        runtime = onnx_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        # Spinning threads gain little alone and take the cores from whoever shares them: decoders, other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # fatal: what matters is raised
        providers: list[Any] = ["CPUExecutionProvider"]
        device = self.sha256.device
        if device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": 0}))
        try:
            return runtime.InferenceSession(self.model, options, providers=providers)
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise UserError(f"{self.name}: ONNX Runtime cannot run it ({one_line(error)})") from None


def load_onnx(path: PathLike, output: str | None = None, pixels: Pixels | None = None) -> OnnxNetwork:
    """The network in the file ``path``, checked, in evaluation mode on the CPU.

    Args:
        output: name of the output to take, where there are several.
        pixels: what the model takes, where it does not say so rightly itself.

    Raises:
        UserError: see :func:`lwface.onnx.file.read_onnx` and :class:`OnnxNetwork`.
    """
    model = read_onnx(path)
    network = OnnxNetwork(model.SerializeToString(), output=output, pixels=pixels, name=str(path))
    return network.eval()


def relabel(network: OnnxNetwork, pixels: Pixels | None = None) -> bytes:
    """The model of ``network`` with ``pixels`` as what it says it takes, and no output but the embedding.

    It says so in its metadata, and to insightface by the names of its first nodes, unless it was only guessed.

    Args:
        pixels: None: what ``network`` takes. What was only guessed is written as a guess, for a later conversion may
            hide from the graph what it was told from.
    """
    model = parse(network.model, network.name)
    embedding = next(value for value in model.graph.output if value.name == network.output)
    del model.graph.output[:]
    model.graph.output.append(embedding)
    pixels, assumed = Told(pixels) if pixels else network.told
    metadata = {**network.metadata, "input_mean": repr(pixels.mean), "input_scale": repr(pixels.scale)}
    metadata["color_order"] = pixels.color_order
    metadata.pop(ASSUMED, None)
    if assumed:
        metadata[ASSUMED] = assumed
    metadata["normalisation"] = "inside" if pixels[:2] == (0.0, 1.0) else "outside"
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    if not assumed and pixels == Pixels():
        say_raw_pixels(model.graph, image_input(model, network.name).name)
    elif not assumed:
        unsay_raw_pixels(model.graph)
    return bytes(model.SerializeToString(deterministic=True))


def _choose_output(names: list[str], wanted: str | None, name: str) -> str:
    if wanted is not None and wanted not in names:
        raise UserError(f"{name}: has no output {wanted!r}; it has {', '.join(names)}")
    if wanted is None and len(names) > 1 and OUTPUT not in names:
        raise UserError(f"{name}: has several outputs ({', '.join(names)}); say which one is the embedding")
    return wanted or (OUTPUT if OUTPUT in names else names[0])
