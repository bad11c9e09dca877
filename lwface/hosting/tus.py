"""Resumable uploads by the tus protocol 1.0.0 (tus.io): core, creation, checksum (sha256), termination.

What is said of an upload in ``Upload-Metadata``: see :func:`lwface.hosting.submissions.start`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from lwface.base.errors import UserError
from lwface.hosting.hall import Hall
from lwface.hosting.queue import cancel
from lwface.hosting.quotas import QuotaError
from lwface.hosting.submissions import complete, parts, remove_files, start
from lwface.hosting.tables import COMPLETE, UPLOADING, UploadRow
from lwface.hosting.uploads import Receiver, UploadError, check_wanted, make_file, sole_writer
from lwface.hosting.visit import Asking, Changing, InHall, Visit

VERSION = "1.0.0"
BODY = "application/offset+octet-stream"
LARGEST_METADATA = 8 * 1024
IDLE_S = 60.0  # without a byte: the sender is gone, though nobody said so, and another request may write
WRITE_BYTES = 1024**2  # that are gathered before they are written
router = APIRouter(prefix="/uploads")


def read_metadata(header: str) -> dict[str, str]:
    """``Upload-Metadata``: pairs of a key and, after a blank, its value in base 64, with commas between.

    Raises:
        UploadError: it is nothing of that.
    """
    found = {}
    if len(header) > LARGEST_METADATA:
        raise UploadError(400, "Upload-Metadata is too long")
    for pair in filter(None, (one.strip() for one in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise UploadError(400, f"Upload-Metadata: {key[:40]!r} is not in base 64") from None
    return found


def read_checksum(header: str | None) -> bytes | None:
    """``Upload-Checksum``: the digest; :class:`UploadError` where it is none of SHA-256."""
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    with contextlib.suppress(binascii.Error, ValueError):
        digest = base64.b64decode(value, validate=True)
        if algorithm == "sha256" and len(digest) == 32:
            return digest
    raise UploadError(400, "Upload-Checksum: expected sha256 and its digest in base 64")


def _count(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UploadError(400, f"{name} {text[:20]!r}: expected a number")
    return int(text)


def _headers(**more: object) -> dict[str, str]:
    own = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
    return own | {name.replace("_", "-"): str(value) for name, value in more.items()}


def _check_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise UploadError(412, f"Tus-Resumable: expected {VERSION}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What is wrong with an upload becomes HTTP's status for it."""
    try:
        yield
    except (UploadError, QuotaError):
        raise
    except UserError as error:
        raise UploadError(getattr(error, "status", 400), str(error)) from None


def own_upload(hall: Hall, visit: Visit, upload: str) -> UploadRow:
    """The upload; :class:`UploadError` where the team has none of that name."""
    with hall.database.reading() as session:
        row = session.get(UploadRow, upload) if upload.isalnum() and upload.isascii() else None
        if row is None or row.submission.team_id != visit.team:
            raise UploadError(404, "there is no such upload")
        return row


@router.options("")
@router.options("/{upload}")
def offers(hall: InHall) -> Response:
    """What this server can do."""
    more = {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,checksum,termination",
        "Tus-Checksum-Algorithm": "sha256",
        "Tus-Max-Size": str(hall.site.team_bytes),
    }
    return Response(status_code=204, headers=_headers() | more)


@router.post("")
def create(request: Request, hall: InHall, visit: Changing) -> Response:
    """Take note of a file that will come."""
    _check_version(request)
    metadata = read_metadata(request.headers.get("upload-metadata", ""))
    with _told(), hall.database.writing() as session:
        row = start(session, hall.site, hall.challenge, visit.member, metadata, _count(request, "upload-length"))
        wanted = ",".join(parts(hall.challenge.track(row.submission.track)))
    more = {"Location": f"/uploads/{row.id}", "Submission": str(row.submission_id), "Parts": wanted}
    return Response(status_code=201, headers=_headers(Upload_Offset=row.offset) | more)


@router.head("/{upload}")
def state(request: Request, upload: str, hall: InHall, visit: Asking) -> Response:
    """How much of it is here."""
    _check_version(request)
    row = own_upload(hall, visit, upload)
    if row.state != COMPLETE:
        check_wanted(row)
    return Response(headers=_headers(Upload_Offset=row.offset, Upload_Length=row.length))


@router.patch("/{upload}")
async def append(request: Request, upload: str, hall: InHall, visit: Changing) -> Response:
    """Take bytes."""
    _check_version(request)
    if request.headers.get("content-type") != BODY:
        raise UploadError(415, f"Content-Type: expected {BODY}")
    offset, checksum = _count(request, "upload-offset"), read_checksum(request.headers.get("upload-checksum"))
    check_wanted(await run_in_threadpool(own_upload, hall, visit, upload))
    await run_in_threadpool(make_file, hall.database, hall.site.files, upload)
    with sole_writer(hall.site.files, upload) as file:
        receiver = await run_in_threadpool(
            Receiver,
            hall.database,
            upload,
            file,
            offset,
            lambda session, row: complete(session, hall.challenge, row),
            checksum,
        )
        await _receive(request, receiver)
        return Response(status_code=204, headers=_headers(Upload_Offset=receiver.safe))


async def _receive(request: Request, receiver: Receiver) -> None:
    """Write the body in pieces of :data:`WRITE_BYTES`; what came of one that breaks off is kept."""
    gathered = bytearray()
    blocks = request.stream()
    try:
        while (block := await asyncio.wait_for(anext(blocks, None), IDLE_S)) is not None:
            gathered += block
            if len(gathered) >= WRITE_BYTES:
                await run_in_threadpool(receiver.take, bytes(gathered))
                gathered.clear()
    except (ClientDisconnect, asyncio.TimeoutError):
        await run_in_threadpool(receiver.take, bytes(gathered))
        await run_in_threadpool(receiver.broken)
        raise UploadError(408, "the connection broke: ask for the offset and go on from there") from None
    await run_in_threadpool(receiver.take, bytes(gathered))
    await run_in_threadpool(receiver.end)


@router.delete("/{upload}")
def end(request: Request, upload: str, hall: InHall, visit: Changing) -> Response:
    """Cancel the submission that the file is of."""
    _check_version(request)
    row = own_upload(hall, visit, upload)
    with hall.database.writing() as session:
        if row.submission.state != UPLOADING or not cancel(session, row.submission_id):
            raise UploadError(403, "it is whole already: cancel its submission")
    remove_files(hall.database, hall.site, row.submission_id)
    return Response(status_code=204, headers=_headers())
