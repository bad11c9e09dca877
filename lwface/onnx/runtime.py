"""ONNX Runtime as this project imports it: without its telemetry.

ONNX Runtime's builds since 1.31 collect events and send them to Microsoft unless told not to: importing one makes
``Microsoft/DeveloperTools/.onnxruntime`` in the user's cache, with an identifier of the machine and a queue of events.
Its documented switch (``Privacy.md`` of the package) is an environment variable, which is read while it is imported and
not later; ``onnxruntime.disable_telemetry_events`` comes after that. So whatever imports it, or imports what does,
comes through here.
"""

from __future__ import annotations

import os
from types import ModuleType

from lwface.base.extras import require

TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"


def onnx_runtime(extra: str = "onnx") -> ModuleType:
    """The module ``onnxruntime``.

    Args:
        extra: the group of ``pyproject.toml`` that brings it for the caller.

    Raises:
        UserError: it is not installed.
    """
    switch_telemetry_off()
    return require("onnxruntime", extra)


def switch_telemetry_off() -> None:
    """Before ONNX Runtime is imported, by this process or by those that it starts; a user's own setting stays."""
    os.environ.setdefault(TELEMETRY_SWITCH, "1")
