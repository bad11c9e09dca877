"""Networks that put points on a face: the body of a recognition network under a head of :data:`POINT_HEADS`.

A new head is a file here with one class decorated by ``@POINT_HEADS.register_as(name)``.
"""

from __future__ import annotations

import importlib
import pkgutil

from lwface.networks.points.base import POINT_HEADS, PointHead, PointNetwork, make_point_network

for _module in pkgutil.iter_modules(__path__):  # importing a head's file registers it
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["POINT_HEADS", "PointHead", "PointNetwork", "make_point_network"]
