"""The web application: routes, headers of every answer, and what becomes of an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lwface.base.commands import one_line
from lwface.base.errors import UserError
from lwface.hosting import tus
from lwface.hosting.hall import Hall, open_hall
from lwface.hosting.pages import account, live, mine, organise, public, taking
from lwface.hosting.quotas import QuotaError
from lwface.hosting.site import VARIABLE, Site, site_of
from lwface.hosting.tables import ORGANISER
from lwface.hosting.visit import Visit

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
UNWATCHED: TelemetryConfig = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
FOR_PROGRAMS = ("/uploads", "/api/")
STATIC = Path(__file__).parent / "static"


class SafeHeaders:
    """Gives every answer :data:`HEADERS`, and forbids caches to keep what is not told otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                own = HEADERS if b"cache-control" in given else HEADERS | {b"cache-control": b"no-cache"}
                message["headers"] = [*message["headers"], *own.items()]
            await send(message)

        await self.app(scope, receive, with_headers)


def make_app(site: Site) -> FastAPI:
    """The application of one process."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=UNWATCHED)
    hall = open_hall(site)
    hall.templates.globals["links"] = lambda visit: links(hall, visit)
    app.state.hall = hall
    app.add_middleware(SafeHeaders)
    app.mount("/static", StaticFiles(directory=STATIC))
    for router in (public.router, account.router, live.router, mine.router, organise.router, taking.router, tus.router):
        app.include_router(router)
    app.add_exception_handler(UserError, _told)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(RequestValidationError, _not_found)
    return app


def app_of_environment() -> FastAPI:
    """The application of the site that the environment tells of, for a process of uvicorn."""
    return make_app(site_of(os.environ[VARIABLE]))


def links(hall: Hall, visit: Visit) -> list[tuple[str, str]]:
    """Addresses and texts of the navigation."""
    found = [(f"/board/{hall.challenge.tracks[0].name}", "Leaderboard"), ("/rules", "Rules")]
    if visit.person is None:
        return [*found, ("/login", "Log in")]
    found += [("/submissions", "My submissions")] if visit.person.team_id else []
    found += [("/team", "Team and keys")]
    return found + ([("/organise", "Organise")] if visit.person.role == ORGANISER else [])


def _told(request: Request, error: Exception) -> Response:
    """What a user did wrong: one line, as a page or as JSON."""
    status = getattr(error, "status", 403 if isinstance(error, QuotaError) else 400)
    browsing = not request.url.path.startswith(FOR_PROGRAMS)
    if browsing and status == 401 and request.method == "GET":
        return RedirectResponse("/login", 303)
    return _says(request, status, one_line(error))


def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _says(request, status, "there is no such page" if status == 404 else str(getattr(error, "detail", error)))


def _says(request: Request, status: int, line: str) -> Response:
    if request.url.path.startswith(FOR_PROGRAMS):
        return JSONResponse({"error": line}, status, headers={"Tus-Resumable": tus.VERSION, "Tus-Version": tus.VERSION})
    hall: Any = request.app.state.hall
    heading = "Not found" if status == 404 else "That did not work"
    return hall.page("message.html", status, visit=Visit(), here="", heading=heading, line=line, kind="error")
