"""Passwords and the keys that browsers, programs and links carry. The database holds no key, only a digest of it."""

from __future__ import annotations

import hashlib
import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from lwface.base.errors import UserError

LEAST, MOST = 10, 200  # characters of a password
_HASHER = PasswordHasher()  # Argon2id with the parameters of RFC 9106 for little memory (64 MiB, 3 passes, 4 lanes)
_AT_ONCE = threading.BoundedSemaphore(2)  # each takes 64 MiB


def hash_password(password: str) -> str:
    """What the database holds of a password; :class:`UserError` where it is too short."""
    if not LEAST <= len(password) <= MOST:
        raise UserError(f"a password has {LEAST} to {MOST} characters, this one has {len(password)}")
    with _AT_ONCE:
        return _HASHER.hash(password)


NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def is_password(hashed: str | None, password: str) -> bool:
    """Whether it is the one; for nobody's it takes as long, so that time does not tell who has an account."""
    try:
        with _AT_ONCE:
            return _HASHER.verify(hashed or NOBODY, password[: MOST + 1]) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(hashed: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(hashed)


def new_key() -> str:
    """A key that nobody guesses: 256 random bits as text for an address or a header."""
    return secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What the database holds of a key: SHA-256, which is enough for one that is random."""
    return hashlib.sha256(key.encode()).hexdigest()
