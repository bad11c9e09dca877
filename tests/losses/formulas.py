"""Every loss with a weight of classes, under the name that users type, as a formula in plain float64 loops."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from lwface.losses import LOSSES, Classifier, Margin, create_margin
from lwface.settings.sections import load_sections

S = 6.0  # scale: with 64 all but one class would have no gradient to compare
WIDTH = 3
LABELS = [4, 0, 2, 2, 1, 0, 4, 2]  # of a batch; nobody is of class 3, nor of those from 5 on
NORMS = [3.0, 20, 40, 60, 150, 25, 12, 90]  # on both sides of all bounds


class Batch(NamedTuple):
    """What a formula has of a batch: scores (N, C) with all classes, norms (N,) of embeddings, normal draws (N,)."""

    scores: list[list[float]]
    norms: list[float]
    draws: list[float]

    def own(self) -> list[float]:
        return [row[label] for row, label in zip(self.scores, LABELS, strict=True)]


Form = Callable[[Batch, Batch, int, int], float]  # (batch, the same where nothing has a gradient, row, class)


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def arc_or_line(cosine: float, m: float) -> float:
    theta = math.acos(cosine)
    return math.cos(theta + m) if theta < math.pi - m else cosine - m * math.sin(m)


def margin(m1: float, m2: float, m3: float, monotonic: bool = False) -> Form:
    def form(batch, fixed, i, j):
        cosine = batch.scores[i][j]
        if j != LABELS[i]:
            return cosine
        phi = m1 * math.acos(cosine) + m2
        k = int(phi / math.pi) if monotonic else 0
        return (-1) ** k * math.cos(phi) - 2 * k - m3

    return form


def filtered(batch, fixed, i, j):
    cosine = batch.scores[i][j]
    return cosine - 0.4 if j == LABELS[i] else 0.0 if cosine > 0.4 else cosine


def adaface(batch, fixed, i, j):
    cosine = batch.scores[i][j]
    if j != LABELS[i]:
        return cosine
    norms = [clip(norm, 0.001, 100) for norm in fixed.norms]
    mean = 0.99 * 20 + 0.01 * statistics.fmean(norms)
    std = 0.99 * 100 + 0.01 * statistics.stdev(norms)
    z = clip((norms[i] - mean) / (std + 1e-3) * 0.333, -1, 1)
    return math.cos(clip(math.acos(cosine) - 0.4 * z, 1e-3, math.pi - 1e-3)) - 0.4 * (1 + z)


def magface(batch, fixed, i, j):
    cosine, a = batch.scores[i][j], clip(batch.norms[i], 10, 110)
    if j != LABELS[i] or cosine <= 0:
        return cosine
    return math.cos(math.acos(cosine) + 0.45 + (0.8 - 0.45) * (a - 10) / 100)


def magface_penalty(batch, i):
    a = clip(batch.norms[i], 10, 110)
    return 35 * (1 / a + a / 110**2)


def curricular(batch, fixed, i, j):
    cosine = batch.scores[i][j]
    if j == LABELS[i]:
        return arc_or_line(cosine, 0.5)
    if fixed.scores[i][j] > math.cos(math.acos(fixed.own()[i]) + 0.5):
        return cosine * (0.01 * statistics.fmean(fixed.own()) + cosine)
    return cosine


def arcnegface(batch, fixed, i, j):
    cosine = batch.scores[i][j]
    if j == LABELS[i]:
        return arc_or_line(cosine, 0.5)
    t = 1.2 * math.exp(-((fixed.scores[i][j] - arc_or_line(fixed.own()[i], 0.5)) ** 2) / 2)
    return t * cosine + t - 1


def liarc(batch, fixed, i, j):
    return (math.pi - 2 * (math.acos(batch.scores[i][j]) + 0.45 * (j == LABELS[i]))) / math.pi


def elastic(m: float, sigma: float, plus: bool, arc: bool) -> Form:
    def form(batch, fixed, i, j):
        cosine = batch.scores[i][j]
        if j != LABELS[i]:
            return cosine
        drawn = [m + sigma * z for z in batch.draws]
        if plus:  # the k-th largest cosine has the k-th smallest margin
            own = fixed.own()
            drawn = [sorted(drawn)[sum(other > own[r] for other in own)] for r in range(len(own))]
        return math.cos(math.acos(cosine) + drawn[i]) if arc else cosine - drawn[i]

    return form


def unchanged(batch, fixed, i, j):
    return batch.scores[i][j]


def half_turns(batch, i):
    return math.acos(batch.own()[i]) / math.pi


class Learning(Margin):
    """What no loss here does: other classes' scores by a state and, with its gradient, by the own score; all terms."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = S
        self.register_buffer("mean", torch.ones((), dtype=torch.float64))

    def own(self, score, norms):
        if self.training:
            self.mean.copy_(0.5 * self.mean + 0.5 * norms.detach().mean())
        return score - 0.1 * norms / self.mean

    def others(self, scores, own):
        harder = scores * (1 + 0.01 * self.mean) + 0.3 * own[:, None].square()
        return torch.where(scores > own[:, None] - 0.1, harder, scores)

    def penalty(self, norms):
        return 0.01 / norms

    def pull(self, own):
        return 0.1 * (1 - own).square()


def learning(batch, fixed, i, j):
    mean, score, own = 0.5 + 0.5 * statistics.fmean(fixed.norms), batch.scores[i][j], batch.own()[i]
    if j == LABELS[i]:
        return score - 0.1 * batch.norms[i] / mean
    harder = score * (1 + 0.01 * mean) + 0.3 * own**2
    return harder if fixed.scores[i][j] > fixed.own()[i] - 0.1 else score


def learning_terms(batch, i):
    return 0.01 / batch.norms[i] + 0.1 * (1 - batch.own()[i]) ** 2


def nothing(batch, i):
    return 0.0


NAIVE: dict[str, tuple[Form, Callable[[Batch, int], float]]] = {  # logits without scale, and what is added to the loss
    "softmax": (unchanged, nothing),
    "nsoftmax": (unchanged, nothing),
    "nsoftmax_centre": (unchanged, half_turns),
    "arcface": (margin(1, 0.5, 0), nothing),
    "arcface_small": (margin(1, 0.2, 0, monotonic=True), nothing),
    "cosface": (margin(1, 0, 0.35), nothing),
    "cosface_filter": (filtered, nothing),
    "combined": (margin(1, 0.3, 0.2), nothing),
    "subcenter": (margin(1, 0.5, 0), nothing),
    "adaface": (adaface, nothing),
    "magface": (magface, magface_penalty),
    "curricular": (curricular, nothing),
    "arcnegface": (arcnegface, nothing),
    "liarc": (liarc, nothing),
    "elastic": (elastic(0.5, 0.05, False, True), nothing),
    "elastic_plus": (elastic(0.5, 0.0175, True, True), nothing),
    "elastic_cos": (elastic(0.35, 0.05, False, False), nothing),
    "elastic_cos_plus": (elastic(0.35, 0.02, True, False), nothing),
    "sphere-like": (margin(1.35, 0.1, 0.05), nothing),  # from here on no entries of sample_config.py
    "learning": (learning, learning_terms),
}


# What is registered without a formula here has at least its own margin, on all scores at once and left to autograd.
ENTRIES = load_sections().loss
KINDS = {ENTRIES[name]["loss_name"] for name in NAIVE if name in ENTRIES}
NAMES = [*NAIVE, *(name for name in LOSSES if issubclass(LOSSES[name], Margin) and name not in KINDS)]


class Case(NamedTuple):
    """A loss, and how the classifier computes it."""

    name: str
    classes: int
    chunk: int
    rate: float


def cases(name: str) -> list[Case]:
    """Uneven shards: 5 classes of 4 processes are 2, 2, 1 and none; 9 are 3, 3, 3 and none, of 2 they are 5 and 4."""
    return [Case(name, *how) for how in ((5, 0, 1.0), (5, 1, 1.0), (9, 0, 0.4), (9, 2, 0.4))]


def entry(name: str) -> dict:
    """The settings that ``--loss name`` has."""
    if name == "sphere-like":
        return {"loss_name": "margin_softmax", "loss_m1": 1.35, "loss_m2": 0.1, "loss_m3": 0.05}
    return dict(ENTRIES.get(name, {"loss_name": name}))


def margin_of(name: str) -> Margin:
    """With a scale at which all classes matter."""
    return Learning() if name == "learning" else create_margin({**entry(name), "loss_s": S})


def classifier_of(case: Case, group=None) -> Classifier:
    """In double precision, with weights of the size of trained ones, and biases that differ."""
    torch.manual_seed(9)
    made = Classifier(margin_of(case.name), case.classes, WIDTH, chunk=case.chunk, group=group).double()
    with torch.no_grad():
        made.weight *= 100
        if made.bias is not None:
            made.bias.copy_(torch.arange(made.shard.start, made.shard.stop) / 7)
    return made


def batch_of(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings (N, D) whose scores and norms are spread over all cases of all formulas, and labels (N,)."""
    weight = classifier_of(case).weight.detach().view(case.classes, -1, WIDTH)[:, 0]  # (C, D)
    x = torch.randn(len(LABELS), WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(11))
    x[1] = -weight[LABELS[1]] + 0.1 * x[1]  # theta beyond pi - m
    x[2] = weight[LABELS[2]] + 0.1 * x[2]  # theta near 0
    x *= (torch.tensor(NORMS, dtype=torch.float64) / x.norm(dim=1))[:, None]
    return x / 20 if case.name == "softmax" else x, torch.tensor(LABELS)


def scores_of(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, draws: list[float]) -> Batch:
    """Of embeddings (N, D) with classes (C, centres, D): cosines, or what a bias (C,) is added to."""
    norms = [math.sqrt(sum(value**2 for value in row)) for row in x.tolist()]
    classes, scores = w.tolist(), []
    lengths = [[math.sqrt(sum(a * a for a in centre) + 1e-10) for centre in centres] for centres in classes]
    for row in x.tolist():
        found = [[sum(a * b for a, b in zip(row, centre, strict=True)) for centre in centres] for centres in classes]
        if bias is not None:
            scores.append([value[0] + b for value, b in zip(found, bias.tolist(), strict=True)])
            continue
        length = math.sqrt(sum(a * a for a in row) + 1e-10)
        pairs = zip(found, lengths, strict=True)
        scores.append([max(v / length / n for v, n in zip(*pair, strict=True)) for pair in pairs])
    return Batch(scores, norms, draws)


def logits_of(name: str, batch: Batch, fixed: Batch, i: int, taken: list[int]) -> dict[int, float]:
    """By class, of those in ``taken``."""
    scale = 1.0 if name == "softmax" else S
    return {j: scale * NAIVE[name][0](batch, fixed, i, j) for j in taken}


def naive_loss(name: str, batch: Batch, fixed: Batch, taken: list[int]) -> float:
    losses = []
    for i, label in enumerate(LABELS):
        logits = logits_of(name, batch, fixed, i, taken)
        losses.append(math.log(sum(map(math.exp, logits.values()))) - logits[label] + NAIVE[name][1](batch, i))
    return sum(losses) / len(losses)


def slopes(value: Callable[[np.ndarray], float], at: np.ndarray, rows: Sequence[int] | None = None) -> np.ndarray:
    """Central differences of ``value`` at ``at``; 0 in rows that are not among ``rows``."""
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        if rows is not None and index[0] not in rows:
            continue
        moved = []
        for step in (1e-6, -1e-6):
            changed = at.copy()
            changed[index] += step
            moved.append(value(changed))
        found[index] = (moved[0] - moved[1]) / 2e-6
    return found


class Expected(NamedTuple):
    """What a case must give, whatever the blocks and the number of processes."""

    sample: torch.Tensor | None
    loss: float
    correct: int
    embeddings: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None


def plain(
    classifier: Classifier, embeddings: torch.Tensor, taken: torch.Tensor, seed: int, share: float = 1.0
) -> tuple:
    """Loss, rows told rightly, and gradients of all three, with that share of the margin on all scores at once."""
    margin, weight, bias, x = classifier.margin, classifier.weight, classifier.bias, embeddings.requires_grad_()
    rows = weight.flatten(0, -2)
    if margin.cosine:
        lengths = [(each.square().sum(1, keepdim=True) + 1e-10).sqrt() for each in (x, rows)]
        scores = (x / lengths[0]) @ (rows / lengths[1]).T
    else:
        scores = x @ rows.T + (0 if bias is None else bias)
    scores = scores.unflatten(1, (-1, margin.centres)).amax(2)
    labels = torch.tensor(LABELS)
    own, norms = scores[range(len(labels)), labels], x.norm(dim=1)
    torch.manual_seed(seed)
    with_margin = margin.own(own, norms)
    others = margin.others(scores, own)
    with_margin, others = own + share * (with_margin - own), scores + share * (others - scores)
    logits = margin.scale * torch.where(functional.one_hot(labels, len(taken)) == 1, with_margin[:, None], others)
    logits = logits.masked_fill(~taken, -torch.inf)
    loss = functional.cross_entropy(logits, labels)
    for term in (margin.penalty(norms), margin.pull(own)):
        loss = loss if term is None else loss + term.mean()
    loss.backward()
    gradients = [None if tensor is None else tensor.grad.numpy() for tensor in (x, weight, bias)]
    return loss.item(), int((logits.argmax(1) == labels).sum()), *gradients


def expected_of(case: Case) -> Expected:
    """By the formula and its differences; what was drawn by the generator's seed 0 is drawn again."""
    classifier, (embeddings, _) = classifier_of(case), batch_of(case)
    generator = torch.Generator().manual_seed(0)
    taken = torch.ones(case.classes, dtype=torch.bool)
    if case.rate < 1:
        taken = torch.rand(case.classes, generator=generator) < case.rate
        taken[LABELS] = True
    seed = int(torch.randint(1 << 62, (), generator=generator))
    draws = torch.randn(len(LABELS), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = taken.nonzero().squeeze(1)
    x, w = embeddings.numpy(), classifier.weight.detach().view(case.classes, -1, WIDTH).numpy()
    b = None if classifier.bias is None else classifier.bias.detach().numpy()
    sample = chosen if case.rate < 1 else None
    if case.name not in NAIVE:
        return Expected(sample, *plain(classifier, embeddings, taken, seed))
    fixed = scores_of(x, w, b, draws)

    def loss(x, w, b):
        return naive_loss(case.name, scores_of(x, w, b, draws), fixed, chosen.tolist())

    rows = [logits_of(case.name, fixed, fixed, i, chosen.tolist()) for i in range(len(LABELS))]
    return Expected(
        sample=sample,
        loss=loss(x, w, b),
        correct=sum(max(row, key=row.get) == label for row, label in zip(rows, LABELS, strict=True)),
        embeddings=slopes(lambda moved: loss(moved, w, b), x),
        weight=slopes(lambda moved: loss(x, moved, b), w, chosen.tolist()).reshape(classifier.weight.shape),
        bias=None if b is None else slopes(lambda moved: loss(x, w, moved), b, chosen.tolist()),
    )
