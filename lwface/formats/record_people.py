"""Whose images the labels of a record file are: by name, as far as anything beside the records says it.

A record has a number for its person and no name. ``people.txt`` beside the records has a name a line, that of label 0
first; ``build_rec.py`` and ``convert_ytf.py`` write it. Without one, ``train.lst`` tells, where its paths begin with
the folder of the person, as those of ``build_rec.py`` do.
"""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords
from lwface.formats.person_names import composed
from lwface.formats.text_files import numbered_lines

PEOPLE, LISTING = "people.txt", "train.lst"


def names_of_labels(records: FaceRecords) -> dict[int, str]:
    """The name of each label that has images, in Unicode's composed form.

    Raises:
        UserError: nothing says who they are, or two labels have one name.
    """
    beside = Path(records.path)
    people, listing = beside.with_name(PEOPLE), beside.with_name(LISTING)
    labels = sorted(set(records.labels().tolist()))
    if people.is_file():
        names = [text for _, text in numbered_lines(people, names=True)]
        if labels[-1] >= len(names) or not all(names[label] for label in labels):
            raise UserError(
                f"{people}: {len(names)} lines for labels up to {labels[-1]}: one name a line, label 0 first"
            )
        found = {label: composed(names[label]) for label in labels}
        source = people
    elif listing.is_file():
        found, source = _by_folder(records, listing), listing
    else:
        raise _unnamed(records, "there is no such file")
    of_name: dict[str, int] = {}
    for label, name in found.items():
        if of_name.setdefault(name, label) != label:
            raise UserError(f"{source}: labels {of_name[name]} and {label} are both {name!r}: a person has one label")
    return found


def _by_folder(records: FaceRecords, listing: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    paths = [text.split("\t")[1] for _, text in numbered_lines(listing, names=True) if text.count("\t") >= 2]
    labels = records.labels().tolist()
    if len(paths) != len(labels):
        raise _unnamed(records, f"{LISTING} has {len(paths)} lines for {len(labels)} images")
    for path, label in zip(paths, labels, strict=True):
        folder, slash, _ = path.partition("/")
        name = composed(folder)
        if not slash or found.setdefault(label, name) != name:
            raise _unnamed(records, f"the paths of {LISTING} do not begin with the folder of the person ({path})")
    if len(set(found.values())) < len(found):
        raise _unnamed(records, f"the paths of {LISTING} begin alike for several labels ({paths[0]})")
    return found


def _unnamed(records: FaceRecords, reason: str) -> UserError:
    return UserError(
        f"{Path(records.path).with_name(PEOPLE)}: {reason}, so nothing says which person a label of {records.path} is: "
        "write a name a line, label 0 first, or keep the people apart (--join apart)"
    )
