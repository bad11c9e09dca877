"""AirFace (Li et al. 2019, arXiv 1907.12256), second of the challenge's light track: a deeper, wider MobileFaceNet.

Against y2: 9, 16 and 6 residual bottlenecks at 28, 14 and 7 pixels, 256 channels at 7 pixels (a reduction of expansion
8 leads there), 1024 before the head, CBAM at the end of every bottleneck, and in CBAM 1 + tanh in the sigmoid's place.
The authors published no program. The table is the paper's as a public re-implementation records it; it counts 98 % of
the light track's FLOPs, which is what the authors built for:

======================================= =========== ==========
.                                       FLOPs       parameters
======================================= =========== ==========
here, official count                    1053237493  4334312
here, multiply-adds                     528594966   .
reported                                about 1 G   .
======================================= =========== ==========

Chosen here: 512 numbers an embedding (the paper's table has 512, its experiments on small embeddings 128), CBAM's
reduction 16 and kernel 7, and its batch norm, as CBAM's authors have them.
"""

from __future__ import annotations

from lwface.networks.base import NETWORKS, FaceNetwork
from lwface.networks.fmobilefacenet import fmobilefacenet
from lwface.networks.settings import Activation, EmbeddingSize, Head, Momentum


@NETWORKS.register
def airface(
    *, emb_size: EmbeddingSize = 512, net_output: Head = "GDC", net_act: Activation = "prelu", bn_mom: Momentum = 0.9
) -> FaceNetwork:
    """AirFace; vary it as the family ``fmobilefacenet`` with the settings below."""
    return fmobilefacenet(
        emb_size=emb_size,
        net_output=net_output,
        net_act=net_act,
        net_blocks=(1, 9, 16, 6),
        net_widths=(64, 64, 128, 256, 1024),
        net_expansions=(1, 2, 2, 4, 2, 8, 2),
        net_attention="cbam_tanh",
        bn_mom=bn_mom,
    )
