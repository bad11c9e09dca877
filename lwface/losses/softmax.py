"""Plain softmax: a fully connected layer on the embedding as it is."""

from __future__ import annotations

from typing import Annotated

from lwface.base.setting import Setting
from lwface.losses.base import LOSSES, Margin


@LOSSES.register_as("softmax")
class Softmax(Margin):
    """``W x + b``, no margin; the bias starts at 0 and is left out when ``fc7_no_bias`` is set."""

    cosine = False

    def __init__(self, *, fc7_no_bias: Annotated[bool, Setting("plain softmax without a bias")] = False) -> None:
        super().__init__()
        self.bias = not fc7_no_bias
