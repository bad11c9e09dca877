"""Accuracy on the data set's verification packs while training, printed as the original prints it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.verification_pack import read_pack
from lwface.scoring.pack_accuracy import FOLDS, verify


class PackScore(NamedTuple):
    """What the network reaches on one pack."""

    name: str
    accuracy: float  # mean over the folds, of features of image plus mirror image
    std: float
    xnorm: float  # mean norm of the features


class Verifier:
    """The packs ``<name>.bin`` of ``folder`` that are there, in the order of ``names``; the last decides which is best.

    A pack is kept as JPEG and decoded when it is used; it is decoded once here too, so that a bad one stops the run at
    its start and not at its first verification.

    Raises:
        UserError: a pack is damaged, has images of another size or fewer pairs than folds.
    """

    def __init__(self, folder: Path, names: list[str], image_size: tuple[int, int]) -> None:
        self.image_size = image_size
        self.packs = []
        for name in names:
            path = folder / f"{name}.bin"
            if not path.exists():
                print(f"no {path}: not verified on {name}", flush=True)
                continue
            pack = read_pack(path)
            if len(pack) < FOLDS:
                raise UserError(f"{path}: {len(pack)} pairs cannot be cut into {FOLDS} folds: add pairs")
            pack.decode(image_size)
            self.packs.append(pack)
            print("ver", name, flush=True)

    def score(self, network: nn.Module, device: torch.device, batch_size: int, step: int) -> list[PackScore]:
        """Score ``network`` on every pack and print the original's lines; the network keeps its mode and weights."""
        embedder = Embedder(network, device=device, batch_size=batch_size)
        scores = []
        for pack in self.packs:
            print("testing verification..", flush=True)
            images = pack.decode(self.image_size)  # (2P, H, W, 3)
            start = time.monotonic()
            plain, mirrored = embedder.embed_both(images)
            print(plain.shape)
            print("infer time", time.monotonic() - start)
            accuracy, std, xnorm = verify(plain, mirrored, pack.issame)
            print(f"[{pack.name}][{step}]XNorm: {xnorm:f}")
            print(f"[{pack.name}][{step}]Accuracy-Flip: {accuracy:1.5f}+-{std:1.5f}", flush=True)
            scores.append(PackScore(pack.name, accuracy, std, xnorm))
        return scores


class BestModel:
    """When a model is saved and under which number, as the original's ``--ckpt`` has it.

    0: never. 1: when it is the best so far, numbered by the verification. 2: always, numbered likewise. 3: when it is
    the best so far, always under number 1. Best is the highest accuracy on the last pack; with equal ones, the sum over
    all packs decides. Without any pack nothing is the best, and the original would save only with 2; here 1 and 3 then
    save the latest.
    """

    def __init__(self) -> None:
        self.highest_sum = 0.0
        self.highest = 0.0
        self.verifications = 0

    def number_to_save(self, mode: int, accuracies: list[float]) -> int | None:
        """Take note of a verification; the number under which to save the model, or None."""
        self.verifications += 1
        is_best = not accuracies or self._is_best(accuracies)
        if mode == 0 or not (is_best or mode == 2):
            return None
        return 1 if mode == 3 else self.verifications

    def _is_best(self, accuracies: list[float]) -> bool:
        last, total = accuracies[-1], sum(accuracies)
        if last < self.highest:
            return False
        is_best = last > self.highest
        if not is_best and total >= self.highest_sum:  # the sum is only noted in a tie, as in the original
            is_best, self.highest_sum = True, total
        self.highest = last
        return is_best

    def state(self) -> dict[str, float]:
        """For the checkpoint."""
        return dict(vars(self))

    def restore(self, state: dict[str, float]) -> None:
        """Undo :meth:`state`."""
        vars(self).update(state)
