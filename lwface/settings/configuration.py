"""One function turns the names of a network, a data set and a loss into the checked configuration of a run.

Every key a configuration may hold is in :data:`SETTINGS`, with its type, its limits and its meaning; ``--help`` of
train.py reads the meanings from here. Keys of the original program that have no counterpart are in :data:`RETIRED`, so
a configuration written for it still loads as long as those keys ask for nothing special.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from easydict import EasyDict

from lwface.base.errors import UserError, unknown_name
from lwface.losses import LOSSES
from lwface.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("network", "dataset", "loss")


@dataclass(frozen=True)
class Setting:
    """What one key may hold."""

    kind: type  # bool, int, float, str or list (a list or tuple of numbers or names)
    meaning: str
    minimum: float | None = None
    choices: tuple[Any, ...] = ()

    def problem(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        if not self._is_of_kind(value):
            return f"expected {self.kind.__name__}, got {type(value).__name__}"
        if self.choices and value not in self.choices:
            return f"expected one of {', '.join(map(str, self.choices))}"
        if self.minimum is not None and not value >= self.minimum:  # type: ignore[operator]  # NaN fails too
            return f"expected at least {self.minimum:g}"
        return None

    def _is_of_kind(self, value: object) -> bool:
        if self.kind is list:
            return isinstance(value, list | tuple)
        if isinstance(value, bool):  # a bool is an int to Python, not to a user
            return self.kind is bool
        return isinstance(value, int | float) if self.kind is float else isinstance(value, self.kind)


SETTINGS: dict[str, Setting] = {
    # The run.
    "network": Setting(str, "network, by its name in the configuration"),
    "dataset": Setting(str, "data set, by its name in the configuration"),
    "loss": Setting(str, "loss, by its name in the configuration"),
    # The network.
    "net_name": Setting(str, "family of the network: a file of lwface/networks"),
    "num_layers": Setting(int, "depth of the residual, densely connected and transformer families", minimum=1),
    "densenet_dropout": Setting(float, "share of new maps a densely connected layer drops in training", minimum=0),
    "emb_size": Setting(int, "width of the embedding", minimum=1),
    "bn_mom": Setting(float, "share of the old running statistics that batch norm keeps", minimum=0),
    "net_se": Setting(int, "1: squeeze-and-excitation in every unit", choices=(0, 1)),
    "net_act": Setting(str, "activation", choices=("prelu", "relu", "sigmoid", "tanh", "softrelu", "softsign")),
    "net_unit": Setting(int, "kind of residual unit", minimum=1),
    "net_input": Setting(int, "kind of input stem", choices=(0, 1, 2)),
    "net_blocks": Setting(list, "blocks in each stage of the mobile family"),
    "net_units": Setting(list, "units in each stage; empty: as num_layers says in the residual family"),
    "net_widths": Setting(list, "channels of the first layer or stage and of those that follow"),
    "net_expansions": Setting(list, "channels inside a block over those outside, a stage"),
    "net_kernels": Setting(list, "kernel of the depthwise or second convolution, a stage"),
    "net_attention": Setting(str, "attention at the end of every block", choices=("none", "se", "cbam", "cbam_tanh")),
    "net_width": Setting(int, "numbers that stand for a patch in the vision transformer", minimum=1),
    "net_heads": Setting(int, "attention heads of the vision transformer", minimum=1),
    "net_drop_path": Setting(float, "share of residual branches left out in training", minimum=0),
    "net_mask": Setting(float, "share of patches hidden from the vision transformer in training", minimum=0),
    "net_size": Setting(str, "which of a family's sizes", choices=("xxs", "xs", "s", "m", "base")),
    "net_alpha": Setting(float, "share of channels that octave convolution keeps at half resolution", minimum=0),
    "net_rank": Setting(float, "share of the full rank that EdgeFace's linear layers keep; 0: all", minimum=0),
    "net_shuffle": Setting(int, "1: channels of MixFaceNet are shuffled behind every unit", choices=(0, 1)),
    "net_output": Setting(str, "output head"),
    "net_multiplier": Setting(float, "factor on the channels", minimum=0),
    # The data.
    "dataset_path": Setting(str, "folder of the data set; a relative one starts at the project's root"),
    "num_classes": Setting(int, "identities; 0: as many as the data set's property file says", minimum=0),
    "image_shape": Setting(list, "height, width, channels"),
    "val_targets": Setting(list, "verification packs, each <name>.bin in the data set's folder"),
    "data_rand_mirror": Setting(bool, "mirror each training image with probability one half"),
    "data_images_filter": Setting(int, "leave out identities with fewer images", minimum=0),
    "num_workers": Setting(int, "processes that read and decode images; 0: in the main process", minimum=0),
    "skip_bad": Setting(bool, "leave out images that do not decode instead of stopping"),
    # The loss.
    "loss_name": Setting(str, "kind of classifier: a file of lwface/losses"),
    "loss_s": Setting(float, "scale of the cosines", minimum=0),
    "loss_m1": Setting(float, "multiplicative angular margin", minimum=0),
    "loss_m2": Setting(float, "additive angular margin in radians", minimum=0),
    "loss_m3": Setting(float, "additive cosine margin", minimum=0),
    "loss_monotonic": Setting(bool, "let the margin's cosine fall on beyond pi, where the original's rises again"),
    "fc7_lr_mult": Setting(float, "factor on the classifier's learning rate", minimum=0),
    "fc7_wd_mult": Setting(float, "factor on the classifier's weight decay", minimum=0),
    "fc7_no_bias": Setting(bool, "plain softmax without a bias"),
    # The training.
    "pretrained": Setting(str, "model to start from: a prefix, .pth, .pt or .safetensors; empty: random weights"),
    "pretrained_epoch": Setting(int, "epoch of the model to start from", minimum=0),
    "lr": Setting(float, "learning rate", minimum=0),
    "lr_policy": Setting(str, "how the learning rate falls", choices=("step", "cosine", "poly")),
    "lr_steps": Setting(str, "steps at which the policy 'step' divides the rate by 10, comma-separated"),
    "warmup_steps": Setting(int, "steps over which the rate rises linearly from 0", minimum=0),
    "total_steps": Setting(int, "length of 'cosine' and 'poly'; 0: max_steps, else end_epoch", minimum=0),
    "poly_power": Setting(float, "exponent of the policy 'poly'", minimum=0),
    "wd": Setting(float, "weight decay", minimum=0),
    "mom": Setting(float, "momentum of SGD", minimum=0),
    "optimizer": Setting(str, "who updates the weights", choices=("sgd", "adamw")),
    "per_batch_size": Setting(int, "images a step on each device", minimum=1),
    "accumulate": Setting(int, "batches whose gradients make one step", minimum=1),
    "max_steps": Setting(int, "stop after this many steps; 0: no limit", minimum=0),
    "end_epoch": Setting(int, "stop after this many epochs", minimum=1),
    "precision": Setting(str, "arithmetic of the network", choices=("auto", "float32", "bf16")),
    "seed": Setting(int, "fixes the initial weights, the order of images and the mirroring", minimum=0),
    # What is printed and kept.
    "frequent": Setting(int, "print speed, accuracy and loss every this many batches", minimum=1),
    "verbose": Setting(int, "verify and save every this many batches", minimum=1),
    "ckpt": Setting(int, "0: save no model, 1: when it is the best, 2: always, 3: the best only", choices=(0, 1, 2, 3)),
    "checkpoint_steps": Setting(int, "write the resume state every this many steps; 0: as verbose", minimum=0),
    "ce_loss": Setting(bool, "print the cross-entropy beside the accuracy"),
    "count_flops": Setting(bool, "print the network's FLOPs before training"),
    "models_root": Setting(str, "folder of the trained models"),
    "kvstore": Setting(str, "accepted for old commands; gradients need no key-value store here"),
}

# Keys of the original that have no counterpart, with the value that changes nothing and what to do about another one.
RETIRED: dict[str, tuple[Any, str]] = {
    "workspace": (256, "it sized a buffer of MXNet; delete it"),
    "memonger": (False, "it saved memory in MXNet; lower per_batch_size or raise accumulate"),
    "is_shuffled_rec": (False, "the order of images always comes from the seed; delete it"),
    "fp16": (False, "use precision = 'bf16'"),
    "ckpt_embedding": (True, "a saved model is always the embedding network; the classifier is in the checkpoint"),
    "data_cutoff": (False, "random cut-out is not offered"),
    "data_color": (0, "colour jitter is not offered"),
}


def load_sections() -> ModuleType:
    """The user's ``config.py`` from the project's root; what it does not define is taken from ``sample_config.py``.

    Raises:
        UserError: the file does not load, with its line.
    """
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    sample = importlib.import_module("sample_config")
    try:
        user = importlib.import_module("config")
    except Exception as error:  # whatever a user's file can raise
        line = error.lineno if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)[-1].lineno
        raise UserError(f"config.py, line {line}: {type(error).__name__}: {error}") from None
    merged = ModuleType("configuration sections")
    for name in (*SECTIONS, "default", "config"):
        setattr(merged, name, copy.deepcopy(getattr(user, name, getattr(sample, name))))
    return merged


def _checked(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """``entry`` without harmless retired keys; the first key or value that is wrong is an error naming ``place``."""
    kept = {}
    for key, value in entry.items():
        if key in RETIRED:
            harmless, remedy = RETIRED[key]
            if value != harmless:
                raise UserError(f"{place}.{key} = {value!r}: this setting of the original has no effect here: {remedy}")
            continue
        if key not in SETTINGS:
            nearest = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "see SETTINGS in lwface/settings/configuration.py"
            raise UserError(f"{place}.{key}: unknown key: {hint}")
        problem = SETTINGS[key].problem(value)
        if problem:
            raise UserError(f"{place}.{key} = {value!r}: {problem} ({SETTINGS[key].meaning})")
        kept[key] = value
    return kept


def _network_entry(sections: ModuleType, name: str) -> dict[str, Any]:
    """The settings of network ``name``; a family is also a network of its own name, with its own defaults."""
    if name in sections.network:
        return _checked(sections.network[name], f"network.{name}")
    if name in NETWORKS:
        parameters = inspect.signature(NETWORKS[name]).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        return {"net_name": name, **defaults}
    raise unknown_name("network", name, [*sections.network, *NETWORKS])


def _entry(sections: ModuleType, section: str, name: str) -> dict[str, Any]:
    entries = getattr(sections, section)
    if name not in entries:
        raise unknown_name(section, name, entries)
    return _checked(entries[name], f"{section}.{name}")


def network_settings(name: str) -> EasyDict:
    """The settings with which network ``name`` is built, checked.

    Raises:
        UserError: unknown name, key or value.
    """
    sections = load_sections()
    merged = EasyDict(_checked(sections.config, "config"))
    merged.update(_network_entry(sections, name))
    merged.network = name
    NETWORKS[merged.net_name]  # an unknown family is reported here, with the nearest name
    return merged


def resolve(network: str, dataset: str, loss: str, **overrides: Any) -> EasyDict:
    """The configuration of a run: ``config`` and ``default``, then loss, network, data set, then ``overrides``.

    Args:
        network, dataset, loss: names in the configuration.
        overrides: settings that win over all others, such as those of command-line flags; None means not given.

    Returns:
        One flat EasyDict with a value for every setting that applies. ``dataset_path`` and ``models_root`` are
        absolute: relative ones start at the project's root, except that a ``models_root`` among the overrides starts
        at the current folder, where the user typed it.

    Raises:
        UserError: an unknown name or key, or a value of the wrong type or range, with the nearest valid one.
    """
    sections = load_sections()
    merged = EasyDict(_checked(sections.config, "config"))
    merged.update(_checked(sections.default, "default"))
    merged.update(_entry(sections, "loss", loss))
    merged.update(_network_entry(sections, network))
    merged.update(_entry(sections, "dataset", dataset))
    given = {key: value for key, value in overrides.items() if value is not None}
    merged.update(_checked(given, "command line"))
    merged.update(network=network, dataset=dataset, loss=loss)
    merged.dataset_path = str(_dataset_folder(merged.dataset_path))
    base = Path.cwd() if "models_root" in given else ROOT
    merged.models_root = str((base / Path(merged.models_root).expanduser()).resolve())
    _check_together(merged)
    return merged


def _dataset_folder(path: str) -> Path:
    """``path`` from the project's root, or from ``recognition/``, where the original's ``../datasets/x`` starts."""
    folder = Path(path).expanduser()
    from_root, from_recognition = (ROOT / folder).resolve(), (ROOT / "recognition" / folder).resolve()
    return from_recognition if path.startswith("../") and not from_root.exists() else from_root


def _check_together(merged: EasyDict) -> None:
    """What no single key can show."""
    NETWORKS[merged.net_name]
    LOSSES[merged.loss_name]
    if list(merged.image_shape) != [112, 112, 3]:
        raise UserError(f"image_shape = {merged.image_shape!r}: expected (112, 112, 3), the size of all aligned faces")
    if merged.loss_name == "margin_softmax" and not merged.loss_s > 0:
        raise UserError(f"loss_s = {merged.loss_s!r}: the scale of the cosines must be above 0")
    step_list(merged.lr_steps)


def step_list(text: str) -> list[int]:
    """The steps of ``lr_steps``: positive integers, rising.

    >>> step_list("100,200")
    [100, 200]
    """
    try:
        steps = [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UserError(f"lr_steps = {text!r}: expected integers separated by commas, such as 100000,160000") from None
    if any(step <= 0 for step in steps) or steps != sorted(set(steps)):
        raise UserError(f"lr_steps = {text!r}: expected positive steps in rising order")
    return steps
