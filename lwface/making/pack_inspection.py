"""What is inside a verification pack, and what in it is wrong or odd."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwface.base.progress import progress
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.image_files import image_ending
from lwface.formats.orientation import carries_turn
from lwface.formats.pack_folds import one_kind, usable_folds
from lwface.formats.verification_pack import VerificationPack
from lwface.making.image_folder import ordered_map
from lwface.making.pair_list import FOLDS

SHOWN = 10  # faults of a kind that are named


@dataclass(frozen=True)
class PackReport:
    """What :func:`inspect_pack` found.

    Attributes:
        pairs, genuine: how many pairs, and how many of one person.
        bytes: of all images, each counted as often as it is in the list.
        formats, sizes: how many images have each; sizes as WIDTHxHEIGHT of the picture shown.
        damaged: image number and reason.
        turned: numbers of the images that EXIF turns.
        different: how many images differ in their bytes.
        most_used: number of an image that is used most often, and how often.
        with_itself: numbers of the pairs that are one image twice.
        listed_again: numbers of the pairs whose two images were a pair before, in either order.
        contradictory: those of them that say the opposite.
        one_kind: what part of ten folds is of one kind, or of the whole; None: none is.
        folds: the number of folds, up to ten, of which each has both kinds; None: there is none.
    """

    pairs: int
    genuine: int
    bytes: int
    formats: dict[str, int]
    sizes: dict[str, int]
    damaged: dict[int, str]
    turned: list[int]
    different: int
    most_used: tuple[int, int]
    with_itself: list[int]
    listed_again: list[int]
    contradictory: list[int]
    one_kind: str | None
    folds: int | None

    def lines(self, name: str) -> Iterator[str]:
        """The report of the pack ``name`` for people."""
        yield f"pack        {name}: {self.pairs} pairs, {self.genuine} of one person ({self.genuine / self.pairs:.1%})"
        yield f"images      {2 * self.pairs} in {self.bytes} bytes, {_counts(self.formats)}; {_counts(self.sizes)}"
        if self.one_kind:
            yield f"folds       {self.one_kind}: {self._remedy()}"
        else:
            yield f"folds       {self.folds} consecutive ones, each with pairs of both kinds"
        number, times = self.most_used
        most = f"the one used most is image {number}, {times} times" if times > 1 else "none of them twice"
        yield f"repeated    {self.different} different images; {most}"
        for label, pairs, what in (
            ("itself", self.with_itself, "are one image twice"),
            ("again", self.listed_again, "were listed before"),
            ("opposite", self.contradictory, "were listed before with the opposite truth"),
        ):
            if pairs:
                yield f"{label:12}{len(pairs)} pairs {what} (counted from 0: {_some(pairs)})"
        if self.turned:
            yield f"turned      {len(self.turned)} images by an EXIF orientation (image {_some(self.turned)}): other"
            yield "            readers, such as MXNet's, show them unturned"
        for number, reason in list(self.damaged.items())[:SHOWN]:
            yield f"damaged     image {number} of pair {number // 2}: {reason}"
        yield f"checked     {2 * self.pairs} images: {len(self.damaged)} damaged"

    def _remedy(self) -> str:
        if not self.genuine or self.genuine == self.pairs:
            return "no accuracy follows from it"
        return f"cut it into {self.folds} folds" if self.folds else "mix the pairs"

    def as_json(self) -> dict[str, Any]:
        """The same with all numbers."""
        return {**vars(self), "damaged": [{"image": i, "reason": reason} for i, reason in self.damaged.items()]}


def inspect_pack(pack: VerificationPack, workers: int) -> PackReport:
    """Decode every image of ``pack`` and compare them byte by byte; ``workers`` threads decode."""
    digests = [hashlib.sha256(image).digest() for image in pack.images]
    places = {digest: i for i, digest in reversed(list(enumerate(digests)))}  # where each is first
    first = [places[digest] for digest in digests]
    looked_at = sorted(places.values())
    found = ordered_map(lambda i: _picture(pack.images[i]), looked_at, workers)
    shown = progress(found, total=len(looked_at), label="check", unit="image")
    pictures = dict(zip(looked_at, shown, strict=True))
    uses = Counter(first)
    most = max(uses, key=lambda i: (uses[i], -i))
    damaged = {i: str(pictures[j]) for i, j in enumerate(first) if isinstance(pictures[j], str)}
    sizes = Counter(pictures[j] for j in first if not isinstance(pictures[j], str))
    pairs = list(zip(first[0::2], first[1::2], strict=True))
    again, opposite = _listed_again(pairs, pack.issame)
    enough = len(pack) >= FOLDS
    few = f"{len(pack)} pairs are fewer than {FOLDS} folds"
    return PackReport(
        pairs=len(pack),
        genuine=int(pack.issame.sum()),
        bytes=sum(map(len, pack.images)),
        formats=dict(Counter(image_ending(image).lstrip(".") or "unknown" for image in pack.images).most_common()),
        sizes={f"{width}x{height}": count for (height, width), count in sizes.most_common()},
        damaged=damaged,
        turned=[i for i, image in enumerate(pack.images) if i not in damaged and carries_turn(image)],
        different=len(places),
        most_used=(most, uses[most]),
        with_itself=[i for i, (left, right) in enumerate(pairs) if left == right],
        listed_again=again,
        contradictory=opposite,
        one_kind=one_kind(pack.issame, FOLDS) if enough else few,
        folds=usable_folds(pack.issame, FOLDS),
    )


def _picture(data: bytes) -> tuple[int, int] | str:
    """The size of the picture shown (height, width), or why there is none."""
    image = decode_rgb(data)
    return image.shape[:2] if image is not None else image_damage(data) or "not an image that can be decoded"


def _listed_again(pairs: list[tuple[int, int]], issame: np.ndarray) -> tuple[list[int], list[int]]:
    """The numbers of the pairs that were there before, and of those of them that say the opposite."""
    seen: dict[frozenset[int], bool] = {}
    again, opposite = list[int](), list[int]()
    for number, (pair, same) in enumerate(zip(pairs, issame.tolist(), strict=True)):
        before = seen.setdefault(frozenset(pair), same)
        if len(seen) + len(again) == number:
            again.append(number)
            if before != same:
                opposite.append(number)
    return again, opposite


def _counts(of: dict[str, int]) -> str:
    parts = [f"{count} {what}" for what, count in of.items()]
    return ", ".join(parts[:5]) + (f", {len(parts) - 5} others" if len(parts) > 5 else "") or "none"


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:3])) + (", ..." if len(numbers) > 3 else "")
