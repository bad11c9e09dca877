"""Turns pairs of images into a verification pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from lwface.base.progress import progress
from lwface.formats.image import decode_rgb
from lwface.formats.verification_pack import write_pack
from lwface.making.contact_sheet import spread, write_sheet
from lwface.making.face_crops import CropRecipe, Skip
from lwface.making.image_folder import Sample, ordered_map
from lwface.making.pair_list import Pair


def build_pack(
    output: Path,
    samples: Sequence[Sample],
    recipe: CropRecipe,
    choose: Callable[[Sequence[Sample]], list[Pair]],
    workers: int,
    sheet: Path | None = None,
) -> dict[str, Any]:
    """Write the pack of the pairs that ``choose`` makes of the usable ``samples``; returns what was done.

    Before it, a contact sheet of its crops where ``sheet`` names one.

    Only images that are in a pair are decoded. When one of them cannot be used, the pairs are chosen again without it,
    so that the outcome is the same however often it is repeated.
    """
    encoded: dict[str, bytes] = {}
    skipped: dict[str, str] = {}
    while True:
        pairs = choose([sample for sample in samples if sample.name not in skipped])
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
    reasons: dict[str, dict[str, Any]] = {}
    for name, reason in sorted(skipped.items()):
        found = reasons.setdefault(reason, {"count": 0, "examples": []})
        found["count"] += 1
        found["examples"] = [*found["examples"], name][:3]
    return {"taken": len(pairs), "images": len(wanted), "skipped": reasons}
