"""Trained networks on disk, named on every command line as ``PREFIX,EPOCH`` or as a file: saved and opened."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn

from lwface.models.pretrained import is_bare, open_state_dict
from lwface.models.saved import load_saved, model_sha256, refuse_layer, save_model

__all__ = ["load_model", "model_sha256", "save_model"]


def load_model(text: str, layer: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The network called ``text`` in evaluation mode on the CPU, and the configuration it was saved with.

    Args:
        text: ``PREFIX,EPOCH``, ours or else MXNet's; the file ``PREFIX-0001.safetensors`` or ``.params`` itself;
            ``FILE.onnx``; or the state dict of an ``iresnet``, of which what is assumed is printed as a line.
        layer: the output that is the embedding, for models of MXNet and ONNX that have several. ``fc1_output`` of
            MXNet needs no name.

    Returns:
        The configuration of a model of MXNet or ONNX holds only what tells it from another with the same weights.

    Raises:
        UserError: no such file, not a model, damaged, or its tensors are not those of the network it names.
    """
    if not is_bare(text):
        return load_saved(text, layer)
    refuse_layer(layer, text)
    return open_state_dict(text, say=lambda line: print(line, file=sys.stderr, flush=True))
