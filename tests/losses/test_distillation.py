"""Every way to distil against its formula in plain float64 loops: value, and gradient by central differences."""

from __future__ import annotations

import inspect
import math
from itertools import permutations

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.losses import create_margin
from lwface.losses.distillation import DISTILLATIONS, Distillation, Teaching
from lwface.losses.distillation import relational as relational_module

WIDTH, OTHER, CLASSES = 3, 5, 7
LABELS = [4, 0, 2, 2, 1, 0]
SAMPLE = [0, 1, 2, 4, 6]
ARCFACE = {"loss_name": "margin_softmax", "loss_s": 6.0, "loss_m2": 0.2}
SOFT = {"distill_softness": 0.3, "distill_hardest": 5}  # so that the slopes can be seen, and some pairs are left out
STEP = 1e-5
Rows = list[list[float]]


def norm(row):
    return math.sqrt(sum(x * x for x in row))


def unit(row):
    return [x / norm(row) for x in row]


def dot(one, other):
    return sum(x * y for x, y in zip(one, other, strict=True))


def less(one, other):
    return [x - y for x, y in zip(one, other, strict=True)]


def huber(x):
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def l2(student, teacher, **_):
    return np.mean([(x - y) ** 2 for s, t in zip(student, teacher, strict=True) for x, y in zip(s, t, strict=True)])


def cosine(student, teacher, **_):
    return np.mean([2 - 2 * dot(unit(s), unit(t)) for s, t in zip(student, teacher, strict=True)])


def relational(student, teacher, **_):
    student, teacher = [unit(row) for row in student], [unit(row) for row in teacher]
    pairs = list(permutations(range(len(student)), 2))
    distances = [[norm(less(rows[i], rows[j])) for i, j in pairs] for rows in (student, teacher)]
    means = [np.mean(each) for each in distances]
    of_pairs = np.mean([huber(s / means[0] - t / means[1]) for s, t in zip(*distances, strict=True)])
    group = relational_module.GROUP
    found = []
    for start in range(0, len(student), group):
        for i, j, k in permutations(range(start, min(start + group, len(student))), 3):
            s, t = (dot(unit(less(rows[i], rows[j])), unit(less(rows[k], rows[j]))) for rows in (student, teacher))
            found.append(huber(s - t))
    return 25 * of_pairs + 50 * (np.mean(found) if found else 0)


def softmax(values):
    shares = [math.exp(value) for value in values]
    return [share / sum(shares) for share in shares]


def logit(student, teacher, centres, sample, **_):
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        p, q = (softmax([64 / 4 * dot(unit(row), centres[c]) for c in sample]) for row in (t, s))
        total += sum(x * math.log(x / y) for x, y in zip(p, q, strict=True))
    return 16 * total / len(student)


def adadistill(student, teacher, centres, sample, fixed, **_):
    """``fixed``: the student where it has no gradient."""
    moved = [list(row) for row in centres]
    for label in set(LABELS):
        wanted = []
        for row, (s, t) in enumerate(zip(fixed, teacher, strict=True)):
            if LABELS[row] == label:
                typical = min(max(dot(unit(centres[label]), unit(t)), 1e-6), 1)
                alpha = min(max(dot(unit(s), unit(t)) * typical, 1e-6), 1)
                wanted.append([alpha * w + (1 - alpha) * x for w, x in zip(centres[label], unit(t), strict=True)])
        moved[label] = np.mean(wanted, axis=0).tolist()
    total = 0.0
    for row, s in enumerate(student):
        angle = {c: math.acos(dot(unit(s), unit(moved[c]))) for c in sample}
        logits = [6 * math.cos(angle[c] + 0.2 * (c == LABELS[row])) for c in sample]
        total -= math.log(softmax(logits)[sample.index(LABELS[row])])
    return total / len(student)


def ekd(student, teacher, fixed, **_):
    def pairs(rows, same):
        units = [unit(row) for row in rows]
        places = [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]
        return [dot(units[i], units[j]) for i, j in places if (LABELS[i] == LABELS[j]) == same]

    def thresholds(rows):
        others = sorted(pairs(rows, False), reverse=True)
        return [others[len(others) // one_in] for one_in in (10, 100, 1000, 10**4, 10**5, 10**6)]

    def rank(cosine, bounds):
        return sum(1 / (1 + math.exp(-(cosine - bound) / 0.3)) for bound in bounds)

    of_student, of_teacher = thresholds(fixed), thresholds(teacher)

    def loss(chosen, same):
        s, t = pairs(student, same), pairs(teacher, same)
        return np.mean([(rank(s[i], of_student) - rank(t[i], of_teacher)) ** 2 for i in chosen])

    of_others = pairs(fixed, False)
    hardest = sorted(range(len(of_others)), key=lambda i: -of_others[i])[:5]
    return 0.02 * loss(range(len(pairs(fixed, True))), True) + 0.01 * loss(hardest, False)


FORMULAS = {"l2": l2, "cosine": cosine, "relational": relational, "logit": logit, "adadistill": adadistill, "ekd": ekd}


def rows(seed, count, width):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width)))


def way(name, centres=None, width=WIDTH):
    kind = DISTILLATIONS[name]
    made = kind(**{key: value for key, value in SOFT.items() if key in inspect.signature(kind).parameters})
    made.prepare(CLASSES, width, create_margin(ARCFACE))
    made = made.double()
    if made.needs_centres:
        made.take_centres(centres)
    return made


def centres_of(width=WIDTH):
    found = rows(9, CLASSES, width)
    return found / found.norm(dim=1, keepdim=True)


def slopes(function, values):
    found = torch.zeros_like(values)
    for place in np.ndindex(*values.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = values.clone()
            moved[place] += step
            ends.append(function(moved.tolist()))
        found[place] = (ends[0] - ends[1]) / (2 * STEP)
    return found


def test_every_way_has_a_formula():
    assert set(DISTILLATIONS) == set(FORMULAS)


@pytest.mark.parametrize("sample", [None, SAMPLE], ids=["all", "sampled"])
@pytest.mark.parametrize("name", FORMULAS)
def test_value_and_gradient_are_the_formulas(name, sample, monkeypatch):
    monkeypatch.setattr(relational_module, "GROUP", 4 if sample else 64)
    student, teacher, centres = rows(0, 6, WIDTH), rows(1, 6, WIDTH), centres_of()
    leaf = student.clone().requires_grad_()
    chosen = None if sample is None else torch.tensor(sample)
    loss = way(name, centres)(leaf, teacher, torch.tensor(LABELS), chosen)
    (gradient,) = torch.autograd.grad(loss, leaf)

    def formula(values: Rows) -> float:
        known = {"centres": centres.tolist(), "sample": sample or list(range(CLASSES)), "fixed": student.tolist()}
        return float(FORMULAS[name](values, teacher.tolist(), **known))

    assert float(loss.detach()) == pytest.approx(formula(student.tolist()), rel=1e-7)
    expected = slopes(formula, student)
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(gradient, expected, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_teacher_itself_has_nothing_to_learn(name):
    teacher = rows(1, 6, WIDTH)
    leaf = teacher.clone().requires_grad_()
    loss = way(name, centres_of())(leaf, teacher, torch.tensor(LABELS))
    (gradient,) = torch.autograd.grad(loss, leaf)
    if name != "adadistill":  # whose targets are the classes, not the teacher's features
        assert float(loss.detach()) == pytest.approx(0, abs=1e-9)
        assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("name", ["relational", "ekd"])
def test_relations_do_not_ask_for_the_teachers_width_or_axes(name):
    student, teacher = rows(0, 6, WIDTH), rows(1, 6, OTHER)
    turn, _ = torch.linalg.qr(rows(2, OTHER, OTHER))
    labels = torch.tensor(LABELS)
    one, other = (way(name, width=OTHER)(student, each, labels) for each in (teacher, 3 * teacher @ turn))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["relational", "ekd"])
@pytest.mark.parametrize("count", [1, 2])
def test_too_few_rows_for_a_relation_cost_nothing(name, count):
    leaf = rows(0, count, WIDTH).requires_grad_()
    loss = way(name)(leaf, rows(1, count, WIDTH), torch.tensor([1, 1][:count]))
    loss.backward()
    assert torch.isfinite(leaf.grad).all()
    assert float(loss.detach()) == 0  # two rows have one distance, which is the mean


def test_equal_images_have_a_finite_gradient():
    leaf = torch.ones(4, WIDTH, dtype=torch.float64, requires_grad=True)
    way("relational")(leaf, rows(1, 4, WIDTH), torch.tensor(LABELS[:4])).backward()
    assert torch.isfinite(leaf.grad).all()


def test_thresholds_follow_in_training_only():
    teaching = way("ekd")
    labels, first, second = torch.tensor(LABELS), rows(0, 6, WIDTH), rows(3, 6, WIDTH)
    teaching(first, second, labels)
    before = teaching.of_student.clone()
    teaching.eval()(second, first, labels)
    assert torch.equal(teaching.of_student, before)
    teaching.train()(second, first, labels)
    other = way("ekd")
    other(second, first, labels)
    torch.testing.assert_close(teaching.of_student, 0.99 * before + 0.01 * other.of_student)


def test_centres_begin_once_and_are_state():
    first, second = way("adadistill", centres_of()), way("adadistill", centres_of())
    first(rows(0, 6, WIDTH), rows(1, 6, WIDTH), torch.tensor(LABELS))
    moved = first.centres.clone()
    assert not torch.equal(moved, centres_of())
    assert torch.equal(moved[[3, 5, 6]], centres_of()[[3, 5, 6]])  # nobody was of these
    second.load_state_dict(first.state_dict())
    second.take_centres(centres_of())  # a run that goes on has others
    assert torch.equal(second.centres, moved)
    assert way("logit", centres_of()).state_dict() == {}  # they are the teacher's


def teaching(name, **changes):
    torch.manual_seed(0)
    sizes = {"classes": CLASSES, "student_width": WIDTH, "teacher_width": OTHER, "margin": create_margin(ARCFACE)}
    return Teaching(name, {}, **{**sizes, **changes})


@pytest.mark.parametrize("name", FORMULAS)
def test_a_map_where_widths_differ_and_only_there(name):
    same, other = teaching(name, teacher_width=WIDTH), teaching(name)
    assert same.map is None
    assert (other.map is not None) == DISTILLATIONS[name].maps
    if other.way.needs_centres:
        other.way.take_centres(centres_of(OTHER).float())
    student = rows(0, 6, WIDTH).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = other(student.bfloat16(), rows(1, 6, OTHER).float(), torch.tensor(LABELS))
    loss.backward()
    assert loss.dtype == torch.float32
    for tensor in (student, *other.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 0


def test_weight_zero_is_the_ways_own():
    student, teacher, labels = rows(0, 6, WIDTH), rows(1, 6, WIDTH), torch.tensor(LABELS)
    own, doubled = (teaching("cosine", teacher_width=WIDTH, weight=weight) for weight in (0.0, 14.0))
    assert own.weight == 7
    torch.testing.assert_close(2 * own(student, teacher, labels), doubled(student, teacher, labels))


def test_what_is_refused():
    with pytest.raises(UserError, match=r"unknown way to distil 'cosin'.*cosine"):
        teaching("cosin")
    with pytest.raises(UserError, match="adadistill puts the loss's margin"):
        teaching("adadistill", margin=create_margin({"loss_name": "softmax"}))
    with pytest.raises(ValueError, match="6 features, 5 of the teacher"):
        teaching("cosine", teacher_width=WIDTH)(rows(0, 6, WIDTH), rows(1, 5, WIDTH), torch.tensor(LABELS))
    with pytest.raises(TypeError, match="is a class derived from"):
        DISTILLATIONS.register_as("nothing")(torch.nn.Module)
    with pytest.raises(NotImplementedError):
        Distillation()(rows(0, 6, WIDTH), rows(1, 6, WIDTH), torch.tensor(LABELS))
