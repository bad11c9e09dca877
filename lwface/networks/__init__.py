"""Network families by name. A new one is a file here with one function decorated by ``@NETWORKS.register``.

The function's name is the family's, and its parameters are its settings, each with its meaning
(:mod:`lwface.base.setting`; those that families share: :mod:`lwface.networks.settings`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from lwface.base.errors import UserError
from lwface.networks.base import NETWORKS, FaceNetwork, mxnet_names
from lwface.networks.points import POINT_HEADS, make_point_network

for _module in pkgutil.iter_modules(__path__):  # importing a family's file registers it
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["NETWORKS", "POINT_HEADS", "FaceNetwork", "create_network", "mxnet_names"]


def create_network(config: Mapping[str, Any]) -> FaceNetwork:
    """The network ``config`` describes: family ``config["net_name"]``, given the settings its signature names.

    Settings absent from ``config`` keep the family's defaults; those of other families are not looked at. With
    ``config["point_head"]`` the family's body bears a head of points (:mod:`lwface.networks.points`), by the settings
    ``points``, ``point_loss`` and ``point_adapted``.
    :class:`~lwface.base.errors.UserError` for an unknown family and for a setting with an impossible value.
    """
    family = NETWORKS[config["net_name"]]
    settings = inspect.signature(family).parameters
    network = family(**{name: config[name] for name in settings if name in config})
    if not isinstance(network, FaceNetwork):
        gave = f"the family {config['net_name']} gave a {type(network).__name__}"
        raise UserError(f"{gave}: its function must return FaceNetwork(body, head, emb_size)")
    head = config.get("point_head")
    if head is None:
        return network
    adapted, loss = bool(config.get("point_adapted")), config["point_loss"]
    return make_point_network(network, head, config["points"], loss=loss, adapted=adapted)
