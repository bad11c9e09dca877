"""Every loss, under the name that users type, against its formula in float64 loops; and what any loss must stand."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.losses import LOSSES, Margin, create_classifier, create_margin
from lwface.settings.sections import load_sections

S = 6.0  # scale: with 64 all but one class would have no gradient to compare
ROWS, WIDTH, CLASSES = 6, 3, 5
LABELS = [4, 0, 2, 2, 1, 0]


class Batch(NamedTuple):
    """Cosines (or scores) of a batch with all classes, as lists; ``norms`` are those of the embeddings."""

    cosines: list[list[float]]
    norms: list[float]

    def own(self) -> list[float]:
        return [row[label] for row, label in zip(self.cosines, LABELS, strict=True)]


Form = Callable[[Batch, Batch, int, int], float]  # (batch, the same where nothing has a gradient, row, class)


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def arc_or_line(cosine: float, m: float) -> float:
    theta = math.acos(cosine)
    return math.cos(theta + m) if theta < math.pi - m else cosine - m * math.sin(m)


def margin(m1: float, m2: float, m3: float) -> Form:
    def form(batch, fixed, i, j):
        cosine = batch.cosines[i][j]
        return math.cos(m1 * math.acos(cosine) + m2) - m3 if j == LABELS[i] else cosine

    return form


def filtered(batch, fixed, i, j):
    cosine = batch.cosines[i][j]
    return cosine - 0.4 if j == LABELS[i] else 0.0 if cosine > 0.4 else cosine


def adaface(batch, fixed, i, j):
    cosine = batch.cosines[i][j]
    if j != LABELS[i]:
        return cosine
    norms = [clip(norm, 0.001, 100) for norm in fixed.norms]
    mean = 0.99 * 20 + 0.01 * statistics.fmean(norms)
    std = 0.99 * 100 + 0.01 * statistics.stdev(norms)
    z = clip((norms[i] - mean) / (std + 1e-3) * 0.333, -1, 1)
    return math.cos(clip(math.acos(cosine) - 0.4 * z, 1e-3, math.pi - 1e-3)) - 0.4 * (1 + z)


def magface(batch, fixed, i, j):
    cosine, a = batch.cosines[i][j], clip(batch.norms[i], 10, 110)
    if j != LABELS[i] or cosine <= 0:
        return cosine
    return math.cos(math.acos(cosine) + 0.45 + (0.8 - 0.45) * (a - 10) / 100)


def magface_penalty(batch, i):
    a = clip(batch.norms[i], 10, 110)
    return 35 * (1 / a + a / 110**2)


def curricular(batch, fixed, i, j):
    cosine = batch.cosines[i][j]
    if j == LABELS[i]:
        return arc_or_line(cosine, 0.5)
    if fixed.cosines[i][j] > math.cos(math.acos(fixed.own()[i]) + 0.5):
        return cosine * (0.01 * statistics.fmean(fixed.own()) + cosine)
    return cosine


def arcnegface(batch, fixed, i, j):
    cosine = batch.cosines[i][j]
    if j == LABELS[i]:
        return arc_or_line(cosine, 0.5)
    t = 1.2 * math.exp(-((fixed.cosines[i][j] - arc_or_line(fixed.own()[i], 0.5)) ** 2) / 2)
    return t * cosine + t - 1


def liarc(batch, fixed, i, j):
    return (math.pi - 2 * (math.acos(batch.cosines[i][j]) + 0.45 * (j == LABELS[i]))) / math.pi


def elastic(m: float, sigma: float, plus: bool, arc: bool) -> Form:
    def form(batch, fixed, i, j):
        cosine = batch.cosines[i][j]
        if j != LABELS[i]:
            return cosine
        drawn = [m + sigma * z for z in np.random.default_rng((77, 0)).standard_normal(ROWS)]
        if plus:  # the k-th largest cosine has the k-th smallest margin
            own = fixed.own()
            drawn = [sorted(drawn)[sum(other > own[r] for other in own)] for r in range(ROWS)]
        return math.cos(math.acos(cosine) + drawn[i]) if arc else cosine - drawn[i]

    return form


def softmax(batch, fixed, i, j):
    return batch.cosines[i][j]


def half_turns(batch, i):
    return math.acos(batch.own()[i]) / math.pi


NAIVE: dict[str, tuple[Form, Callable[[Batch, int], float]]] = {
    "softmax": (softmax, lambda *_: 0),
    "nsoftmax": (margin(1, 0, 0), lambda *_: 0),
    "nsoftmax_centre": (margin(1, 0, 0), half_turns),
    "arcface": (margin(1, 0.5, 0), lambda *_: 0),
    "cosface": (margin(1, 0, 0.35), lambda *_: 0),
    "cosface_filter": (filtered, lambda *_: 0),
    "combined": (margin(1, 0.3, 0.2), lambda *_: 0),
    "subcenter": (margin(1, 0.5, 0), lambda *_: 0),
    "adaface": (adaface, lambda *_: 0),
    "magface": (magface, magface_penalty),
    "curricular": (curricular, lambda *_: 0),
    "arcnegface": (arcnegface, lambda *_: 0),
    "liarc": (liarc, lambda *_: 0),
    "elastic": (elastic(0.5, 0.05, False, True), lambda *_: 0),
    "elastic_plus": (elastic(0.5, 0.0175, True, True), lambda *_: 0),
    "elastic_cos": (elastic(0.35, 0.05, False, False), lambda *_: 0),
    "elastic_cos_plus": (elastic(0.35, 0.02, True, False), lambda *_: 0),
}


def scores_of(name: str, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> Batch:
    norms = [math.sqrt(sum(value**2 for value in row)) for row in x.tolist()]
    rows = []
    for row in x.tolist():
        found = [sum(a * b for a, b in zip(row, weight, strict=True)) for weight in w.tolist()]
        if bias is not None:
            rows.append([value + b for value, b in zip(found, bias.tolist(), strict=True)])
            continue
        lengths = [math.sqrt(sum(a * a for a in weight) + 1e-10) for weight in w.tolist()]
        length = math.sqrt(sum(a * a for a in row) + 1e-10)
        cosines = [value / length / other for value, other in zip(found, lengths, strict=True)]
        k = len(cosines) // CLASSES
        rows.append([max(cosines[c * k : (c + 1) * k]) for c in range(CLASSES)])
    return Batch(rows, norms)


def naive(name: str, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, fixed: Batch) -> float:
    form, extra = NAIVE[name]
    scale = 1.0 if name == "softmax" else S
    batch, losses = scores_of(name, x, w, bias), []
    for i in range(ROWS):
        logits = [scale * form(batch, fixed, i, j) for j in range(CLASSES)]
        losses.append(math.log(sum(map(math.exp, logits))) - logits[LABELS[i]] + extra(batch, i))
    return sum(losses) / ROWS


def slopes(value: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central differences of ``value`` at ``at``."""
    found = np.empty_like(at)
    for index in np.ndindex(at.shape):
        moved = []
        for step in (1e-6, -1e-6):
            changed = at.copy()
            changed[index] += step
            moved.append(value(changed))
        found[index] = (moved[0] - moved[1]) / 2e-6
    return found


def entry(name: str) -> dict:
    """The settings that ``--loss name`` has."""
    return dict(load_sections().entry("loss", name))


def rows_of(weight: torch.Tensor) -> np.ndarray:
    """A copy of the centres' rows (classes * centres, width), those of a class beside each other."""
    return weight.detach().numpy().copy().reshape(-1, weight.shape[-1])


def prepared(name: str) -> tuple[nn.Module, np.ndarray]:
    """A classifier and embeddings whose cosines and norms are spread over all cases of all formulas."""
    config = entry(name)
    classifier = create_classifier({**config, "loss_s": S}, CLASSES, WIDTH).double()
    random = np.random.default_rng(11)
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(random.normal(size=tuple(classifier.weight.shape))))
        if classifier.bias is not None:
            classifier.bias.copy_(torch.arange(float(CLASSES)))
    w = rows_of(classifier.weight)[:: classifier.margin.centres]
    x = random.normal(size=(ROWS, WIDTH))
    x[1] = -w[LABELS[1]] + 0.1 * x[1]  # theta beyond pi - m
    x[2] = w[LABELS[2]] + 0.1 * x[2]  # theta near 0
    x *= (np.array([3.0, 20, 40, 60, 150, 25]) / np.linalg.norm(x, axis=1))[:, None]
    if name == "softmax":
        x /= 20
    return classifier, x


@pytest.mark.parametrize("name", NAIVE)
def test_value_and_gradient_are_the_formulas(name):
    classifier, x = prepared(name)
    if name.startswith("elastic"):
        classifier.margin.set_extra_state(torch.tensor([77, 0]))
    w = rows_of(classifier.weight)
    bias = None if classifier.bias is None else classifier.bias.detach().numpy().copy()
    fixed = scores_of(name, x, w, bias)
    embeddings = torch.from_numpy(x.copy()).requires_grad_()
    found = classifier(embeddings, torch.tensor(LABELS))
    found.loss.backward()
    assert found.loss.item() == pytest.approx(naive(name, x, w, bias, fixed), rel=1e-10)
    for got, expected in (
        (embeddings.grad.numpy(), slopes(lambda moved: naive(name, moved, w, bias, fixed), x)),
        (rows_of(classifier.weight.grad), slopes(lambda moved: naive(name, x, moved, bias, fixed), w)),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=2e-8)
        assert np.abs(expected).max() > 1e-3
    form = NAIVE[name][0]
    rows = [[form(fixed, fixed, i, j) for j in range(CLASSES)] for i in range(ROWS)]
    assert found.correct == sum(np.argmax(row) == label for row, label in zip(rows, LABELS, strict=True))


@pytest.mark.parametrize("name", ["triplet", "atriplet"])
def test_triplets_are_the_formulas(name):
    loss, random = create_classifier(entry(name), CLASSES, WIDTH), np.random.default_rng(3)
    x, labels = random.normal(size=(12, WIDTH)), torch.tensor([0, 1, 2, 0, 0, 1, 2, 2, 1, 2, 0, 0])
    alpha = {"triplet": 0.3, "atriplet": 0.35}[name]
    x[8] = 0.3 - x[0]  # far away: this one keeps the margin

    def naive_triplets(x):
        rows = [[value / math.sqrt(sum(v * v for v in row) + 1e-10) for value in row] for row in x.tolist()]
        found = []
        for a, p, n in zip(rows[:4], rows[4:8], rows[8:], strict=True):
            if name == "triplet":
                near, far = (sum((u - v) ** 2 for u, v in zip(a, other, strict=True)) for other in (p, n))
            else:
                near, far = (math.acos(sum(u * v for u, v in zip(a, other, strict=True))) for other in (p, n))
            found.append(max(near - far + alpha, 0))
        found[3] = 0  # its positive is of somebody else
        return found

    embeddings = torch.from_numpy(x.copy()).requires_grad_()
    found = loss(embeddings, labels)
    found.loss.backward()
    expected = naive_triplets(x)
    assert 0 < sum(value > 0 for value in expected) < 3
    assert found.loss.item() == pytest.approx(sum(expected) / 4, rel=1e-9)
    assert found.correct == 3 * sum(value == 0 for value in expected)
    np.testing.assert_allclose(
        embeddings.grad.numpy(), slopes(lambda moved: sum(naive_triplets(moved)) / 4, x), rtol=1e-6, atol=1e-9
    )
    with pytest.raises(UserError, match="a batch of 11 images is no number of triplets"):
        loss(embeddings[:11], labels[:11])


# From here on: what any loss must stand, over the registry.


def built(name: str, classes: int = CLASSES) -> nn.Module:
    return create_classifier({"loss_name": name}, classes, 8)


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_ends_are_finite(name):
    """Cosines of 1, -1 and 0 with the own class, images twice in a batch, a row of zeros; float32."""
    torch.manual_seed(1)
    classifier = built(name)
    rows = torch.eye(8)
    if hasattr(classifier, "weight"):
        rows = torch.from_numpy(rows_of(classifier.weight)[:: classifier.margin.centres])
    x = torch.stack([rows[0], -rows[1], rows[2], rows[2] * 1e4, torch.zeros(8), rows[0]]).requires_grad_()
    for labels in ([0, 1, 2, 2, 3, 4], [0, 0, 0, 0, 1, 1]):
        x.grad = None
        loss = classifier(x, torch.tensor(labels)).loss
        loss.backward()
        for tensor in (loss, x.grad, *(parameter.grad for parameter in classifier.parameters())):
            assert torch.isfinite(tensor).all()
    assert all(torch.isfinite(tensor).all() for tensor in classifier.state_dict().values())


@pytest.mark.parametrize("name", [name for name in LOSSES if issubclass(LOSSES[name], Margin)])
def test_a_single_image_and_a_single_class(name):
    torch.manual_seed(1)
    classifier, x = built(name, 2), torch.randn(1, 8, requires_grad=True)
    for _ in range(3):
        classifier(x, torch.tensor([1])).loss.backward()
        assert torch.isfinite(x.grad).all()
        assert x.grad.abs().max() > 0
    assert all(torch.isfinite(tensor).all() for tensor in classifier.state_dict().values())
    with pytest.raises(UserError, match="at least 2 identities"):
        built(name, 1)


@pytest.mark.parametrize("name", [name for name in LOSSES if issubclass(LOSSES[name], Margin)])
def test_some_of_the_classes_are_treated_as_in_the_whole_row(name):
    torch.manual_seed(1)
    margin = create_margin({"loss_name": name}).double()
    own, norms = torch.rand(4, dtype=torch.float64) * 2 - 1, torch.rand(4, dtype=torch.float64) * 50
    scores = torch.rand(4, 9 * margin.centres, dtype=torch.float64) * 2 - 1
    margin.own(own, norms)  # brings a state up to date
    state = {key: value.clone() for key, value in margin.state_dict().items()}
    whole = margin.others(margin.of_classes(scores), own)
    cuts = (range(2), range(2, 3), range(3, 9))
    parts = [scores.unflatten(1, (9, -1))[:, list(cut)].flatten(1) for cut in cuts]
    assert torch.equal(torch.cat([margin.others(margin.of_classes(part), own) for part in parts], dim=1), whole)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(margin.others(margin.of_classes(scores)[order], own[order]), whole[order])
    margin.eval()
    assert torch.equal(margin.own(own[order], norms[order]), margin.own(own, norms)[order])
    assert all(torch.equal(value, state[key]) for key, value in margin.state_dict().items())


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_state_goes_on_where_it_was_saved(name):
    torch.manual_seed(1)
    one, other = built(name), built(name)
    batches = [(torch.randn(6, 8) * 9, torch.randint(CLASSES, (6,))) for _ in range(4)]
    for x, labels in batches[:2]:
        one(x, labels)
    other.load_state_dict(one.state_dict())
    for x, labels in batches[2:]:
        assert torch.equal(one(x, labels).loss, other(x, labels).loss)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_running_means_are_the_formulas():
    margin, norms = create_margin({"loss_name": "adaface", "loss_t_alpha": 0.25}), [4.0, 8.0, 150.0]
    margin.own(torch.zeros(3), torch.tensor(norms))
    assert margin.mean.item() == pytest.approx(0.75 * 20 + 0.25 * statistics.fmean([4, 8, 100]))
    assert margin.std.item() == pytest.approx(0.75 * 100 + 0.25 * statistics.stdev([4, 8, 100]))
    before = margin.std.item()
    margin.own(torch.zeros(1), torch.tensor([50.0]))
    assert margin.std.item() == before  # of one norm there is none
    margin = create_margin({"loss_name": "curricular", "loss_t_alpha": 0.25})
    margin.own(torch.tensor([0.2, 0.6]), torch.ones(2))
    margin.own(torch.tensor([1.0, 1.0]), torch.ones(2))
    assert margin.t.item() == pytest.approx(0.75 * 0.25 * 0.4 + 0.25)


def test_elastic_margins_are_normal_and_each_batch_has_its_own():
    margin = create_margin({"loss_name": "elastic", "loss_m": 0.4, "loss_sigma": 0.1})
    draws = [margin.margins(torch.zeros(2000)) for _ in range(2)]
    assert not torch.equal(*draws)
    for drawn in draws:
        assert drawn.mean().item() == pytest.approx(0.4, abs=0.01)
        assert drawn.std().item() == pytest.approx(0.1, abs=0.01)
    plus = create_margin({"loss_name": "elastic", "loss_plus": True})
    score = torch.tensor([0.3, 0.9, -0.2, 0.5])
    assert plus.margins(score).argsort(descending=True).tolist() == score.argsort().tolist()


def test_settings_that_do_not_go_together():
    with pytest.raises(UserError, match=r"norms from loss_l_a = 10.0 to loss_u_a = 5.0: the second must be larger"):
        create_margin({"loss_name": "magface", "loss_u_a": 5.0})
    with pytest.raises(UserError, match="the loss triplet has no classes"):
        create_margin({"loss_name": "triplet"})
