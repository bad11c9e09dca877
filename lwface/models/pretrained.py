"""Starting from a trained model: whose names its tensors have, which of them fit, and which are left fresh.

Understood are this project's models, MXNet's, ONNX files of this project, and PyTorch files: state dicts with this
project's names and those of arcface_torch's ``iresnet``. What differs outside the weights is made up for in them
(:mod:`lwface.models.folding`), and where the file can be run itself, the embeddings are compared with its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.models.folding import fold_epsilon, fold_pixels, fold_scales, ignored_scales
from lwface.models.iresnet import LAYERS, IResNet, iresnet_name, settings_of
from lwface.models.matching import Match, is_classifier, match_tensors, prefix_groups
from lwface.models.names import TORCH_SUFFIXES, is_onnx, is_state_dict, model_file
from lwface.models.pixels import ARCFACE_TORCH, ARCFACE_TORCH_EPSILON, Said, pixels_text
from lwface.models.proof import ENOUGH, worst_cosine
from lwface.models.saved import load_saved
from lwface.models.sources import Source, read_safetensors, read_source
from lwface.networks import FaceNetwork, create_network
from lwface.networks.base import IMAGE_SIZE, PIXEL_MEAN
from lwface.settings.places import Places
from lwface.settings.resolve import network_settings

__all__ = ["TORCH_SUFFIXES", "Start", "image_size", "iresnet_name", "iresnet_settings", "open_model", "start_from"]

LISTED = 6  # names a line of the report shows
IRESNET = "iresnet's"
LARGE_PART = 0.25  # of a network's weights: with more of them random it is no trained one


@dataclass
class Start:
    """What became of the tensors of a file, and of those of the network.

    Attributes:
        matched: names in the network, as all but ``unused``.
        other_shape: with both shapes.
        fresh: the file has none for it.
        unused: names in the file.
        pairs: of ``matched``, those whose names differ, and the names in the file.
        warnings: what may be wrong; each is a line that begins with WARNING.
        assumed: what a state dict does not say, and how to overrule it.
        notes: what was done to keep the embeddings.
        cosine: the worst between embeddings and the file's own; None: not compared.
        random: what large part of the network starts from random weights, in words; empty: none, it is trained already.
    """

    source: str
    naming: str = "no known"
    matched: list[str] = field(default_factory=list)
    other_shape: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    pairs: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cosine: float | None = None
    random: str = ""

    def text(self) -> str:
        """The lines a run prints."""
        total = len(self.matched) + len(self.other_shape) + len(self.fresh)
        lines = [f"pretrained {self.source}: {len(self.matched)} of {total} tensors taken over, by {self.naming} names"]
        lines += [f"WARNING: {warning}" for warning in self.warnings]
        pairs = [f"{own} <- {theirs}" for own, theirs in self.pairs.items()]
        for what, names in (
            ("called otherwise there", pairs),
            ("left fresh, of another shape there", self.other_shape),
            ("left fresh, not there", self.fresh),
            ("there, but not used", self.unused),
        ):
            if names:
                more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
                lines.append(f"  {what} ({len(names)}): {', '.join(names[:LISTED])}{more}")
        return "\n".join([*lines, *(f"  {note}" for note in (*self.notes, *self.assumed))])


def start_from(network: FaceNetwork, model: str, epoch: int, said: Said | None = None) -> Start:
    """Copy what fits of ``model`` into ``network``; the rest of the network keeps its fresh weights.

    Args:
        model: ``PREFIX`` (with ``epoch``) or ``PREFIX,EPOCH`` of a model of this project or of MXNet, or a file:
            ``.safetensors``, ``.params``, ``.onnx``, or a PyTorch state dict ``.pth``, ``.pt``, ``.tar``.
        said: of an ``iresnet``, what its state dict does not say.

    Raises:
        UserError: no such model, damaged, a tensor that is not finite, or nothing in it fits.
    """
    with torch.random.fork_rng(devices=[]):  # what is read does not change what is drawn afterwards
        return _start(network, read_source(model, epoch), said or Said())


def _start(network: FaceNetwork, source: Source, said: Said) -> Start:
    match = match_tensors(network, source)
    start = Start(source.name, match.naming, unused=match.unused, notes=list(source.notes))
    _sort(network, match, start)
    start.pairs = {name: theirs for name, theirs in match.pairs.items() if name in start.matched}
    if not start.matched:
        raise UserError(_nothing_fits(source))
    found = {name: match.found[name] for name in start.matched}
    if match.naming == IRESNET:
        _from_iresnet(network, source, match, said, found, start)
    elif said.anything:
        raise UserError(f"{source.name}: pixels and epsilon are for the state dict of an iresnet, which this is not")
    if source.epsilons:
        start.notes += fold_epsilon(
            network, found, lambda path: source.epsilons.get(match.names.get(f"{path}.running_var", ""))
        )
    if source.scales_count:
        start.notes += fold_scales(network, found)
    else:
        start.warnings += ignored_scales(network, found)
    network.load_state_dict({**network.state_dict(), **found})
    _warn(network, match, start)
    _prove(network, source, start)
    if start.cosine is None and match.guessed:
        guesses = ", ".join(f"{name} <- {match.names[name]}" for name in match.guessed)
        start.warnings.append(f"told by role and shape alone, and not compared: {guesses}")
    return start


def open_model(
    model: str,
    *,
    network: str | None = None,
    layer: str | None = None,
    places: Places | None = None,
    said: Said | None = None,
    say: Callable[[str], None] | None = None,
) -> nn.Module:
    """The model called ``model`` in evaluation mode on the CPU; a bare state dict is put into the network it names.

    Args:
        network: name in the configuration of the network that a ``.pth``, ``.pt`` or ``.safetensors`` file belongs to;
            None: an ``iresnet`` of arcface_torch, whose tensors tell which (:func:`iresnet_settings`), or a file of
            this project, which says it itself.
        layer: as for :func:`lwface.models.store.load_model`.
        places: whose configuration ``network`` is looked up in; None: the usual one.
        said: of an ``iresnet``, what its state dict does not say.
        say: is given each line on what was assumed.

    Raises:
        UserError: no such model, or a state dict whose network is not named or not completely in it.
    """
    if is_bare(model) or (network is not None and is_state_dict(model)):
        return open_state_dict(model, network=network, places=places, said=said, say=say)[0]
    if said is not None and said.anything:
        raise UserError(f"{model}: says itself what it takes; pixels and epsilon are for a state dict of an iresnet")
    return load_saved(model, layer)[0]


def image_size(model: nn.Module) -> tuple[int, int] | None:
    """(height, width) of the images that ``model`` takes; None: it does not say."""
    if isinstance(model, FaceNetwork):
        return IMAGE_SIZE, IMAGE_SIZE
    shape = getattr(model, "image_shape", None)  # (3, H, W)
    return None if shape is None else (int(shape[1]), int(shape[2]))


def is_bare(model: str) -> bool:
    """Whether ``model`` is a file of tensors that does not say which network it belongs to."""
    if not is_state_dict(model):
        return False
    path = model_file(model)
    return path.suffix.lower() in TORCH_SUFFIXES or read_safetensors(path)[1] is None


def open_state_dict(
    model: str,
    *,
    network: str | None = None,
    places: Places | None = None,
    said: Said | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[FaceNetwork, dict[str, Any]]:
    """The network in the state dict ``model`` and its settings; arguments and errors as :func:`open_model`."""
    said = said or Said()
    source = read_source(model, 0)
    config = _iresnet_config(source, said) if network is None else network_settings(network, places)
    built, called = create_network(config), network or "an iresnet"
    start = _start(built, source, said)
    missing = start.other_shape + start.fresh
    if missing:
        raise UserError(f"{model}: not the weights of {called}: {len(missing)} tensors are missing, {missing[0]} first")
    foreign = [name for name in start.unused if not is_classifier(name)]
    if network is None and foreign:
        raise UserError(f"{model}: not the weights of {called}, which has no {foreign[0]}: name its network")
    if start.cosine is not None and start.cosine < ENOUGH:
        raise UserError(f"{model}: {start.warnings[-1]}")
    for line in (*(f"WARNING: {warning}" for warning in start.warnings), *start.assumed):
        if say is not None:
            say(f"{model}: {line}")
    return built.eval(), config


def iresnet_settings(source: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The settings of the network whose weights ``tensors`` are, if it is an ``iresnet`` of arcface_torch.

    Args:
        source: what an error calls it.
        tensors: by their names, behind any chain of known prefixes (:func:`lwface.models.matching.prefix_groups`).

    Raises:
        UserError: it is none.
    """
    groups = [group for group in prefix_groups(tensors).values() if settings_of(group)]
    best = max(groups, key=lambda group: sum(name.partition(".")[0] in LAYERS for name in group), default={})
    settings = settings_of(best)
    if settings is None:
        remedy = "add --network NAME (in a program network=NAME), such as r50"
        where = "check_model.py and convert_model.py take it, and train.py with --pretrained"
        raise UserError(f"{source}: a state dict does not say which network it belongs to: {remedy}; {where}")
    return settings


def _iresnet_config(source: Source, said: Said) -> dict[str, Any]:
    """The settings of an ``iresnet``; where zero padding is not grey, with a norm of the raw pixels (net_input 2)."""
    config = iresnet_settings(source.name, source.tensors)
    other_mean = said.pixels is not None and said.pixels.mean != PIXEL_MEAN
    return {**config, "net_input": 2} if other_mean else config


def _sort(network: FaceNetwork, match: Match, start: Start) -> None:
    """Which tensors of the network are in the file, and as they should be."""
    for name, tensor in network.state_dict().items():
        if name not in match.found:
            start.fresh.append(name)
        elif _squeezed(match.found[name]) != _squeezed(tensor):
            start.other_shape.append(f"{name} {_shape(match.found[name])} (here {_shape(tensor)})")
        elif not match.found[name].isfinite().all():
            theirs = match.prefix + match.names[name]
            raise UserError(f"{start.source}: {theirs} is not finite: the model is damaged or its training diverged")
        else:
            match.found[name] = match.found[name].reshape(tensor.shape)
            start.matched.append(name)


def _from_iresnet(
    network: FaceNetwork, source: Source, match: Match, said: Said, found: dict[str, Tensor], start: Start
) -> None:
    """Make up for what differs outside the weights of an ``iresnet``, and say what of it is not known."""
    pixels, epsilon = said.pixels or ARCFACE_TORCH, said.epsilon or ARCFACE_TORCH_EPSILON
    raw = "body.bn_data"
    start.notes += fold_epsilon(network, found, lambda path: None if path == raw else epsilon)
    norm = "body.bn0" if network.normalise else raw
    notes = fold_pixels(network, found, pixels, first="body.conv0", norm=norm)
    start.warnings += [note.removeprefix("WARNING: ") for note in notes if note.startswith("WARNING: ")]
    start.notes += [note for note in notes if not note.startswith("WARNING: ")]
    start.matched += [name for name in start.fresh if name in found]
    start.fresh = [name for name in start.fresh if name not in found]
    unsaid = []
    if said.pixels is None:
        unsaid.append(f"pixels {pixels_text(pixels)} ({pixels.color_order})")
    if said.epsilon is None:
        unsaid.append(f"epsilon {epsilon:g}")
    if unsaid:
        how = "--pretrained-pixels, --pretrained-epsilon (train.py), --pixels, --epsilon (check_model, convert_model)"
        what = f"assumed {' and '.join(unsaid)}, arcface_torch's, as a state dict does not say"
        start.assumed.append(f"{what}; other: {how}, pixels=, epsilon= (load_model)")
    if unsaid and _is_magface(match):
        start.warnings.append(
            "its names are MagFace's, whose networks take pixels 0/255,BGR and have an epsilon of 2e-5: if it is one, "
            "say so, or its embeddings are wrong"
        )
    source.scales_count = True
    source.known_as = f", run as an iresnet with pixels {pixels_text(pixels)} and epsilon {epsilon:g}"
    source.network = IResNet(prefix_groups(source.tensors)[match.prefix], pixels, epsilon)


def _is_magface(match: Match) -> bool:
    """``features.module.NAME`` beside ``parallel_fc``, both behind what else may stand there."""
    return "features.module." in match.prefix or any("parallel_fc" in name for name in match.unused)


def _warn(network: FaceNetwork, match: Match, start: Start) -> None:
    """What nobody should overlook: layers that stay random, and a second network in the file."""
    fresh = {name.partition(" ")[0] for name in (*start.fresh, *start.other_shape)}
    missing = {name.rpartition(".")[0] for name in fresh}
    layers = [path for path, _ in network.named_modules() if path in missing]
    embedding = _embedding_layer(network)
    if embedding in layers:
        start.random = f"the embedding layer {embedding} starts from random weights"
        start.warnings.append(start.random)
    others = [path for path in layers if path != embedding]
    if others:
        more = f" and {len(others) - LISTED} more" if len(others) > LISTED else ""
        start.warnings.append(f"{len(others)} layers start afresh: {', '.join(others[:LISTED])}{more}")
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    share = sum(size for name, size in sizes.items() if name in fresh) / sum(sizes.values())
    if share > LARGE_PART and not start.random:
        start.random = f"{100 * share:.0f} % of the network start from random weights"
    if match.rivals:
        used, others = repr(match.prefix), [repr(prefix) for prefix in match.rivals]
        start.warnings.append(f"several networks are there: used is the one below {used}, not {', '.join(others)}")


def _prove(network: FaceNetwork, source: Source, start: Start) -> None:
    """Compare the embeddings with the file's own, where it can be run and all of the network is from it."""
    if start.fresh or start.other_shape:
        start.notes.append("embeddings are not compared with the file's own: not all of the network is from it")
        return
    if source.network is None:
        start.notes.append("embeddings are not compared with the file's own: it does not say what it computes")
        return
    try:
        start.cosine = worst_cosine(network, source.network)
    except KeyError as error:
        start.notes.append(f"embeddings are not compared with the file's own: it has no {error.args[0]}")
        return
    if start.cosine < ENOUGH:
        reason = "it computes something else with these weights"
        start.warnings.append(
            f"embeddings are not the file's own: worst cosine {start.cosine:.7f}{source.known_as}: {reason}"
        )
    else:
        start.notes.append(f"embeddings equal the file's own: worst cosine {start.cosine:.7f}{source.known_as}")


def _embedding_layer(network: FaceNetwork) -> str:
    """The last linear layer or convolution of the head."""
    layers = [path for path, module in network.head.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    return f"head.{layers[-1]}" if layers else ""


def _nothing_fits(source: Source) -> str:
    there = ", ".join(sorted(source.tensors)[:3]) or "nothing"
    hint = ""
    if is_onnx(source.name):
        hint = "; only float32 files that this project exported keep their weights' names: start from their origin"
    return f"{source.name}: no tensor fits the network (there: {there}){hint}"


def _squeezed(tensor: Tensor) -> list[int]:
    """The shape without 1s at its end: an ONNX file's slopes of a PReLU are (C, 1, 1)."""
    sizes = list(tensor.shape)
    while len(sizes) > 1 and sizes[-1] == 1:
        sizes.pop()
    return sizes


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
