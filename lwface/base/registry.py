"""A name for each plug-in: one file, one decorated function, and it is known by the function's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from lwface.base.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps a public name to the object registered under it.

    >>> networks = Registry("network")
    >>> @networks.register
    ... def tiny(): ...
    >>> networks["tiny"] is tiny
    True
    """

    def __init__(self, kind: str, check: Callable[[T], None] | None = None) -> None:
        self.kind = kind  # in messages
        self._check = check  # of each new entry
        self._entries: dict[str, T] = {}

    def register(self, entry: T) -> T:
        """Decorator: register ``entry`` under its ``__name__``; a name that is taken is an error of the programmer."""
        return self.register_as(entry.__name__)(entry)  # type: ignore[attr-defined]

    def register_as(self, name: str) -> Callable[[T], T]:
        """Decorator: register under ``name``, for names that are not identifiers."""

        def add(entry: T) -> T:
            if name in self._entries:
                places = " and ".join(getattr(one, "__module__", repr(one)) for one in (self._entries[name], entry))
                raise ValueError(f"{self.kind} {name!r} is registered twice: in {places}")
            if self._check is not None:
                self._check(entry)
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        """The entry called ``name``; :class:`UserError` with the nearest name when there is none."""
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
