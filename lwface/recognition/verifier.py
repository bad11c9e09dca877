"""Accuracy on the data set's verification packs while training, printed as the original prints it."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.verification_pack import read_pack
from lwface.scoring.drawn_folds import drawn_folds
from lwface.scoring.pack_accuracy import verify
from lwface.scoring.parameters import FOLDS
from lwface.training.task import Score


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
            folds = drawn_folds(pack.issame)
            if len(pack) < folds:
                raise UserError(f"{path}: {len(pack)} pairs cannot be cut into {folds} folds: add pairs")
            pack.decode(image_size)
            self.packs.append(pack)
            print("ver", name, flush=True)
            if folds != FOLDS:
                print(f"[{name}]Folds: {folds}, by the order of its pairs", flush=True)

    @property
    def images(self) -> int:
        """How many the packs have together."""
        return sum(2 * len(pack) for pack in self.packs)

    def score(self, network: nn.Module, device: torch.device, batch_size: int, step: int) -> list[Score]:
        """Score ``network`` on every pack and print the original's lines; the network keeps its mode and weights.

        Returns:
            For each pack ``accuracy`` and its ``std`` over the folds, of features of image plus mirror image, and
            ``xnorm``, the mean norm of the features.
        """
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
            scores.append(Score(pack.name, {"accuracy": accuracy, "std": std, "xnorm": xnorm}))
        return scores
