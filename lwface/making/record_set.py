"""Writes labelled faces as ``train.rec``, ``train.idx``, ``train.lst`` and ``property``, in InsightFace's layout.

Images are keys 1 to a-1, those of a person in a row; keys a to b-1 hold the key range of one person each; record 0
holds ``(a, b)`` and is written last. ``train.lst`` has ``1<TAB>name<TAB>label`` a line, ``people.txt`` a person, that
of label 0 first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lwface.base.errors import UserError
from lwface.base.files import replacing, write_text
from lwface.base.journal import Journal
from lwface.base.progress import progress
from lwface.formats.alignment import CROP_SIZE
from lwface.formats.face_records import FaceRecords, identity_records
from lwface.formats.record_people import PEOPLE
from lwface.formats.recordio import MAX_EXACT_LABEL, Header, RecordWriter, pack
from lwface.making.contact_sheet import SHEET, spread, write_sheet
from lwface.making.crop_folder import first_reason
from lwface.making.face_crops import CropRecipe, Skip
from lwface.making.image_folder import Sample, ordered_map

PRODUCTS = ("train.rec", "train.idx", "train.lst", PEOPLE, "property", "contact_sheet.jpg")


def write_record_set(
    folder: Path, samples: Sequence[Sample], recipe: CropRecipe, journal: Journal, workers: int
) -> int:
    """Write ``samples``, which are ordered by person, into ``folder``; returns the number of classes.

    Labels count the people of whom an image was taken. What ``journal`` says is done is not done again, as far as its
    records are there.
    """
    if len(samples) >= MAX_EXACT_LABEL // 2:
        raise UserError(
            f"{len(samples)} images are too many for this layout: its float32 keys end at {MAX_EXACT_LABEL}"
        )
    rec = folder / "train.rec"
    if journal.done < len(samples) or not (rec.exists() and rec.with_suffix(".idx").exists()):
        _write_records(rec, samples, recipe, journal, workers)
    people: dict[int, str] = {}
    with replacing(folder / "train.lst", "w", encoding="utf-8", newline="\n") as listing:
        for sample, entry in zip(samples, journal.entries(), strict=True):
            if entry.taken:
                listing.write(f"1\t{entry.name}\t{entry.detail}\n")
                people[int(entry.detail)] = sample.person
    write_text(folder / PEOPLE, "".join(f"{person}\n" for person in people.values()))
    num_classes = len(people)
    write_text(folder / "property", f"{num_classes},{CROP_SIZE},{CROP_SIZE}\n")
    return num_classes


def _write_records(rec: Path, samples: Sequence[Sample], recipe: CropRecipe, journal: Journal, workers: int) -> None:
    with RecordWriter(rec, resume=True) as writer:
        journal.keep_taken(writer.count)  # an entry is written before its record: drop those whose record is missing
        key, person, starts = 1, None, list[int]()  # of the next image; of the last image; first key of each label
        for sample, entry in zip(samples, journal.entries(), strict=False):
            if entry.taken:
                if sample.person != person:
                    person = sample.person
                    starts.append(key)
                key += 1
        if key - 1 < writer.count and journal.done < len(samples):
            raise UserError(f"{rec}.part does not fit its journal; delete both and start again")
        names = [sample.name for sample in samples[journal.done :]]
        with progress(total=len(samples), label="images", unit="image", initial=journal.done) as bar:
            for sample, jpeg in zip(samples[journal.done :], ordered_map(recipe.attempt, names, workers), strict=True):
                if isinstance(jpeg, Skip):
                    journal.add(False, sample.name, str(jpeg))
                else:
                    if sample.person != person:
                        person = sample.person
                        starts.append(key)
                    label = len(starts) - 1
                    journal.add(True, sample.name, str(label))
                    writer.write(key, pack(Header(0, label, key, 0), jpeg))
                    key += 1
                bar.update()
        if not starts:
            reason = first_reason(journal)
            journal.discard()
            raise UserError(f"{recipe.root}: no image could be used; {reason}")
        for tail_key, payload in identity_records(starts, key)[writer.count - (key - 1) :]:
            writer.write(tail_key, payload)


def show_record_set(folder: Path) -> None:
    """Write a contact sheet of the crops in ``folder``, named by their lines in ``train.lst``."""
    records = FaceRecords(folder)
    wanted = spread(len(records))
    with open(folder / "train.lst", encoding="utf-8") as listing:
        chosen = set(wanted)
        names = [line.split("\t")[1] for place, line in enumerate(listing) if place in chosen]
    write_sheet(folder / SHEET, [(name, records[place][0]) for name, place in zip(names, wanted, strict=True)])
