"""What an organiser takes along: tables, JSON, and a zip of everything with the files handed in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from lwface.hosting.board import PRIVATE, PUBLIC, board_csv, guarded, make_board
from lwface.hosting.database import standing
from lwface.hosting.hall import Hall
from lwface.hosting.submissions import safe_name
from lwface.hosting.tables import REMOVED, DeedRow, PersonRow, SubmissionRow, TeamRow
from lwface.hosting.visit import Asking, InHall
from lwface.hosting.zips import ZipStream

router = APIRouter(prefix="/organise")
COLUMNS = ("id", "track", "state", "note", "created", "accepted", "finished", "line", "version", "attempt")


@router.get("/submissions.csv")
def submissions(hall: InHall, visit: Asking) -> Response:
    """All submissions as a table."""
    visit.organiser  # noqa: B018 (it denies)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["team", "person", *COLUMNS])
    for one in everything(hall)["submissions"]:
        cells = [one["team"], one["person"], *(one[name] for name in COLUMNS)]
        writer.writerow([guarded(cell) if isinstance(cell, str) else cell for cell in cells])
    return Response(file.getvalue(), media_type="text/csv", headers=_download("submissions.csv"))


@router.get("/everything.json")
def as_json(hall: InHall, visit: Asking) -> Response:
    """All that the database holds, but no password and no key."""
    visit.organiser  # noqa: B018 (it denies)
    text = json.dumps(everything(hall), indent=2, sort_keys=True) + "\n"
    return Response(text, media_type="application/json", headers=_download("everything.json"))


@router.get("/everything.zip")
def as_zip(hall: InHall, visit: Asking) -> Response:
    """That, the boards, and the files."""
    visit.organiser  # noqa: B018 (it denies)
    return StreamingResponse(zipped(hall), media_type="application/zip", headers=_download("everything.zip"))


def everything(hall: Hall) -> dict[str, Any]:
    """Teams, people, submissions with all their scores, and what organisers did."""
    with hall.database.reading() as session:
        lists = (selectinload(SubmissionRow.uploads), selectinload(SubmissionRow.scores))
        wanted = select(SubmissionRow).options(*lists, joinedload(SubmissionRow.team), joinedload(SubmissionRow.person))
        rows = session.scalars(wanted.order_by(SubmissionRow.id)).all()
        return {
            "teams": [
                {"name": team.name, "disqualified": team.disqualified}
                for team in session.scalars(select(TeamRow).order_by(TeamRow.name))
            ],
            "people": [
                {"name": one.name, "role": one.role, "team": one.team.name if one.team else None}
                for one in session.scalars(select(PersonRow).order_by(PersonRow.name))
            ],
            "submissions": [_submission(row) for row in rows],
            "deeds": [
                {"at": deed.at, "person": deed.person, "what": deed.what}
                for deed in session.scalars(select(DeedRow).order_by(DeedRow.id))
            ],
        }


def _submission(row: SubmissionRow) -> dict[str, Any]:
    scores = [
        {"version": one.version, "figures": json.loads(one.figures), "details": json.loads(one.details)}
        for one in row.scores
    ]
    files = [
        {"part": one.part, "filename": one.filename, "bytes": one.length, "sha256": one.sha256, "id": one.id}
        for one in row.uploads
        if one.state != REMOVED
    ]
    own = {name: getattr(row, name) for name in COLUMNS}
    return own | {"team": row.team.name, "person": row.person.name, "scores": scores, "files": files}


def zipped(hall: Hall) -> Iterator[bytes]:
    """The bytes of the archive."""
    told = everything(hall)
    archive = ZipStream()
    yield archive.add_text("everything.json", json.dumps(told, indent=2, sort_keys=True) + "\n")
    for track in hall.challenge.tracks:
        for half in (PUBLIC, PRIVATE):
            with hall.database.reading() as session:
                table = board_csv(make_board(session, standing(session), track, half))
            yield archive.add_text(f"{track.name}-{half}.csv", table)
    for row in told["submissions"]:
        for file in row["files"]:
            name = f"files/{row['id']}/{file['part']}/{safe_name(file['filename'])}"
            path = hall.site.files / file["id"]
            if path.exists():
                yield from archive.add_file(name, path)
    yield archive.end()


def _download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
