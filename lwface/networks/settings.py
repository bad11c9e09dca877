"""Settings that several families have in common: their types, limits and meanings.

A family names them in its signature; one that only it has it declares there itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from lwface.base.setting import Setting

ACTIVATIONS = ("prelu", "relu", "sigmoid", "tanh", "softrelu", "softsign")
ATTENTIONS = ("none", "se", "cbam", "cbam_tanh")

EmbeddingSize = Annotated[int, Setting("width of the embedding", minimum=1)]
Depth = Annotated[int, Setting("layers, of the depths that the family knows", minimum=1)]
Head = Annotated[str, Setting("output head")]
Activation = Annotated[str, Setting("activation", choices=ACTIVATIONS)]
Momentum = Annotated[float, Setting("share of the old running statistics that batch norm keeps", minimum=0)]
Multiplier = Annotated[float, Setting("factor on the channels", minimum=0)]
SqueezeExcitation = Annotated[int, Setting("1: squeeze-and-excitation in every unit", choices=(0, 1))]
Stem = Annotated[int, Setting("kind of input stem", choices=(0, 1, 2))]
Blocks = Annotated[Sequence[int], Setting("blocks in each stage")]
Units = Annotated[Sequence[int], Setting("units in each stage; empty: as num_layers says")]
Widths = Annotated[Sequence[int], Setting("channels of the first layer or stage and of those that follow")]
Expansions = Annotated[Sequence[float], Setting("channels inside a block over those outside, a stage")]
Kernels = Annotated[Sequence[int], Setting("kernel of the depthwise or second convolution, a stage")]
Attention = Annotated[str, Setting("attention at the end of every block", choices=ATTENTIONS)]
OctaveShare = Annotated[float, Setting("share of channels at half resolution", minimum=0)]
DropPath = Annotated[float, Setting("share of residual branches left out in training", minimum=0)]
