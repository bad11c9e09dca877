"""Face recognition under a compute budget: train, pass the gate, write the submission, score it.

For programs, what :data:`__all__` names is here: ``docs/library.md``. Each is imported when it is first asked for
(PEP 562), so that ``import lwface`` alone costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; _HOMES says the same to Python
    from lwface.base.errors import UserError
    from lwface.detection.own import detect
    from lwface.formats.face_records import FaceRecords
    from lwface.landmarks.photographs import align, landmarks
    from lwface.library import compare, embed, load_model
    from lwface.scoring.from_arrays import tar_at_far

    __version__: str

__all__ = [
    "FaceRecords",
    "UserError",
    "__version__",
    "align",
    "compare",
    "detect",
    "embed",
    "landmarks",
    "load_model",
    "tar_at_far",
]

_HOMES = {
    "FaceRecords": "lwface.formats.face_records",
    "UserError": "lwface.base.errors",
    "align": "lwface.landmarks.photographs",
    "compare": "lwface.library",
    "detect": "lwface.detection.own",
    "embed": "lwface.library",
    "landmarks": "lwface.landmarks.photographs",
    "load_model": "lwface.library",
    "tar_at_far": "lwface.scoring.from_arrays",
}


if not TYPE_CHECKING:  # a type checker that saw this would take every name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            found = _version()
        elif name in _HOMES:
            import importlib

            home = importlib.import_module(_HOMES[name])
            found = globals().get(name) or getattr(home, name)  # a room of that name is there now, and can be called
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The installed version; ``0+unknown`` where the sources are used without being installed."""
    from importlib import metadata

    try:
        return metadata.version("lightweight-face-recognition")
    except metadata.PackageNotFoundError:
        return "0+unknown"
