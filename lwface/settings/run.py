"""A resolved run: what is trained, on what, and how, as one frozen value.

The fields are the keys of a configuration that any run has; their annotations say what each means and may hold.
``--help`` of the training command reads them here. What networks and losses declare themselves is in ``declared``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from lwface.base.errors import UserError
from lwface.base.setting import Setting, declared

CKPT = "0: save no model, 1: when it is the best, 2: always, 3: the best only"


@dataclass(frozen=True)
class Run:
    """Settings of a run.

    Attributes:
        declared: the keys that network families and losses declare, by name.
        usual_lr: the configuration's rate, where ``lr`` is lower as the run starts from a trained model and nobody
            asked for a rate; None: ``lr`` is what was asked for. Not a key.
    """

    network: Annotated[str, Setting("network, by its name in the configuration")]
    dataset: Annotated[str, Setting("data set, by its name in the configuration, or its folder, such as datasets/mine")]
    loss: Annotated[str, Setting("loss, by its name in the configuration")]
    net_name: Annotated[str, Setting("family of the network: a file of lwface/networks")]
    loss_name: Annotated[str, Setting("kind of loss: a file of lwface/losses")]
    # The data.
    dataset_path: Annotated[
        str, Setting("folder of the data set; a relative one starts at the project's root", changeable=True)
    ]
    num_classes: Annotated[int, Setting("identities; 0: as many as the data set's property file says", minimum=0)]
    image_shape: Annotated[Sequence[int], Setting("height, width, channels")]
    val_targets: Annotated[
        Sequence[str], Setting("verification packs, each <name>.bin in the data set's folder", changeable=True)
    ]
    # The training.
    lr: Annotated[float, Setting("learning rate", minimum=0)]
    wd: Annotated[float, Setting("weight decay", minimum=0)]
    mom: Annotated[float, Setting("momentum of SGD", minimum=0)]
    per_batch_size: Annotated[int, Setting("images of a part of a step: what a device takes at once", minimum=1)]
    lr_steps: Annotated[str, Setting("steps at which the policy 'step' divides the rate by 10, comma-separated")]
    end_epoch: Annotated[int, Setting("stop after this many epochs", minimum=1, changeable=True)]
    models_root: Annotated[str, Setting("folder of the trained models", changeable=True)]
    more_paths: Annotated[
        Sequence[str], Setting("folders of further data sets, which --dataset NAME,NAME names", changeable=True)
    ] = ()
    more_targets: Annotated[
        Sequence[Sequence[str]], Setting("verification packs of each of these, by name", changeable=True)
    ] = ()
    join: Annotated[
        str,
        Setting(
            "of several data sets: names, people of one name are one person; apart, nobody is in two sets; heads, each "
            "set has a head of its own",
            choices=("", "names", "apart", "heads"),
        ),
    ] = ""
    verify_also: Annotated[
        str,
        Setting(
            "packs of what the network could do before, files separated by commas: what it forgets is told",
            changeable=True,
        ),
    ] = ""
    data_rand_mirror: Annotated[bool, Setting("mirror each training image with probability one half")] = True
    augment: Annotated[
        float,
        Setting(
            "what training does to an image beside mirroring it (position, colour, blur, noise, JPEG, resolution, "
            "covers); 1 is usual for rendered faces, 0: nothing",
            minimum=0,
        ),
    ] = 0.0
    data_images_filter: Annotated[int, Setting("leave out identities with fewer images", minimum=0)] = 0
    leave_out: Annotated[str, Setting("list of datasets/clean.py: images to leave out, people to join")] = ""
    data_licence: Annotated[
        str, Setting("licence of the data set, as the model's card is to state it", changeable=True)
    ] = ""
    num_workers: Annotated[
        int, Setting("processes that read and decode images; 0: in the main process", minimum=0, changeable=True)
    ] = 2
    in_memory: Annotated[
        bool,
        Setting(
            "decode all images before the first step and keep them, 37.6 KB each, for a set that fits", changeable=True
        ),
    ] = False
    skip_bad: Annotated[bool, Setting("leave out images that do not decode instead of stopping", changeable=True)] = (
        False
    )
    fc7_lr_mult: Annotated[float, Setting("factor on the classifier's learning rate", minimum=0)] = 1.0
    fc7_wd_mult: Annotated[float, Setting("factor on the classifier's weight decay", minimum=0)] = 1.0
    fc7_chunk: Annotated[
        int,
        Setting(
            "identities whose scores the classifier computes at a time, which bounds its memory; 0: by the device",
            minimum=0,
            changeable=True,
        ),
    ] = 0
    fc7_products: Annotated[
        str,
        Setting(
            "inputs of the classifier's float32 products, as torch.set_float32_matmul_precision names them: medium is "
            "bf16 on a CPU that multiplies it, TF32 on a GPU",
            choices=("highest", "high", "medium"),
        ),
    ] = "highest"
    sample_rate: Annotated[
        float,
        Setting(
            "share of the identities that each step tells apart, beside those of its images (Partial FC)",
            above=0,
            maximum=1,
        ),
    ] = 1.0
    sample_policy: Annotated[
        str,
        Setting(
            "how sample_rate grows to 1 until the part sample_full of the run",
            choices=("constant", "linear", "step"),
        ),
    ] = "constant"
    sample_full: Annotated[
        float, Setting("part of the run after which all identities are told apart", above=0, maximum=1)
    ] = 0.5
    pretrained: Annotated[
        str, Setting("model to start from: PREFIX[,EPOCH], .pth .pt .safetensors .onnx; empty: random", changeable=True)
    ] = ""
    pretrained_pixels: Annotated[
        str, Setting("of an iresnet as .pth: MEAN/DIVISOR[,BGR] it takes; empty: arcface_torch's", changeable=True)
    ] = ""
    pretrained_epsilon: Annotated[
        float, Setting("of an iresnet as .pth: of its batch norms; 0: arcface_torch's 1e-5", minimum=0, changeable=True)
    ] = 0.0
    pretrained_epoch: Annotated[int, Setting("epoch of the model to start from", minimum=0, changeable=True)] = 1
    # A teacher.
    teacher: Annotated[
        Sequence[str],
        Setting("models to learn from, as --model takes them, or feature files of the data set", changeable=True),
    ] = ()
    teacher_cache: Annotated[
        str, Setting("folder of the teachers' features; empty: teachers/ in the folder of the models", changeable=True)
    ] = ""
    distill: Annotated[
        str, Setting("how to learn from them: a file of lwface/losses/distillation; empty: the best one measured")
    ] = ""
    distill_weight: Annotated[float, Setting("weight of the teacher's loss; 0: the method's own", minimum=0)] = 0.0
    identity_weight: Annotated[
        float, Setting("weight of the loss of identities beside a teacher; 0: the teacher alone", minimum=0)
    ] = 1.0
    distill_rounds: Annotated[
        int, Setting("runs, each but the first begun with the student of the one before (recursive)", minimum=1)
    ] = 1
    # Finetuning: what is kept of the start.
    head_start: Annotated[
        str,
        Setting(
            "where the classifier's centres begin: mean, at each person's mean embedding; random; auto: mean where "
            "--pretrained gives the network",
            choices=("auto", "mean", "random"),
            changeable=True,
        ),
    ] = "auto"
    head_warmup_steps: Annotated[
        int, Setting("steps in which the classifier learns alone, the network as it is in use", minimum=0)
    ] = 0
    backbone_lr_mult: Annotated[float, Setting("factor on the network's learning rate", minimum=0)] = 1.0
    freeze: Annotated[
        str,
        Setting(
            "parts of the network that stay as they are, comma-separated, such as body.conv_1; ..NAME: all up to that "
            "one; all: the network"
        ),
    ] = ""
    freeze_bn: Annotated[
        bool, Setting("batch norms keep their running statistics, and train with them as they are used")
    ] = False
    start_share: Annotated[
        float,
        Setting(
            "share of the weights that --pretrained gave in the model that is verified and saved (WiSE-FT)",
            minimum=0,
            maximum=1,
        ),
    ] = 0.0
    lr_policy: Annotated[str, Setting("how the learning rate falls", choices=("step", "cosine", "poly"))] = "step"
    warmup_steps: Annotated[int, Setting("steps over which the rate rises linearly from 0", minimum=0)] = 0
    margin_warmup_steps: Annotated[
        int, Setting("steps over which the loss's margin rises linearly from none to its own", minimum=0)
    ] = 0
    total_steps: Annotated[int, Setting("length of 'cosine' and 'poly'; 0: max_steps, else end_epoch", minimum=0)] = 0
    poly_power: Annotated[float, Setting("exponent of the policy 'poly'", minimum=0)] = 2.0
    optimizer: Annotated[str, Setting("who updates the weights", choices=("sgd", "adamw"))] = "sgd"
    clip_norm: Annotated[
        float, Setting("norm that the network's gradient is scaled down to where it is longer; 0: never", minimum=0)
    ] = 0.0
    ema: Annotated[
        float,
        Setting(
            "decay of a moving average of the weights, verified and saved in their place; 0: none",
            minimum=0,
            maximum=0.99999,
        ),
    ] = 0.0
    accumulate: Annotated[int, Setting("parts of a step that each process computes one after the other", minimum=1)] = 1
    max_steps: Annotated[int, Setting("stop after this many steps; 0: no limit", minimum=0, changeable=True)] = 0
    precision: Annotated[str, Setting("arithmetic of the network", choices=("auto", "float32", "bf16"))] = "auto"
    deterministic: Annotated[
        bool, Setting("compute the same each time, to the bit, be it slower; refuse what cannot be", changeable=True)
    ] = False
    nonfinite_limit: Annotated[
        int,
        Setting(
            "steps in a row left out as not finite, before the run stops; 0: at the first", minimum=0, changeable=True
        ),
    ] = 10
    seed: Annotated[int, Setting("fixes the initial weights, the order of images and the mirroring", minimum=0)] = 0
    # What is printed and kept.
    frequent: Annotated[
        int, Setting("print speed, accuracy and loss every this many batches", minimum=1, changeable=True)
    ] = 20
    verbose: Annotated[int, Setting("verify and save every this many batches", minimum=1, changeable=True)] = 2000
    ckpt: Annotated[
        int,
        Setting(
            "0: save no model, 1: when it is the best, 2: always, 3: the best only",
            choices=(0, 1, 2, 3),
            changeable=True,
        ),
    ] = 3
    checkpoint_steps: Annotated[
        int, Setting("write the resume state every this many steps; 0: as verbose", minimum=0, changeable=True)
    ] = 0
    ce_loss: Annotated[bool, Setting("print the cross-entropy beside the accuracy", changeable=True)] = True
    count_flops: Annotated[bool, Setting("print the network's FLOPs before training", changeable=True)] = True
    kvstore: Annotated[
        str, Setting("accepted for old commands; gradients need no key-value store here", changeable=True)
    ] = "device"
    declared: Mapping[str, Any] = field(default_factory=dict)
    usual_lr: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """All keys in one flat dictionary, as a configuration has them and a model keeps them."""
        own = {name: getattr(self, name) for name in RUN_SETTINGS}
        return {**self.declared, **own}

    def replace(self, **changes: Any) -> Run:
        """The same run with other values."""
        return dataclasses.replace(self, **changes)


RUN_SETTINGS: dict[str, Setting] = declared(Run)
RUN_DEFAULTS: dict[str, Any] = {  # of the keys that a configuration may leave out
    each.name: each.default
    for each in dataclasses.fields(Run)
    if each.name in RUN_SETTINGS and each.default is not dataclasses.MISSING
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
