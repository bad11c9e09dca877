"""The weights that a run starts from, mixed into those that it has learnt.

Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022, section 4: the finetuned model's weights
and those it started from, interpolated linearly, keep more of what the start could do, at no cost in use. Running
statistics of batch norms are interpolated likewise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class StartingPoint(nn.Module):
    """A copy of the present state of ``network``, kept in the checkpoint.

    Args:
        network: whose.
        share: of the copy in the mix, from 0 to 1.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        super().__init__()
        self.share = share
        for number, tensor in enumerate(_state(network)):
            self.register_buffer(f"tensor{number}", tensor.detach().clone())

    @contextlib.contextmanager
    def mixed_into(self, network: nn.Module) -> Iterator[None]:
        """Inside the block the state of ``network`` is ``share * start + (1 - share) * its own``; its own after it."""
        tensors = _state(network)
        own = [tensor.detach().clone() for tensor in tensors]
        with torch.no_grad():
            for tensor, start in zip(tensors, self.buffers(), strict=True):
                tensor.lerp_(start, self.share)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, kept in zip(tensors, own, strict=True):
                    tensor.copy_(kept)


def _state(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
