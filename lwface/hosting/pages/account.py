"""To come in and to go: invite links, log-in, log-out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from lwface.base.errors import UserError
from lwface.hosting.accounts import close_session, find_invite, join, log_in, open_session, tally
from lwface.hosting.hall import Hall
from lwface.hosting.tables import ORGANISER, PersonRow
from lwface.hosting.visit import COOKIE, Asking, Changing, Fields, InHall

router = APIRouter()
GIVEN = ("team", "name")


@router.get("/login")
def login_page(hall: InHall, visit: Asking) -> Response:
    """The form."""
    return hall.page("login.html", visit=visit, here="/login", error=None)


@router.post("/login")
def login(request: Request, hall: InHall, form: Fields, visit: Changing) -> Response:
    """Log in."""
    name, password = form.get("name", ""), form.get("password", "")
    _slow_down(request, hall, f"login {name[:60]}")
    try:
        with hall.database.writing() as session:
            person = log_in(session, name, password)
            key = open_session(session, person)
    except UserError as error:
        return hall.page("login.html", 403, visit=visit, here="/login", error=str(error))
    return _welcome(hall, person, key)


@router.post("/logout")
def logout(request: Request, hall: InHall, visit: Changing) -> Response:
    """Log out."""
    with hall.database.writing() as session:
        close_session(session, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/join/{key}")
def join_page(key: str, hall: InHall, visit: Asking) -> Response:
    """The form of an invite link."""
    with hall.database.reading() as session:
        invite = find_invite(session, key)
    given = dict.fromkeys(GIVEN, "")
    return hall.page("join.html", visit=visit, here="", invite=invite, error=None, given=given)


@router.post("/join/{key}")
def use_invite(key: str, request: Request, hall: InHall, form: Fields, visit: Changing) -> Response:
    """Become someone."""
    _slow_down(request, hall, "join")
    try:
        with hall.database.writing() as session:
            person = join(session, key, form.get("name", ""), form.get("password", ""), form.get("team", ""))
            session_key = open_session(session, person)
    except UserError as error:
        with hall.database.reading() as session:
            invite = find_invite(session, key)
        given = {name: form.get(name, "") for name in GIVEN}
        return hall.page("join.html", 400, visit=visit, here="", invite=invite, error=str(error), given=given)
    return _welcome(hall, person, session_key)


def _slow_down(request: Request, hall: Hall, what: str) -> None:
    """Count the try for the account and for the address; :class:`DeniedError` where there are too many."""
    address = request.client.host if request.client else ""
    for key in (what, f"address {address}"):
        tally(hall.database, key, hall.site.requests)


def _welcome(hall: Hall, person: PersonRow, key: str) -> Response:
    answer = RedirectResponse("/organise" if person.role == ORGANISER else "/submissions", 303)
    secure = hall.site.url.startswith("https:")
    answer.set_cookie(COOKIE, key, max_age=14 * 86400, httponly=True, samesite="lax", secure=secure)
    return answer
