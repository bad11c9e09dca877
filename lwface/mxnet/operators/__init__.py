"""The operators of MXNet that a graph may have, each made of PyTorch's: importing this registers them."""

from lwface.mxnet.operators import arithmetic, heads, layers, pooling, shaping
from lwface.mxnet.operators.heads import HEADS
from lwface.mxnet.operators.operation import OPERATORS, Operation

__all__ = ["HEADS", "OPERATORS", "Operation", "arithmetic", "heads", "layers", "pooling", "shaping"]
