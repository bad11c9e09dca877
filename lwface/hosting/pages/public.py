"""What everyone may see: the leaderboards, the rules."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from markdown import markdown
from sqlalchemy import func, select

from lwface.challenge.definition import Challenge
from lwface.challenge.kinds import get_kind
from lwface.challenge.templates import PAGES, kit_of
from lwface.hosting.accounts import DeniedError
from lwface.hosting.board import PRIVATE, PUBLIC, Board, board_csv, board_json, make_board, shown_figure, shown_half
from lwface.hosting.database import standing
from lwface.hosting.hall import Hall
from lwface.hosting.plot import plot_board
from lwface.hosting.tables import ORGANISER, WAITING, SubmissionRow
from lwface.hosting.visit import Asking, InHall, Visit
from lwface.hosting.zips import zipped_folder

router = APIRouter()
ORDER = ("overview", "rules", "evaluation", "data")


class ShownBoard(NamedTuple):
    """A board and what its page shows around it."""

    board: Board
    plot: str
    rescoring: int


@router.get("/")
def first(hall: InHall) -> Response:
    """The first track's board."""
    return RedirectResponse(f"/board/{hall.challenge.tracks[0].name}", 303)


@router.get("/board/{track}.json")
def as_json(track: str, hall: InHall, visit: Asking, half: str = "") -> Response:
    """The board for programs."""
    return Response(board_json(_board(hall, visit, track, half).board), media_type="application/json")


@router.get("/board/{track}.csv")
def as_csv(track: str, hall: InHall, visit: Asking, half: str = "") -> Response:
    """The board as a table."""
    return Response(board_csv(_board(hall, visit, track, half).board), media_type="text/csv")


@router.get("/board/{track}")
def board(track: str, hall: InHall, visit: Asking, half: str = "") -> Response:
    """The board for people."""
    shown = _board(hall, visit, track, half)
    return hall.page(
        "board.html",
        visit=visit,
        here=f"/board/{hall.challenge.tracks[0].name}",
        board=shown.board,
        plot=shown.plot,
        rescoring=shown.rescoring,
        has_models=any(entry.flops is not None for entry in shown.board.entries),
        mine=visit.person.team.name if visit.person and visit.person.team else None,
        shown=shown_figure,
    )


@router.get("/rules")
def rules(hall: InHall, visit: Asking) -> Response:
    """What is asked for: the definition, and the organiser's own pages."""
    challenge = hall.challenge
    kinds = {track.name: get_kind(track.kind) for track in challenge.tracks}
    pages = hall.fresh("pages", lambda: organisers_pages(challenge))
    kits = {track.name for track in challenge.tracks if kit_of(challenge, track).is_dir()}
    return hall.page("rules.html", visit=visit, here="/rules", kinds=kinds, pages=pages, kits=kits)


@router.get("/kit/{track}.zip")
def kit(track: str, hall: InHall) -> Response:
    """The starting kit of a track."""
    folder = kit_of(hall.challenge, hall.challenge.track(track))
    if not folder.is_dir():
        raise DeniedError(f"track {track} has no starting kit", 404)
    headers = {"Content-Disposition": f'attachment; filename="{track}-kit.zip"'}
    return StreamingResponse(zipped_folder(folder), media_type="application/zip", headers=headers)


def organisers_pages(challenge: Challenge) -> dict[str, str]:
    """The pages in Markdown that lie beside the definition, as HTML, the usual ones first."""
    found = {path.stem: path for path in sorted((challenge.folder / PAGES).glob("*.md"))}
    names = [*(name for name in ORDER if name in found), *(name for name in found if name not in ORDER)]
    return {name: markdown(found[name].read_text(encoding="utf-8"), extensions=["tables"]) for name in names}


def _board(hall: Hall, visit: Visit, name: str, half: str) -> ShownBoard:
    """The board of a track; an organiser may ask for either half at any time.

    Raises:
        DeniedError: somebody else asks for a half.
    """
    if half and (half not in (PUBLIC, PRIVATE) or visit.person is None or visit.person.role != ORGANISER):
        raise DeniedError("the halves at will are for organisers")
    track = hall.challenge.track(name)

    def make() -> ShownBoard:
        with hall.database.reading() as session:
            now = standing(session)
            made = make_board(session, now, track, half or shown_half(now, hall.challenge))
            again = (SubmissionRow.track == name, SubmissionRow.state.in_(WAITING), SubmissionRow.score_id.is_not(None))
            waiting = session.execute(select(func.count()).select_from(SubmissionRow).where(*again)).scalar_one()
            return ShownBoard(made, plot_board(made), int(waiting))

    shown: ShownBoard = hall.fresh(("board", name, half), make)
    return shown
