"""What changes of a team's submissions while its page is open. Two statements a second in a process, whoever looks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select

from lwface.hosting.hall import Hall
from lwface.hosting.tables import OUT, PersonRow, SubmissionRow
from lwface.hosting.visit import Asking, InHall

router = APIRouter()
LATEST = 20  # submissions of a team
LIVE_S, STREAM_S, SILENT_S = 1.0, 600.0, 15.0  # between looks; until a browser has to ask anew; without a word


class Happening(NamedTuple):
    """Who may see nothing any more, though their page is open, and what each team's latest submissions are doing."""

    removed: frozenset[int]
    submissions: dict[int, list[dict[str, Any]]]


@router.get("/submissions/events")
async def events(request: Request, hall: InHall, visit: Asking) -> Response:
    """What changes of the team's submissions, as server-sent events."""
    team, person = visit.team, visit.member.id

    async def stream() -> AsyncIterator[str]:
        told, ends, spoke = None, time.monotonic() + STREAM_S, time.monotonic()
        with hall.watching(team):
            while time.monotonic() < ends and not await request.is_disconnected():
                now = await run_in_threadpool(hall.fresh, "live", lambda: happening(hall, hall.watched()))
                if person in now.removed:
                    yield "event: out\ndata: removed\n\n"
                    return
                found = now.submissions.get(team)  # None where the look was before this page was opened
                if found is not None and found != told:
                    told, spoke = found, time.monotonic()
                    yield f"event: submissions\ndata: {json.dumps(found)}\n\n"
                elif time.monotonic() - spoke > SILENT_S:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                await asyncio.sleep(LIVE_S)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


def happening(hall: Hall, teams: Collection[int]) -> Happening:
    """What is told of all ``teams`` at once."""
    of = SubmissionRow
    rank = func.row_number().over(partition_by=of.team_id, order_by=of.id.desc()).label("rank")
    ranked = select(of.id, of.team_id, of.state, of.progress, of.doing, rank).where(of.team_id.in_(teams)).subquery()
    latest = select(ranked).where(ranked.c.rank <= LATEST).order_by(ranked.c.id.desc())
    told: dict[int, list[dict[str, Any]]] = {team: [] for team in teams}
    with hall.database.reading() as session:
        removed = frozenset(session.scalars(select(PersonRow.id).where(PersonRow.role == OUT)))
        for row in session.execute(latest):
            one = {"id": row.id, "state": row.state, "progress": round(row.progress, 3), "doing": row.doing}
            told[row.team_id].append(one)
    return Happening(removed, told)
