"""A verification pack as files: its images, the list of its pairs, and a list that the feature writers take."""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.base.journal import Journal
from lwface.base.progress import progress
from lwface.formats.file_list import LIST_NAME
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.image_files import image_ending
from lwface.formats.verification_pack import VerificationPack
from lwface.making.crop_folder import write_image

IMAGES, PAIRS, TRUTHS = "images", "pairs.txt", "issame.txt"
PRODUCTS = (IMAGES, PAIRS, TRUTHS, LIST_NAME)


def unpack_pack(pack: VerificationPack, output: Path, journal: Journal, *, skip_bad: bool) -> None:
    """Write each different image of ``pack`` once, the bytes as they are, and the lists of what was written.

    ``images/NUMBER.jpg`` (or ``.png``, ...) is the image with that number in the pack, where its bytes come first;
    ``pairs.txt`` has ``IMAGE<TAB>IMAGE<TAB>0|1`` for each pair, as ``build_pack.py --pairs`` takes it; ``filelist.txt``
    the two images of each pair, one a line, and ``issame.txt`` its truth.

    Args:
        pack: whose pairs.
        output: the folder.
        journal: of this job; an entry is a pair.
        skip_bad: leave out pairs with an image that does not decode, in place of an error.

    Raises:
        UserError: an image does not decode.
    """
    names: dict[bytes, str] = {}
    digits = len(str(len(pack.images) - 1))
    for number, image in enumerate(pack.images):
        names.setdefault(image, f"{IMAGES}/{number:0{digits}d}{image_ending(image) or '.bin'}")
    damage: dict[bytes, str | None] = {}
    rest = range(journal.done, len(pack))
    for pair in progress(rest, total=len(pack), initial=journal.done, label="pairs", unit="pair"):
        images = pack.images[2 * pair : 2 * pair + 2]
        for image in images:
            if image not in damage:
                damage[image] = None if decode_rgb(image) is not None else image_damage(image) or "does not decode"
        bad = next((i for i, image in enumerate(images) if damage[image]), None)
        if bad is not None:
            reason = f"{damage[images[bad]]}"
            if not skip_bad:
                raise UserError(f"{pack.name}: image {2 * pair + bad}: {reason}; --skip-bad leaves its pairs out")
            journal.add(False, str(pair), reason)
            continue
        for image in images:
            if not (output / names[image]).exists():
                write_image(output, names[image], image)
        journal.add(True, str(pair))
    kept = [int(entry.name) for entry in journal.entries() if entry.taken]
    if not kept:
        journal.discard()
        raise UserError(f"{pack.name}: every pair has an image that does not decode")
    with (
        replacing(output / PAIRS, "w", encoding="utf-8", newline="\n") as pairs,
        replacing(output / LIST_NAME, "w", encoding="utf-8", newline="\n") as listing,
        replacing(output / TRUTHS, "w", encoding="utf-8", newline="\n") as truths,
    ):
        for pair in kept:
            first, second = (names[image] for image in pack.images[2 * pair : 2 * pair + 2])
            same = int(pack.issame[pair])
            pairs.write(f"{first}\t{second}\t{same}\n")
            listing.write(f"{first}\n{second}\n")
            truths.write(f"{same}\n")
