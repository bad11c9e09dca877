"""What runs a network: each backend makes a runner for one device and one size of batch, shown to give eager's numbers.

=========== ==========================================================================================================
eager       PyTorch, layer by layer: the reference. An ONNX model has none; ONNX Runtime stands in its place
compiled    torch.compile. On a CPU, where it needs a C++ compiler, batch norms are folded into convolutions; on CUDA
            the kernels are replayed as one CUDA graph
onnxruntime the network's ONNX model in ONNX Runtime
openvino    the network's ONNX model in OpenVINO, on a CPU
=========== ==========================================================================================================

All compute in float32 (with ``bf16`` eager and compiled alone, under autocast). What another order of additions makes
of a feature is measured in norms, relative: 1e-6 for y2, 1e-5 for r100. A backend that computes in float16, bfloat16 or
TF32 without being asked makes 1e-3 to 1e-2, and is refused.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.base.extras import require
from lwface.features.choices import COMPILED, EAGER, ONNXRUNTIME, OPENVINO
from lwface.onnx.choices import Pixels
from lwface.onnx.export import OUTPUT, export_onnx
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.runtime import onnx_runtime

TOLERANCES = {"float32": 1e-4, "bf16": 5e-2}  # norm of the difference from eager's feature over that feature's norm
PROBES = 4  # different images by which a runner is compared with eager

Run = Callable[[Tensor], Tensor]


class Unsuited(UserError):
    """A backend is not for this device, precision or kind of model, whatever is installed."""


@dataclass(frozen=True)
class Workload:
    """What a runner is made for.

    Attributes:
        precision: ``float32``, or ``bf16`` for autocast.
        image_size: (height, width).
    """

    device: torch.device
    batch_size: int
    precision: str = "float32"
    image_size: tuple[int, int] = (112, 112)


class Runner(nn.Module):
    """Takes (B, 3, H, W) uint8 RGB, B the workload's batch size, and gives (B, D).

    Attributes:
        backend: its name.
        label: the same with the version of the program behind it, where that is not PyTorch.
        embedding_size: D.
    """

    def __init__(self, run: Run, embedding_size: int, backend: str, version: str = "") -> None:
        super().__init__()
        self._run = run  # a network becomes a submodule, and so is put in evaluation mode with the runner
        self.embedding_size, self.backend, self.label = embedding_size, backend, f"{backend} {version}".strip()

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings of one full batch."""
        return self._run(images)


@contextlib.contextmanager
def arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """No gradients, the precision asked for; on CUDA also the same bits each time, and float32 that is float32."""
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        yield


class Original:
    """A network on its device, with all that its backends share: the ONNX model, and the numbers they have to give."""

    def __init__(self, network: nn.Module, workload: Workload) -> None:
        self.network, self.workload = network, workload
        self.embedding_size = int(network.embedding_size)  # type: ignore[arg-type]
        self._runners: dict[str, Runner] = {}

    @cached_property
    def onnx(self) -> tuple[bytes, str, Pixels]:
        """The ONNX model, the name of its output, and what it takes."""
        if isinstance(self.network, OnnxNetwork):
            return self.network.model, self.network.output, self.network.pixels
        return export_onnx(self.network), OUTPUT, Pixels()

    @cached_property
    def images(self) -> Tensor:
        """One batch (B, 3, H, W) uint8 of a few images again and again, in memory as the engine's batches are."""
        size, device = self.workload.batch_size, self.workload.device
        few = np.random.default_rng(0).integers(0, 256, (min(size, PROBES), *self.workload.image_size, 3), np.uint8)
        return torch.from_numpy(few[np.arange(size) % len(few)]).to(device).permute(0, 3, 1, 2)

    @cached_property
    def expected(self) -> Tensor:
        """Eager's features (B, D) float64 of :attr:`images`, on the CPU."""
        few = min(self.workload.batch_size, PROBES)
        images = self.images[:few]
        with evaluating(self.network), arithmetic(self.workload.device, self.workload.precision):
            features = self.network(images).double().cpu()
        return features[torch.arange(self.workload.batch_size) % few]

    def runner(self, backend: str) -> Runner:
        """The runner of ``backend`` (not ``auto``), made when it is first asked for; see :func:`make_runner`."""
        if backend not in self._runners:
            self._runners[backend] = make_runner(self, backend)
        return self._runners[backend]

    def features(self, runner: Runner) -> Tensor:
        """What ``runner`` makes of :attr:`images`, on the CPU, so that it is finished."""
        images = self.images  # made outside the block, as the engine's are: a program compiled for others is no use
        with evaluating(runner), arithmetic(self.workload.device, self.workload.precision):
            return runner(images).cpu()


def make_runner(original: Original, backend: str) -> Runner:
    """The runner of ``backend`` (not ``auto``) for ``original``.

    Raises:
        UserError: the backend is not installed, cannot run the network here, or gives other numbers than eager;
            :class:`Unsuited` where that is no matter of installation.
    """
    if backend == EAGER:
        if not isinstance(original.network, OnnxNetwork):
            return Runner(original.network, original.embedding_size, EAGER)
        backend = ONNXRUNTIME
    try:
        run, version = MAKERS[backend](original)
        runner = Runner(run, original.embedding_size, backend, version)
        if not (isinstance(original.network, OnnxNetwork) and backend == ONNXRUNTIME):  # that is the reference itself
            _require_same_numbers(original, runner)
    except Unsuited as error:
        raise Unsuited(f"backend {backend}: {error}") from None
    except UserError as error:
        raise UserError(f"backend {backend}: {error}") from None
    except Exception as error:  # those of three different programs, which have no class in common
        raise UserError(f"backend {backend}: does not run this network here ({_one_line(error)})") from None
    return runner


def _require_same_numbers(original: Original, runner: Runner) -> None:
    found, expected = original.features(runner).double(), original.expected
    if found.shape != expected.shape:
        raise UserError(f"gives features of shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
    norms = torch.linalg.vector_norm(expected, dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    worst = float((torch.linalg.vector_norm(found - expected, dim=1) / norms).max())
    tolerance = TOLERANCES[original.workload.precision]
    if not worst <= tolerance:  # written so that it refuses NaN, too
        raise UserError(f"gives other numbers than eager: a feature differs by {worst:.1e}, more than {tolerance:g}")


def _compiled(original: Original) -> tuple[Run, str]:
    """The network compiled for batches of exactly this size."""
    if isinstance(original.network, OnnxNetwork):
        raise Unsuited("compiles PyTorch's networks; an ONNX model runs in onnxruntime or openvino")
    from torch._inductor import config as inductor_settings

    on_cpu = original.workload.device.type == "cpu"
    if on_cpu:
        _require_cpp_compiler()
    print(f"compiling for batches of {original.workload.batch_size}: this can take a minute", file=sys.stderr)
    # The weights become part of the program, so they are a copy: the caller may go on to train.
    network = copy.deepcopy(original.network).eval().requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mode = "default" if on_cpu else "reduce-overhead"  # the latter is CUDA graphs
    compiled = torch.compile(network, dynamic=False, fullgraph=True, mode=mode)
    with inductor_settings.patch(freezing=on_cpu):  # as an option of torch.compile it is ignored
        original.features(Runner(lambda images: compiled(images), original.embedding_size, COMPILED))
    if on_cpu:
        return lambda images: compiled(images), ""

    def replay(images: Tensor) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return compiled(images).clone()  # the next replay writes over the graph's own output

    return replay, ""


def _require_cpp_compiler() -> None:
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        raise UserError(f"needs a C++ compiler, and there is no {compiler}: install g++, or set CXX to one")


def _onnxruntime(original: Original) -> tuple[Run, str]:
    """The network's ONNX model in ONNX Runtime."""
    _require_float32(original)
    device, network, runtime = original.workload.device, original.network, onnx_runtime()
    if not isinstance(network, OnnxNetwork):  # that would run on the CPU rather than not at all
        if device.type == "cuda" and "CUDAExecutionProvider" not in runtime.get_available_providers():
            raise Unsuited(f"the one installed here has no CUDA provider for {device}: pip install onnxruntime-gpu")
        network = OnnxNetwork(original.onnx[0], device=device).eval()

    def run(images: Tensor) -> Tensor:
        # NumPy converts on this thread alone: PyTorch's threads, once woken, would spin beside ONNX Runtime's.
        pixels = np.ascontiguousarray(images.cpu().numpy(), np.float32)
        return network(torch.from_numpy(pixels)).to(device)

    return run, runtime.__version__


def _openvino(original: Original) -> tuple[Run, str]:
    """The network's ONNX model in OpenVINO, which takes the bytes as they are and converts them itself."""
    _require_float32(original)
    workload = original.workload
    if workload.device.type != "cpu":
        raise Unsuited(f"runs on a CPU, not on {workload.device}")
    openvino = require("openvino", extra="openvino")
    from openvino.preprocess import PrePostProcessor

    model_bytes, output, pixels = original.onnx
    core = openvino.Core()
    model = core.read_model(model_bytes)
    model.reshape([workload.batch_size, 3, *workload.image_size])
    processing = PrePostProcessor(model)
    images = processing.input()
    images.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    images.model().set_layout(openvino.Layout("NCHW"))
    images.preprocess().convert_element_type(openvino.Type.f32)
    if pixels.color_order == "BGR":
        images.preprocess().reverse_channels()
    if pixels[:2] != (0.0, 1.0):
        images.preprocess().mean(pixels.mean).scale(1 / pixels.scale)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 or float16 where the processor has them
        "PERFORMANCE_HINT": "LATENCY",  # all threads work at one batch
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # threads that cannot move wait for whoever shares their core
    }
    request = core.compile_model(processing.build(), "CPU", settings).create_infer_request()

    def run(batch: Tensor) -> Tensor:
        nhwc = np.ascontiguousarray(batch.permute(0, 2, 3, 1).numpy())
        request.infer([nhwc], share_inputs=True)
        return torch.from_numpy(request.get_tensor(output).data.reshape(len(nhwc), -1).astype(np.float32))

    return run, openvino.__version__.split("-")[0]


def _require_float32(original: Original) -> None:
    if original.workload.precision != "float32":
        raise Unsuited(f"computes in float32, not {original.workload.precision}: use eager or compiled")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


MAKERS: dict[str, Callable[[Original], tuple[Run, str]]] = {
    COMPILED: _compiled,
    ONNXRUNTIME: _onnxruntime,
    OPENVINO: _openvino,
}
