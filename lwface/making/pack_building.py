"""Turns pairs of images into a verification pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from lwface.base.account import Account, skipped_lines
from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.image import decode_rgb
from lwface.formats.verification_pack import write_pack
from lwface.making.contact_sheet import spread, write_sheet
from lwface.making.face_crops import CropRecipe, Skip
from lwface.making.image_folder import Sample, ordered_map
from lwface.making.pair_list import Pair

NOT_DRAWN = "in no pair"


class BuiltPack(NamedTuple):
    """What was written.

    Attributes:
        pairs: of the pack.
        account: of the images: in a pair, or why not.
    """

    pairs: list[Pair]
    account: Account


def build_pack(
    output: Path,
    samples: Sequence[Sample],
    recipe: CropRecipe,
    choose: Callable[[Sequence[Sample]], list[Pair]],
    workers: int,
    sheet: Path | None = None,
) -> BuiltPack:
    """Write the pack of the pairs that ``choose`` makes of the usable ``samples``; returns what was done.

    Before it, a contact sheet of its crops where ``sheet`` names one.

    Only images that are in a pair are decoded. When one of them cannot be used, the pairs are chosen again without it,
    so that the outcome is the same however often it is repeated.

    Raises:
        UserError: ``choose`` finds too few images; what was left out before is in the message.
    """
    encoded: dict[str, bytes] = {}
    skipped: dict[str, str] = {}
    while True:
        pairs = _chosen(choose, [sample for sample in samples if sample.name not in skipped], skipped)
        wanted = dict.fromkeys(chain.from_iterable((pair.first, pair.second) for pair in pairs))
        missing = [name for name in wanted if name not in encoded]
        results = ordered_map(recipe.attempt, missing, workers)
        bad_before = len(skipped)
        for name, result in zip(
            missing, progress(results, total=len(missing), label="images", unit="image"), strict=True
        ):
            if isinstance(result, Skip):
                skipped[name] = str(result)
            else:
                encoded[name] = result
        if len(skipped) == bad_before:
            break
    if sheet is not None:
        names = list(wanted)
        write_sheet(sheet, [(names[i], decode_rgb(encoded[names[i]])) for i in spread(len(names))])
    write_pack(output, (encoded[name] for pair in pairs for name in pair[:2]), [pair.same for pair in pairs])
    account = _account(skipped)
    account.taken = len(wanted)
    account.skip(NOT_DRAWN, *(s.name for s in samples if s.name not in wanted and s.name not in skipped))
    return BuiltPack(pairs, account)


def _chosen(
    choose: Callable[[Sequence[Sample]], list[Pair]], usable: Sequence[Sample], skipped: dict[str, str]
) -> list[Pair]:
    try:
        return choose(usable)
    except UserError as error:
        if not skipped:
            raise
        raise UserError("; ".join([str(error), *skipped_lines(_account(skipped).as_json())])) from None


def _account(skipped: dict[str, str]) -> Account:
    account = Account()
    for name, reason in sorted(skipped.items()):
        account.skip(reason, name)
    return account
