"""Accuracy on the data set's verification packs while training, printed as the original prints it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.pack_folds import folds_for, one_kind
from lwface.formats.verification_pack import VerificationPack, read_pack
from lwface.scoring.drawn_folds import drawn_folds
from lwface.scoring.pack_accuracy import normalise_rows, verify
from lwface.scoring.pack_remarks import remark
from lwface.scoring.parameters import FOLDS
from lwface.training.task import Score


class Verifier:
    """The packs ``<name>.bin`` of ``folder`` that are there, in the order of ``names``; the last decides which is best.

    Those of ``earlier``, files, come before them; one whose name is taken is called after its folder too.

    A pack is kept as JPEG and decoded when it is used; it is decoded once here too, so that a bad one stops the run at
    its start and not at its first verification.

    Raises:
        UserError: a pack is damaged, has images of another size, fewer pairs than folds, or pairs of one kind: of an
            accuracy that is always 1 every model would be the best.
    """

    def __init__(
        self, folder: Path, names: list[str], image_size: tuple[int, int], earlier: Sequence[Path] = ()
    ) -> None:
        self.image_size = image_size
        packs = [(self._name(path, names), path) for path in earlier]
        packs += [(name, folder / f"{name}.bin") for name in names]
        self.packs: list[tuple[VerificationPack, int]] = []
        for name, path in packs:
            if not path.exists():
                print(f"no {path}: not verified on {name}", flush=True)
                continue
            pack = replace(read_pack(path), name=name)
            drawn = drawn_folds(pack.issame)
            folds = folds_for(pack.issame, path, drawn)
            pack.decode(image_size)
            self.packs.append((pack, folds))
            print("ver", name, flush=True)
            if drawn != FOLDS:
                print(f"[{name}]Folds: {drawn}, by the order of its pairs", flush=True)
            if folds < drawn:
                print(
                    f"{path}: {one_kind(pack.issame, drawn)}: it is cut into {folds} folds, of both kinds each",
                    flush=True,
                )

    @staticmethod
    def _name(path: Path, taken: list[str]) -> str:
        return path.stem if path.stem not in taken else f"{path.absolute().parent.name}-{path.stem}"

    @property
    def images(self) -> int:
        """How many different ones the packs have together."""
        return sum(len(pack.distinct()[0]) for pack, _ in self.packs)

    def score(self, network: nn.Module, device: torch.device, batch_size: int, step: int) -> list[Score]:
        """Score ``network`` on every pack and print the original's lines; the network keeps its mode and weights.

        A line of our own follows them where the accuracy is worth nothing.

        Returns:
            For each pack ``accuracy`` and its ``std`` over the folds, of features of image plus mirror image,
            ``xnorm``, the mean norm of the features, and ``folds``, how many there are.

        Raises:
            UserError: a feature is not finite.
        """
        embedder = Embedder(network, device=device, batch_size=batch_size)
        scores = []
        for pack, folds in self.packs:
            print("testing verification..", flush=True)
            images = pack.decode(self.image_size)  # (2P, H, W, 3)
            start = time.monotonic()
            firsts, places = pack.distinct()  # many are in several pairs
            plain, mirrored = (features[places] for features in embedder.embed_both(images[firsts]))
            print(plain.shape)
            print("infer time", time.monotonic() - start)
            try:
                accuracy, std, xnorm = verify(plain, mirrored, pack.issame, folds)
            except UserError as error:
                raise UserError(f"{pack.name} at step {step}: {error}: the network diverged; lower --lr") from None
            print(f"[{pack.name}][{step}]XNorm: {xnorm:f}")
            print(f"[{pack.name}][{step}]Accuracy-Flip: {accuracy:1.5f}+-{std:1.5f}", flush=True)
            rows = normalise_rows(plain.astype(np.float64) + mirrored)
            if found := remark([plain, mirrored], rows, pack.issame, accuracy):
                print(f"[{pack.name}][{step}]Remark: {found}", flush=True)
            scores.append(Score(pack.name, {"accuracy": accuracy, "std": std, "xnorm": xnorm, "folds": folds}))
        return scores
