"""Ways to teach a student what a teacher knows, by name: a file here with one class decorated for the registry."""

from __future__ import annotations

import importlib
import pkgutil

from lwface.losses.distillation.base import DISTILLATIONS, Distillation, Teaching

for _module in pkgutil.iter_modules(__path__):  # importing a way's file registers it
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["DISTILLATIONS", "Distillation", "Teaching"]
