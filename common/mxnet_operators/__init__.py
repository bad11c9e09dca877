"""The operators of MXNet that a graph may have, each made of PyTorch's: importing this registers them."""

from common.mxnet_operators import arithmetic, heads, layers, pooling, shaping
from common.mxnet_operators.heads import HEADS
from common.mxnet_operators.operation import OPERATORS, Operation

__all__ = ["HEADS", "OPERATORS", "Operation", "arithmetic", "heads", "layers", "pooling", "shaping"]
