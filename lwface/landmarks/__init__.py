"""Points on faces: the same loop as for recognition, with another task.

For programs the room can be called: ``lwface.landmarks(image)`` is
:func:`lwface.landmarks.photographs.landmarks`. (A room that is imported stands in the place of any function of its
name, so the room itself has to answer.)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        from lwface.landmarks.photographs import landmarks

        return landmarks(*arguments, **named)


sys.modules[__name__].__class__ = _CallableRoom
