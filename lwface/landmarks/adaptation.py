"""A trained model with a linear map to another convention behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.landmarks.adapting import fit_map
from lwface.landmarks.dataset import PointDataset
from lwface.landmarks.options import full
from lwface.landmarks.point_sets import PointPicture, read_point_set, split_by_person
from lwface.landmarks.task import nme_by_box
from lwface.models.names import parse_model
from lwface.models.store import load_model, save_model
from lwface.networks.points import PointNetwork

PART = 64


def adapt_model(model: str, data: Path, held_out: float, seed: int, output: str) -> None:
    """Fit the map on ``data``, print the errors of the people held out before and after, and write the model.

    Raises:
        UserError: not a model of points of this project, or one that is adapted already.
    """
    network, config = load_model(model)
    if not isinstance(network, PointNetwork):
        raise UserError(f"{model}: no model of points that was trained here")
    if network.adapt is not None:
        raise UserError(
            f"{model}: it is adapted to {config.get('point_adapted_to')} already: start from the one before"
        )
    fitted, judging = split_by_person(read_point_set(data).pictures, held_out, seed)
    before, true, people = _places(network, fitted, config["view"])
    found = fit_map(before, true, people)
    network.adapt = nn.Linear(2 * network.points, 2 * network.points)
    with torch.no_grad():
        network.adapt.weight.copy_(torch.from_numpy(found.weight))
        network.adapt.bias.copy_(torch.from_numpy(found.bias))
    told = {
        "point_adapted": True,
        "point_adapted_to": f"{full(data).name}, {1 - held_out:g} of the people, seed {seed}",
    }
    raw, true, _ = _places_before(network, judging, config["view"])
    mapped = found(raw)
    print(f"{len(fitted)} faces fitted, strength {found.strength:g}; {len(judging)} held out")
    for what, places in (("before", raw), ("after", mapped)):
        error = nme_by_box(torch.from_numpy(places), torch.from_numpy(true)).mean()
        print(f"  NME by the box, {what}: {100 * float(error):.3f} %")
    prefix, epoch = parse_model(output)
    print(f"written: {save_model(prefix, epoch, network, {**config, **told})}")


def _places_before(
    network: PointNetwork, pictures: list[PointPicture], view: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Of the network without its map."""
    adapt, network.adapt = network.adapt, None
    try:
        return _places(network, pictures, view)
    finally:
        network.adapt = adapt


def _places(network: PointNetwork, pictures: list[PointPicture], view: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Found and true places (N, K, 2) in crops, and the people."""
    data = PointDataset(pictures, view=view)
    found, true = [], []
    with evaluating(network), torch.inference_mode():
        for part in np.array_split(np.arange(len(data)), -(-len(data) // PART)):
            batch = data.batch(part, 0)
            places = network(batch.images.permute(0, 3, 1, 2))
            found.append(places.unflatten(1, (-1, 2)).double().numpy())
            true.append(batch.targets.double().numpy())
    return np.concatenate(found), np.concatenate(true), [picture.person for picture in pictures]
