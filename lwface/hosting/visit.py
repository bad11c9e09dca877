"""Who asks, and whether they may: the cookie of a browser or the key of a program, and against forged requests.

A request that changes something and comes with a cookie must carry the session's own token (in the form, or in
``X-CSRF-Token``), which no other page can read; and no request that changes something may come from another origin.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Path, Request
from fastapi.concurrency import run_in_threadpool

from lwface.base.errors import UserError
from lwface.hosting.accounts import DeniedError, find_session, find_token
from lwface.hosting.hall import Hall
from lwface.hosting.tables import LEADER, ORGANISER, PersonRow

COOKIE = "lwface_session"
LARGEST_FORM, MOST_FIELDS = 64 * 1024, 50
SAFE = ("GET", "HEAD", "OPTIONS")
Form = dict[str, str]


@dataclass(frozen=True)
class Visit:
    """Who asks; ``csrf`` is what their forms must carry, ``None`` for a program's key."""

    person: PersonRow | None = None
    csrf: str | None = None
    by_key: bool = False

    @property
    def member(self) -> PersonRow:
        """Who asks; :class:`DeniedError` where nobody has logged in."""
        if self.person is None:
            raise DeniedError("log in first", 401)
        return self.person

    @property
    def team(self) -> int:
        """The team of who asks; :class:`DeniedError` where there is none."""
        if self.member.team_id is None:
            raise DeniedError("this is for people in a team")
        return self.member.team_id

    @property
    def leader(self) -> PersonRow:
        """Who asks, where they lead a team; else :class:`DeniedError`."""
        if self.member.role != LEADER:
            raise DeniedError("this is for the leader of a team")
        return self.member

    @property
    def organiser(self) -> PersonRow:
        """Who asks, where they run the challenge; else :class:`DeniedError`."""
        if self.member.role != ORGANISER:
            raise DeniedError("this is for organisers")
        return self.member


def hall_of(request: Request) -> Hall:
    """What the processes's pages share."""
    hall: Hall = request.app.state.hall
    return hall


def visit_of(request: Request) -> Visit:
    """Who asks."""
    hall = hall_of(request)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" and COOKIE not in request.cookies:
        return Visit()
    with hall.database.reading() as session:
        if scheme.lower() == "bearer":
            person = find_token(session, key)
            if person is None:
                raise DeniedError("this key is none: make one on your team's page", 401)
            return Visit(person, by_key=True)
        row = find_session(session, request.cookies.get(COOKIE, ""))
        return Visit(row.person, row.csrf) if row is not None else Visit()


async def form_of(request: Request) -> Form:
    """The fields of a form; none where another kind of body came.

    Raises:
        UserError: it is longer than any of ours.
    """
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    data = b""
    async for block in request.stream():
        data += block
        if len(data) > LARGEST_FORM:
            raise UserError("this form is longer than any of ours")
    try:
        return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise UserError(f"this form has more than {MOST_FIELDS} fields") from None


def number_of(form: Form, name: str) -> int:
    """The number in a field of a form; :class:`UserError` where there is none."""
    text = form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UserError(f"{name} {text[:20]!r}: expected a number")
    return int(text)


async def checked_visit(request: Request) -> Visit:
    """Who asks for something to be changed, when they may: see this module.

    Raises:
        DeniedError: the request is forged, or looks it.
    """
    visit = await run_in_threadpool(visit_of, request)
    if visit.by_key:
        return visit
    check_origin(request)
    if visit.person is not None:
        given = request.headers.get("x-csrf-token") or request.state.form.get("csrf", "")
        if not hmac.compare_digest(given.encode(), (visit.csrf or "").encode()):
            raise DeniedError("this page is too old, or the request is not yours: load it again")
    return visit


def check_origin(request: Request) -> None:
    """:class:`DeniedError` for a request that another site's page makes a browser send."""
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(hall_of(request).site.url).netloc}
    cross = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if (origin is not None and urlsplit(origin).netloc not in own) or (origin is None and cross):
        raise DeniedError("this request comes from another site")


async def _with_form(request: Request) -> Form:
    form = await form_of(request)
    request.state.form = form
    return form


async def _changes(request: Request, _form: Annotated[Form, Depends(_with_form)]) -> Visit:
    return await checked_visit(request)


Number = Annotated[int, Path(ge=1, le=2**53)]  # of a row, in an address
Asking = Annotated[Visit, Depends(visit_of)]
Changing = Annotated[Visit, Depends(_changes)]
Fields = Annotated[Form, Depends(_with_form)]
InHall = Annotated[Hall, Depends(hall_of)]
