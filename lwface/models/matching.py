"""Which tensor of a file belongs where in a network: by prefix, by name, and, for what is left, by role and shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from lwface.models.iresnet import iresnet_name
from lwface.models.sources import Source
from lwface.networks import FaceNetwork, mxnet_names

# What wrappers and training programs put before a name: DistributedDataParallel, torch.compile, Lightning, MagFace, ...
PREFIXES = frozenset(
    (
        *("module", "_orig_mod", "model", "models", "net", "network", "backbone", "features", "feature_extractor"),
        *("encoder", "embedder", "student", "teacher", "ema", "base_model", "state_dict"),
    )
)
CLASSIFIER = re.compile(r"(head|fc7|kernel|parallel_fc|classifier|margin|loss|criterion|softmax|metric|arcface)", re.I)
COUNTER = "num_batches_tracked"  # PyTorch's count of batches, which no network here keeps
ROLES = {"gamma": "scale", "alpha": "scale", "beta": "shift", "bias": "shift", "mean": "mean", "var": "var"}


@dataclass
class Match:
    """What was found of the tensors of a network.

    Attributes:
        naming: whose names they are.
        names: name in the network -> name in the file, less ``prefix``.
        found: name in the network -> tensor, float32.
        pairs: of ``names``, those told by the graph or by role and shape, as names differ.
        guessed: of ``pairs``, those told by role and shape alone.
        prefix: what stood before the names.
        unused: names in the file.
        rivals: other prefixes under which as much is found.
    """

    naming: str
    names: dict[str, str]
    found: dict[str, Tensor]
    prefix: str = ""
    pairs: dict[str, str] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    rivals: list[str] = field(default_factory=list)


def match_tensors(network: FaceNetwork, source: Source) -> Match:
    """Find the tensors of ``network`` among those of ``source``: the naming and the prefix that fit most of them."""
    own = network.state_dict()
    namings = {
        "this project's": {name: name for name in own},
        "MXNet's": mxnet_names(network),
        "iresnet's": {name: theirs for name in own if (theirs := iresnet_name(name))},
    }
    if source.layers:
        by_graph = _by_graph(own, namings["MXNet's"], source)
        namings = {"this project's": namings["this project's"], "MXNet's": by_graph}

    def fit(naming: str, group: Mapping[str, Tensor]) -> tuple[int, int]:
        there = [(name, theirs) for name, theirs in namings[naming].items() if theirs in group]
        return sum(group[theirs].shape == own[name].shape for name, theirs in there), len(there)

    groups = prefix_groups(source.tensors)
    fits = {(naming, prefix): fit(naming, group) for naming in namings for prefix, group in groups.items()}
    best = max(fits, key=lambda key: fits[key])
    naming, prefix = best
    group = groups[prefix]
    names = {name: theirs for name, theirs in namings[naming].items() if theirs in group}
    match = Match(naming, names, {name: group[theirs].float() for name, theirs in names.items()}, prefix)
    match.rivals = [other for of, other in fits if of == naming and other != prefix and fits[of, other] == fits[best]]
    if naming == "MXNet's":
        plain = mxnet_names(network)
        match.pairs = {name: theirs for name, theirs in names.items() if theirs != plain[name]}
    _pair_by_shape(own, group, match)
    used = {prefix + theirs for theirs in match.names.values()}
    match.unused = sorted(name for name in source.tensors if name not in used and not name.endswith(COUNTER))
    return match


def prefix_groups(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors below every chain of known prefixes, with what follows it; the empty chain holds all.

    ``{"features.module.fc.bias": ...}`` gives the groups ``""``, ``"features."`` and ``"features.module."``. What
    stands before every name is a prefix, known or not.
    """
    groups: dict[str, dict[str, Tensor]] = {"": dict(tensors)}
    for name, tensor in tensors.items():
        for chain in _chains(name):
            groups.setdefault(chain, {})[name.removeprefix(chain)] = tensor
    common = _common_prefix(tensors)
    if common and common not in groups:
        groups[common] = {name.removeprefix(common): tensor for name, tensor in tensors.items()}
    return groups


def is_classifier(name: str) -> bool:
    """Whether a tensor is called as those of training's classifier are, which an embedding does not need."""
    chain = max(_chains(name), key=len, default="")
    return CLASSIFIER.match(name.removeprefix(chain)) is not None


def _chains(name: str) -> Iterable[str]:
    """The chains of known prefixes with which ``name`` begins, the shortest first."""
    chain = ""
    for part in name.split(".")[:-1]:
        if part not in PREFIXES:
            return
        chain += f"{part}."
        yield chain


def _common_prefix(names: Iterable[str]) -> str:
    """What stands before every name, up to a dot; of one name, nothing."""
    split = [name.split(".")[:-1] for name in names]
    if len(split) < 2:
        return ""
    count = 0
    while all(len(parts) > count for parts in split) and len({parts[count] for parts in split}) == 1:
        count += 1
    return "".join(f"{part}." for part in split[0][:count])


def _by_graph(own: Iterable[str], by_name: Mapping[str, str], source: Source) -> dict[str, str]:
    """MXNet's names, less where the graph says that a layer of the name reads another array."""
    names = dict(by_name)
    for name in own:
        layer = name.partition(".")[2].replace(".", "_")
        names[name] = source.layers.get(layer, names[name])
    return names


def _pair_by_shape(own: Mapping[str, Tensor], group: Mapping[str, Tensor], match: Match) -> None:
    """Add to ``match`` what is left over on both sides and is the only one of its role and shape on each."""
    if len(match.names) < len(own) / 2:
        return  # another network's: shapes alone say nothing
    used = set(match.names.values())
    left = [name for name in own if name not in match.names]
    there = [name for name in group if name not in used and not name.endswith(COUNTER) and not is_classifier(name)]
    for name in left:
        key = _role(name, own[name])
        here = [other for other in left if _role(other, own[other]) == key]
        theirs = [other for other in there if _role(other, group[other]) == key]
        if len(here) == len(theirs) == 1 and own[name].numel() > 1:
            match.names[name] = match.pairs[name] = theirs[0]
            match.found[name] = group[theirs[0]].float()
            match.guessed.append(name)


def _role(name: str, tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """What a tensor is to its layer, and its shape; a vector called weight is the scale of a norm or a PReLU."""
    last = re.split(r"[._]", name)[-1]
    if last == "weight":
        last = "scale" if tensor.ndim < 2 else "weight"
    return ROLES.get(last, last), tuple(tensor.shape)
