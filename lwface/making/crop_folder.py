"""Writes encoded images into a folder, one file each, going on where an interrupted run stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from lwface.base.errors import UserError
from lwface.base.journal import Journal
from lwface.base.progress import progress
from lwface.formats.image import decode_rgb
from lwface.making.contact_sheet import spread, write_sheet
from lwface.making.face_crops import Skip
from lwface.making.image_folder import ordered_map


def inside(folder: Path, name: str) -> Path:
    """``folder / name``; :class:`UserError` when that would lie outside ``folder``, by its text or through a link."""
    path = folder / name
    parts = PurePosixPath(name).parts
    if not parts or os.path.isabs(name) or ".." in parts or "\x00" in name:
        raise UserError(f"{name!r} would lie outside {folder}")
    if not path.parent.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise UserError(f"{path}: leads outside {folder} through a link")
    return path


def write_image(folder: Path, name: str, data: bytes) -> None:
    """Write ``data`` as the file ``name`` below ``folder``, beside and renamed.

    Without a sync: thousands would take long, and the journal's entry, which comes after, is not synced either.
    """
    path = inside(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def write_images(
    folder: Path,
    items: Sequence[tuple[str, str]],
    encoded: Callable[[str], bytes | Skip],
    journal: Journal,
    workers: int,
) -> None:
    """Write ``encoded(source)`` as the file ``target`` below ``folder`` for each ``(source, target)`` of ``items``."""
    rest = items[journal.done :]
    results = ordered_map(encoded, [source for source, _ in rest], workers)
    with progress(total=len(items), label="images", unit="image", initial=journal.done) as bar:
        for (source, target), data in zip(rest, results, strict=True):
            if isinstance(data, Skip):
                journal.add(False, source, str(data))
            else:
                write_image(folder, target, data)
                journal.add(True, source, target)
            bar.update()


def show_images(folder: Path, items: Sequence[tuple[str, str]], journal: Journal, sheet: Path) -> None:
    """Write a contact sheet of the images of ``items``, as in :func:`write_images`, that ``journal`` took.

    Raises:
        UserError: it took none; the journal is gone then, so that the job may begin again.
    """
    taken = [target for (_, target), entry in zip(items, journal.entries(), strict=True) if entry.taken]
    if not taken:
        reason = first_reason(journal)
        journal.discard()
        raise UserError(f"{folder}: no image could be used; {reason}")
    names = [taken[place] for place in spread(len(taken))]
    write_sheet(sheet, [(name, decode_rgb((folder / name).read_bytes())) for name in names])


def first_reason(journal: Journal) -> str:
    """Why the first image was skipped."""
    for entry in journal.entries():
        if not entry.taken:
            return f"{entry.name}: {entry.detail}"
    return "the list is empty"
