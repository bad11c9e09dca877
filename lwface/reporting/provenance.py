"""How a report was made: the section that lets another person repeat it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from lwface.base.files import PathLike
from lwface.base.origin import Origin, file_sha256, read_origin
from lwface.reporting.markup import escape, name


class UsedFile(NamedTuple):
    """A file that the report is made of."""

    role: str  # such as "features"
    path: str
    size: int
    sha256: str
    origin: Origin | None  # how it was made, where it is known


class Provenance(NamedTuple):
    """The run that wrote the report, and the files it read."""

    run: Origin
    files: list[UsedFile]


def provenance(files: Mapping[str, PathLike], run: Origin | None = None) -> Provenance:
    """Of this process; ``files`` by what they are. Each file is read once, for its digest."""
    used = []
    for role, path in files.items():
        digest = file_sha256(path)
        used.append(UsedFile(role, os.fspath(path), os.path.getsize(path), digest, read_origin(path, digest)))
    return Provenance(run or Origin.this(), used)


def provenance_section(made: Provenance | None) -> str:
    """Date, commands, files with their digests, versions; "" where nothing is known."""
    if made is None:
        return ""
    steps = [_step(f"the file of {file.role} was written by", file.origin) for file in made.files if file.origin]
    files = "".join(
        f'<li>{escape(file.role)}: {name(file.path, 60)}, {file.size:,} bytes<br><span class="quiet">SHA-256</span> '
        f'<code class="digest">{file.sha256}</code></li>'
        for file in made.files
    )
    told = ", ".join(f"{escape(what)} {escape(version)}" for what, version in made.run.versions.items())
    return (
        '<h2 id="made">How this was made</h2>'
        f"{_step('This report was written by', made.run)}{''.join(steps)}"
        f'<h3>Files</h3><ul class="files">{files}</ul><h3>Versions</h3><p>{told}</p>'
    )


def _step(what: str, run: Origin) -> str:
    where = f'<span class="quiet">in {escape(run.folder)}, {escape(run.date)}</span>'
    return f"<p>{escape(what[0].upper() + what[1:])}<br>{where}</p><pre><code>{escape(run.command)}</code></pre>"
