"""Trained keypoint models on disk, by the name that every command line has for a model."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from lwface.base.errors import UserError
from lwface.formats.keypoint_lookup import Lookup
from lwface.formats.keypoint_tables import FEATURES, POINTS
from lwface.landmarks.keypoint_networks import KeypointNetwork, create_keypoint_network
from lwface.landmarks.keypoint_task import predict
from lwface.models.names import model_file
from lwface.models.saved import POINTS_KEY, check_tensors
from lwface.models.sources import read_safetensors


def is_keypoint_model(model: str) -> bool:
    """Whether the file of ``model`` says that it is one.

    Raises:
        UserError: there is no such model.
    """
    path = model_file(model)
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return POINTS_KEY in json.loads((file.metadata() or {})["config"])
    except (SafetensorError, KeyError, ValueError, TypeError):  # whoever opens it as another model says what is wrong
        return False


def load_keypoint_model(model: str) -> KeypointNetwork:
    """The network called ``model``, in evaluation mode on the CPU.

    Raises:
        UserError: no such model, damaged, or one that puts no keypoints.
    """
    path = model_file(model)
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: expected a keypoint model, as landmarks/train_keypoints.py saves it")
    tensors, config = read_safetensors(path)
    points, name = ((config or {}).get(key) for key in (POINTS_KEY, "net_name"))
    if not isinstance(points, list) or not all(point in POINTS for point in points) or not isinstance(name, str):
        raise UserError(f"{path}: is no keypoint model; expected one that landmarks/train_keypoints.py saved")
    with torch.device("meta"):  # names and shapes first: no memory is spent on what the file does not hold
        network = create_keypoint_network(name, points)
    check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def predict_all(
    networks: Sequence[KeypointNetwork], images: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float64]:
    """Points (N, 15, 2) in pixels; of a point that several networks put, the last one's, and NaN where none puts it."""
    points = np.full((len(images), len(POINTS), 2), np.nan)
    for network in networks:
        points[:, [POINTS.index(point) for point in network.points]] = predict(network.to(device), images, device)
    return points


def locations_of(lookup: Lookup, ids: NDArray[np.int64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The location (R,) of each row of ``lookup``, of the points (N, 15, 2) of the images ``ids`` (N,).

    Raises:
        UserError: an image is not there, or a point is asked for that no model puts.
    """
    order = np.argsort(ids)
    places = np.searchsorted(ids, lookup.images, sorter=order)
    found = order[np.minimum(places, len(ids) - 1)]
    strangers = np.flatnonzero(ids[found] != lookup.images)
    if len(strangers):
        row = strangers[0]
        raise UserError(f"RowId {lookup.rows[row]} asks for image {lookup.images[row]}, which the test images lack")
    locations = points.reshape(len(points), -1)[found, lookup.features]
    if np.isnan(locations).any():
        row = int(np.isnan(locations).argmax())
        what = f"{FEATURES[lookup.features[row]]} of image {lookup.images[row]}"
        raise UserError(f"RowId {lookup.rows[row]} asks for {what}, which the model does not put: add one of 15 points")
    return locations
