"""The figures of an evaluation as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LABELS = {
    "challenge": "NME, challenge (384)",
    "inter-ocular": "NME, between eyes' corners",
    "box": "NME, root of the box",
}


def as_text(found: Mapping[str, Any]) -> str:
    """The figures of :func:`lwface.landmarks.evaluation.summary`, in per cent, aligned."""
    lines = [f"{found['faces']} faces{of_people(found)}"]
    for norm, figure in found["nme"].items():
        lines.append(_line(LABELS[norm], per_cent(figure["value"]), _interval(figure)))
    for name, side in found.get("sides", {}).items():
        lines.append(_line(f"{name}, challenge (384)", per_cent(side["nme"]), f"{side['faces']} faces"))
    for name, value in found["regions"].items():
        lines.append(_line(f"{name}, box", per_cent(value)))
    for name, part in found["yaw"].items():
        lines.append(_line(f"yaw {name} degrees, box", per_cent(part["nme"]), f"{part['faces']} faces"))
    lines.append(_line("area under curve to 8 %, box", f"{found['auc']:.4f}"))
    lines.append(_line("failures above 8 %, box", per_cent(found["failures"])))
    if "jitter" in found:
        jitter = found["jitter"]
        note = f"points {per_cent(jitter['found'])}, labels {per_cent(jitter['true'])}, {jitter['frames']} frames"
        lines.append(_line("jitter of the error, box", per_cent(jitter["error"]), note))
    return "\n".join(lines)


def of_people(found: Mapping[str, Any]) -> str:
    """Whose the faces are; nothing where each picture stands for itself, as nobody knows whom it shows."""
    return f" of {found['people']:,} people" if found["people"] < found["faces"] else ""


def per_cent(share: float | None) -> str:
    """A share in per cent, to three decimals; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.3f} %"


def _interval(figure: Mapping[str, float | None]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return ""
    return f"95 %: {100 * figure['low']:.3f} to {100 * figure['high']:.3f}"


def _line(label: str, value: str, beside: str = "") -> str:
    return f"  {label:30}{value:>10}  {beside}".rstrip()
