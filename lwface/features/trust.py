"""Before a model's first feature: is it a function of the image alone, and is it known which pixels the model takes?

Neither fault is an error anywhere else. A model with a batch norm in training mode, dropout left on, or 8-bit ranges
that are found while it runs, gives a face another feature beside other faces, or at each run.
"""

from __future__ import annotations

import sys
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.features.runners import arithmetic
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.pixels import note_of_guess
from lwface.onnx.unsteady import Unsteady

# Norm of the difference of two features of one image over their norm; half of its square is 1 - cosine. Measured alone
# and beside others: y1, y2 and m025 make 7e-7 in float32, and fp16, static int8 and bf16 on a CPU the same bits; other
# kernels for another size of batch may round at fp16's 1e-3, 8 bits' 1e-2 and bf16's 3e-2. Dynamic int8 makes 0.05 to
# 0.9, a batch norm in training mode and dropout more.
TOLERANCES = {"float32": 1e-2, "bf16": 5e-2}
SUSPECTED = 1e-5  # where the graph tells a reason: ten times what another order of additions makes
TOGETHER = 4  # images that are embedded alone and beside each other

_trusted: WeakSet[nn.Module] = WeakSet()
_told: WeakSet[nn.Module] = WeakSet()


def require_own_features(
    network: nn.Module, images: np.ndarray | None = None, *, device: torch.device, precision: str = "float32"
) -> None:
    """Raise unless ``network`` gives an image the same feature alone, beside others, and again; asked once a network.

    Also says on stderr, once a network, when which pixels it takes is only a guess.

    Args:
        network: on ``device``; takes (N, 3, H, W) uint8 and gives (N, D).
        images: (N, H, W, 3) uint8, of which the first are used; None: pictures of 112x112 that are made.
        precision: as for :class:`lwface.features.embedder.Embedder`.

    Raises:
        UserError: it does not, with the lowest cosine, and the reason where the graph tells it.
    """
    say_guess(network)
    if network in _trusted:
        return
    batch = _pictures(images).to(device)
    with evaluating(network), arithmetic(device, precision):
        alone = torch.cat([_rows(network, batch[i : i + 1]) for i in range(TOGETHER)])
        beside, again = _rows(network, batch), _rows(network, batch)
    parts = network.unsteady if isinstance(network, OnnxNetwork) else []
    tolerance = SUSPECTED if parts else TOLERANCES[precision]
    cosines = [torch.cosine_similarity(found, beside).nan_to_num(-1).min() for found in (again, alone)]
    for found, when in ((again, "each time"), (alone, "beside other faces")):
        if _differ(found, beside, tolerance):
            what = f"gives a face another feature {when} (worst cosine {float(min(cosines)):.6f})"
            raise _refusal(network, what, parts)
    wrong = [part for part in parts if part.always_wrong]
    if wrong:
        raise _refusal(network, "gives features by other rules than those it was trained for", wrong)
    _trusted.add(network)


def say_guess(network: nn.Module) -> None:
    """One line on stderr, once a network, where which pixels it takes is a guess."""
    if isinstance(network, OnnxNetwork) and network.told.assumed and network not in _told:
        _told.add(network)
        print(note_of_guess(network.told, network.name), file=sys.stderr)


def _pictures(images: np.ndarray | None) -> Tensor:
    """(4, 3, H, W) uint8: up to two of ``images`` that show something, then blobs of low contrast and noise."""
    height, width = (112, 112) if images is None else images.shape[1:3]
    shown = [image for image in ([] if images is None else images[:32]) if np.ptp(image)][: TOGETHER // 2]
    random = np.random.default_rng(0)
    while len(shown) < TOGETHER:
        noise = random.integers(0, 256, (height, width, 3), np.uint8)
        coarse = 96 + random.integers(0, 64, (-(-height // 16), -(-width // 16), 3), np.uint8)
        blobs = coarse.repeat(16, 0).repeat(16, 1)[:height, :width].astype(np.uint8)
        shown.append(noise if len(shown) % 2 else blobs)
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)


def _rows(network: nn.Module, images: Tensor) -> Tensor:
    """(N, D) float64 on the CPU; :class:`UserError` where ``network`` does not run on so many ``images``."""
    try:
        return network(images).double().cpu().flatten(1)
    except (RuntimeError, ValueError) as error:  # as PyTorch's batch norms say that they need others beside an image
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{_name(network)}: does not run on {len(images)} images ({reason})") from None


def _differ(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether a row differs by more than the tolerance; what is zero or not finite both times is for others to see."""
    usable = expected.isfinite().all(1) & (expected != 0).any(1)
    if not torch.equal(usable, found.isfinite().all(1) & (found != 0).any(1)):
        return True
    found, expected = found[usable], expected[usable]
    return bool((torch.linalg.vector_norm(found - expected, dim=1) > tolerance * expected.norm(dim=1)).any())


def _refusal(network: nn.Module, what: str, parts: list[Unsteady]) -> UserError:
    reasons = " and ".join(part.reason for part in parts) or "its rows see each other, or chance"
    remedy = parts[0].remedy if parts else "a feature must depend on its image alone; export it in evaluation mode"
    return UserError(f"{_name(network)}: {what}: {reasons}; {remedy}")


def _name(network: nn.Module) -> str:
    return network.name if isinstance(network, OnnxNetwork) else f"the model ({type(network).__name__})"
