"""The classes of one update: which of them are held here, sampled or not, and in blocks of how many they are scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lwface.losses.base import Margin
from lwface.losses.shards import ClassShard

NORM_EPSILON = 1e-10  # added to the squared norm, as in the original: a row of zeros stays zero, with a finite gradient
BLOCK_BYTES = {"cpu": 1 << 22, "cuda": 1 << 26}  # of scores, or of weight if that is more: a cache, a full GPU
MINIMUM_BLOCK = 64  # classes


def l2_normalise(rows: Tensor) -> Tensor:
    """``rows`` (..., D) divided by ``sqrt(sum of squares + 1e-10)`` each."""
    return rows * inverse_norms(rows)


def inverse_norms(rows: Tensor) -> Tensor:
    """(..., 1) of ``rows`` (..., D)."""
    return torch.rsqrt(rows.square().sum(dim=-1, keepdim=True) + NORM_EPSILON)


@dataclass(frozen=True)
class Classes:
    """The classes of one update, as far as this process holds them.

    Attributes:
        margin: what is done to the scores.
        shard: which of all classes are held.
        sample: (K,) rising rows of the held weight that take part; None: all.
        chunk: classes a block; 0: as many as :data:`BLOCK_BYTES` takes.
        products: precision of float32 products, as ``torch.set_float32_matmul_precision`` names it.
        share: of the margin, from 0 (scores as they are) to 1; between, scores are a mix of the two.
    """

    margin: Margin
    shard: ClassShard
    sample: Tensor | None = None
    chunk: int = 0
    products: str = "highest"
    share: float = 1.0

    def mixed(self, scores: Tensor, with_margin: Tensor) -> Tensor:
        """``scores`` of any shape as the share of the margin has them."""
        if self.share == 1.0 or with_margin is scores:
            return with_margin
        return torch.lerp(scores, with_margin, self.share)

    def __len__(self) -> int:
        return len(self.shard) if self.sample is None else len(self.sample)

    def places(self, labels: Tensor) -> Tensor:
        """(N,) where the class of each label is among these, or -1 where another process has it.

        Raises:
            ValueError: a label is no class, or not in the sample; on a CUDA device a failed assertion, later.
        """
        held = (labels >= self.shard.start) & (labels < self.shard.stop)
        places = labels - self.shard.start
        right = (labels >= 0) & (labels < self.shard.total)
        if self.sample is not None:
            rows, places = places, torch.searchsorted(self.sample, places)
            if len(self.sample):
                found = self.sample[places.clamp(max=len(self.sample) - 1)] == rows
                right = right & (found | ~held)
            else:
                right = right & ~held
        if right.device.type != "cpu":
            torch._assert_async(right.all(), "a label is no class, or not in the sample")
        elif not right.all():
            wrong = labels[~right][0].item()
            raise ValueError(
                f"label {wrong}: expected one of {self.shard.total} classes, and in the sample if there is one"
            )
        return torch.where(held, places, -1)

    def blocks(self, rows: int, weight: Tensor) -> Iterator[ClassBlock]:
        """The classes in blocks for ``rows`` embeddings."""
        numbers = max(rows, weight[:1].numel())  # a class
        size = self.chunk or max(MINIMUM_BLOCK, self._block_bytes(weight) // (numbers * weight.element_size()))
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield ClassBlock(start, stop, slice(start, stop) if self.sample is None else self.sample[start:stop])

    @staticmethod
    def _block_bytes(weight: Tensor) -> int:
        return BLOCK_BYTES.get(weight.device.type, BLOCK_BYTES["cuda"])


class ClassBlock(NamedTuple):
    """Some classes: their places ``start`` to ``stop - 1``, and their rows of the weight."""

    start: int
    stop: int
    rows: slice | Tensor

    def of(self, tensor: Tensor) -> Tensor:
        """These rows of ``tensor``: a view where they lie side by side, else a copy."""
        return tensor[self.rows] if isinstance(self.rows, slice) else tensor.index_select(0, self.rows)

    def put(self, tensor: Tensor, values: Tensor) -> None:
        """Write what :meth:`of` gave and was changed; nothing is to be done for a view."""
        if not isinstance(self.rows, slice):
            tensor.index_copy_(0, self.rows, values)

    def fill_own(self, matrix: Tensor, places: Tensor, values: Tensor | float) -> None:
        """Write ``values`` (N,) to each row's own class in ``matrix`` (N, classes of the block), where it is here.

        Something is written to every row, be it what was there: how many rows have theirs here, the host need not know.
        """
        inside = (places >= self.start) & (places < self.stop)
        columns = (places - self.start).clamp(0, self.stop - self.start - 1)[:, None]
        found = matrix.gather(1, columns).squeeze(1)
        if isinstance(values, Tensor):
            found = torch.where(inside, values.to(matrix.dtype), found)
        else:  # a tensor of it would be copied to the device, for which the host would wait
            found = found.masked_fill(inside, values)
        matrix.scatter_(1, columns, found[:, None])
