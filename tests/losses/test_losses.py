"""Margins against float64 loops written from the formulas, and what any loss must stand."""

from __future__ import annotations

import gc
import math
import statistics

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.losses import LOSSES, Classifier, Margin, create_classifier, create_margin
from lwface.losses.angular import SINE_FLOOR, angle, cosine_of, target_with_margin
from lwface.losses.chunks import BatchScores

MARGINS = {
    "nsoftmax": (1.0, 0.0, 0.0),
    "arcface": (1.0, 0.5, 0.0),
    "cosface": (1.0, 0.0, 0.35),
    "combined": (1.0, 0.3, 0.2),
    "sphere-like": (1.35, 0.1, 0.05),
}
SETTINGS = {
    "loss_s": 64.0,
    "loss_m1": 1.0,
    "loss_m2": 0.5,
    "loss_m3": 0.1,
    "loss_monotonic": False,
    "fc7_no_bias": False,
}

WITH_CLASSES = [name for name in LOSSES if issubclass(LOSSES[name], Margin)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


def add_margin(cosine, labels, *margins):
    """Cosines (N, C) with the margin on each row's own class."""
    index = labels[:, None]
    return cosine.scatter(1, index, target_with_margin(cosine.gather(1, index), *margins))


def drawn_alike(classifier, x, labels):
    """The loss; a margin that is drawn is the same each time."""
    torch.manual_seed(2)
    return classifier(x, labels).loss


def logits_of(classifier, x, labels):
    return classifier.logits(x, labels, x.norm(dim=1))


def naive_margin(cosine: list[list[float]], labels: list[int], m1: float, m2: float, m3: float) -> torch.Tensor:
    rows = []
    for row, label in zip(cosine, labels, strict=True):
        rows.append([math.cos(m1 * math.acos(c) + m2) - m3 if j == label else c for j, c in enumerate(row)])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
def test_margin_equals_naive_loop(margins):
    cosine = torch.rand(6, 9, dtype=torch.float64) * 2 - 1
    cosine[0, 0], cosine[1, 1] = 1.0, -1.0  # the ends have exact values
    labels = torch.tensor([0, 1, 8, 3, 0, 5])
    expected = naive_margin(cosine.tolist(), labels.tolist(), *margins)
    torch.testing.assert_close(add_margin(cosine, labels, *margins), expected, rtol=0, atol=1e-14)
    assert add_margin(cosine.float(), labels, *margins).sub(expected).abs().max() < 1e-6


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
def test_margin_gradient_is_exact(margins):
    cosine = (torch.rand(5, 4, dtype=torch.float64) * 1.98 - 0.99).requires_grad_()
    labels = torch.tensor([0, 3, 1, 2, 0])
    assert gradcheck(lambda c: add_margin(c, labels, *margins), (cosine,), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_finite_and_bounded_at_and_beyond_the_ends(margins, dtype):
    cosine = torch.tensor([1.0, -1.0, 1 + 1e-6, -1 - 1e-6, 1 - 1e-7, -1 + 1e-7, 0.0], dtype=dtype, requires_grad=True)
    value = target_with_margin(cosine, *margins)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(cosine.grad).all()
    assert cosine.grad.abs().max() <= margins[0] / SINE_FLOOR


def test_guard_error_is_the_documented_one():
    theta = 0.4 * SINE_FLOOR
    cosine = torch.tensor(math.cos(theta), dtype=torch.float64, requires_grad=True)
    target_with_margin(cosine, 1.0, 0.5, 0.0).backward()
    exact = math.sin(theta + 0.5) / math.sin(theta)
    assert cosine.grad.item() == pytest.approx(exact * math.sin(theta) / SINE_FLOOR, rel=1e-6)
    just_inside = torch.tensor(1 - SINE_FLOOR**2, dtype=torch.float64, requires_grad=True)
    target_with_margin(just_inside, 1.0, 0.5, 0.0).backward()
    theta = math.acos(just_inside.item())
    assert just_inside.grad.item() == pytest.approx(math.sin(theta + 0.5) / math.sin(theta), rel=1e-9)


@pytest.mark.parametrize("margins", [*MARGINS.values(), (4.0, 0.0, 0.0)])
def test_monotonic_extension(margins):
    m1, m2, m3 = margins

    def naive(c: float) -> float:  # SphereFace's psi, with ArcFace's offset
        phi = m1 * math.acos(c) + m2
        k = 0
        while phi >= (k + 1) * math.pi:
            k += 1
        return (-1) ** k * math.cos(phi) - 2 * k - m3

    cosine = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    found = target_with_margin(cosine, *margins, monotonic=True)
    expected = torch.tensor([naive(c) for c in cosine.tolist()], dtype=torch.float64)
    # Within one rounding of a multiple of pi the two k may differ, where both branches give the same value.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert (found.diff() > 0).all(), "a larger cosine must never be worth less"
    inside = (torch.rand(50, dtype=torch.float64) * 1.98 - 0.99).requires_grad_()
    assert gradcheck(lambda c: target_with_margin(c, *margins, monotonic=True), (inside,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("monotonic", [False, True])
def test_margins_by_row_are_the_margin_of_all_where_they_are_equal(monotonic):
    cosine = torch.tensor([1.0, 0.9, 0.2, -0.5, -0.87, -0.88, -0.95, -0.9999, -1.0], dtype=torch.float64)
    gradients = []
    for form in (
        lambda c: cosine_of(angle(c) + torch.full_like(c, 0.5), monotonic),
        lambda c: target_with_margin(c, 1.0, 0.5, 0.0, monotonic),
    ):
        c = cosine.clone().requires_grad_()
        value = form(c)
        value.sum().backward()
        gradients.append(torch.stack([value.detach(), c.grad]))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_only_the_monotonic_margin_makes_a_collapse_costly():
    opposite = torch.full((1, 220), -1.0)  # every embedding opposite to every weight
    label = torch.tensor([3])
    losses = [
        functional.cross_entropy(64 * add_margin(opposite, label, 1.0, 0.5, 0.0, monotonic), label)
        for monotonic in (False, True)
    ]
    assert losses[0] < 0.2 < math.log(220) < losses[1]


def test_softmax_is_the_linear_layer():
    classifier = create_classifier({**SETTINGS, "loss_name": "softmax"}, 7, 5)
    x, labels = torch.randn(4, 5), torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        classifier.bias.copy_(torch.arange(7.0))
    torch.testing.assert_close(logits_of(classifier, x, labels), x @ classifier.weight.T + torch.arange(7.0))
    assert create_classifier({**SETTINGS, "loss_name": "softmax", "fc7_no_bias": True}, 7, 5).bias is None


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_every_classifier(name):
    """Initial values, shapes, a gradient for every parameter, saved and loaded; runs over the registry."""
    config = {**SETTINGS, "loss_name": name}
    classifier = create_classifier(config, 400, 64)
    assert classifier.weight.numel() == 400 * classifier.margin.centres * 64
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert abs(classifier.weight.mean().item()) < 3e-4
    x, labels = torch.randn(8, 64, requires_grad=True), torch.randint(400, (8,))
    loss, correct = classifier(x, labels)
    assert 0 <= correct <= 8
    loss.backward()
    assert torch.isfinite(loss)
    for tensor in [x, *classifier.parameters()]:
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().max() > 0
    other = create_classifier(config, 400, 64)
    other.load_state_dict(classifier.state_dict())
    assert torch.equal(drawn_alike(other, x, labels), drawn_alike(classifier, x, labels))


@pytest.mark.parametrize("name", list(LOSSES))
def test_float32_under_autocast(name):
    classifier, same = (create_classifier({**SETTINGS, "loss_name": name}, 10, 16) for _ in range(2))
    same.load_state_dict(classifier.state_dict())  # a loss may learn from each batch
    x, labels = torch.randn(3, 16).bfloat16(), torch.tensor([1, 2, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = drawn_alike(classifier, x, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, drawn_alike(same, x.float(), labels))


def test_zero_embedding_has_a_finite_gradient():
    classifier = create_classifier({**SETTINGS, "loss_name": "margin_softmax"}, 10, 16)
    x = torch.zeros(1, 16, requires_grad=True)
    classifier(x, torch.tensor([1])).loss.backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_label_type(dtype):
    classifier = create_classifier({**SETTINGS, "loss_name": "margin_softmax"}, 10, 16)
    with pytest.raises(TypeError, match=str(dtype)):
        classifier(torch.randn(2, 16), torch.ones(2, dtype=dtype))
    assert classifier(torch.randn(2, 16), torch.ones(2, dtype=torch.int32)).loss.ndim == 0


@pytest.mark.parametrize(("x", "y"), [((2, 15), (2,)), ((2, 16), (3,)), ((2, 16), (2, 1)), ((16,), ())])
def test_shapes_that_do_not_fit(x, y):
    classifier = create_classifier({**SETTINGS, "loss_name": "softmax"}, 10, 16)
    with pytest.raises(ValueError, match="expected embeddings"):
        classifier(torch.randn(x), torch.zeros(y, dtype=torch.long))


@pytest.mark.parametrize(
    "change", [{"loss_s": 0.0}, {"loss_s": -1.0}, {"loss_m1": 0.0}, {"loss_m2": -0.1}, {"loss_m3": math.nan}]
)
def test_unusable_settings(change):
    with pytest.raises(UserError, match=r"loss_s|margins"):
        create_classifier({**SETTINGS, "loss_name": "margin_softmax", **change}, 10, 16)


def test_unknown_loss_and_too_few_classes():
    with pytest.raises(UserError, match="did you mean 'margin_softmax'"):
        create_classifier({**SETTINGS, "loss_name": "margin_softmx"}, 10, 16)
    with pytest.raises(UserError, match="at least 2 identities"):
        create_classifier({**SETTINGS, "loss_name": "softmax"}, 1, 16)


def test_a_loss_whose_parameter_declares_no_setting_is_told_how():
    class Bad(Margin):
        def __init__(self, *, loss_k: float = 1.0) -> None:
            super().__init__()

    with pytest.raises(TypeError, match=r"parameter 'loss_k' declares no setting: write loss_k: Annotated\[float"):
        LOSSES.register_as("bad")(Bad)
    with pytest.raises(TypeError, match=r"a loss is a class derived from lwface\.losses\.base\.Margin"):
        LOSSES.register_as("bad")(nn.Linear)
    assert "bad" not in LOSSES


@pytest.mark.parametrize(
    ("result", "gave"),
    [
        (lambda score: score[:, None], r"\(3, 1\) torch.float32"),
        (lambda score: score.sum(), r"\(\) torch.float32"),
        (lambda score: score.double(), r"\(3,\) torch.float64"),
        (lambda score: None, "NoneType"),
    ],
)
def test_a_margin_that_gives_something_else_is_named(result, gave):
    class Odd(Margin):
        def own(self, score, norms):
            return result(score)

    with pytest.raises(UserError, match=rf"the loss Odd: its own\(\) gave {gave}, expected \(3,\) torch.float32"):
        Classifier(Odd(), 5, 4)(torch.randn(3, 4), torch.tensor([0, 1, 2]))


# From here on: what any loss must stand, over the registry.


def built(name: str, classes: int = 5) -> nn.Module:
    return create_classifier({"loss_name": name}, classes, 8)


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_ends_are_finite(name):
    """Cosines of 1, -1 and 0 with the own class, images twice in a batch, a row of zeros; float32."""
    torch.manual_seed(1)
    classifier = built(name)
    rows = torch.eye(8)
    if hasattr(classifier, "weight"):
        rows = classifier.weight.detach().view(5, -1, 8)[:, 0]
    x = torch.stack([rows[0], -rows[1], rows[2], rows[2] * 1e4, torch.zeros(8), rows[0]]).requires_grad_()
    for labels in ([0, 1, 2, 2, 3, 4], [0, 0, 0, 0, 1, 1]):
        x.grad = None
        loss = classifier(x, torch.tensor(labels)).loss
        loss.backward()
        for tensor in (loss, x.grad, *(parameter.grad for parameter in classifier.parameters())):
            assert torch.isfinite(tensor).all()
    assert all(torch.isfinite(tensor).all() for tensor in classifier.state_dict().values())


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_step_leaves_nothing_behind(name):
    """No circle through autograd, which no collector finds: a long run would fill the memory."""
    classifier, network, labels = built(name), nn.Linear(8, 8), torch.tensor([0, 0, 1, 1, 1, 0])

    def step():
        classifier(network(torch.randn(6, 8)), labels).loss.backward()
        classifier(network(torch.randn(6, 8)), labels)  # and one that is not followed back
        gc.collect()
        return sum(issubclass(type(each), Tensor | BatchScores) for each in gc.get_objects())

    gc.freeze()  # what is there already is not looked at
    try:
        assert len({step() for _ in range(3)}) == 1
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("name", WITH_CLASSES)
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


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_some_of_the_classes_are_treated_as_in_the_whole_row(name):
    torch.manual_seed(1)
    margin = create_margin({"loss_name": name}).double()
    own, norms = torch.rand(4, dtype=torch.float64) * 2 - 1, torch.rand(4, dtype=torch.float64) * 50
    scores = torch.rand(4, 9, dtype=torch.float64) * 2 - 1
    margin.own(own, norms)  # brings a state up to date
    state = {key: value.clone() for key, value in margin.state_dict().items()}
    whole = margin.others(scores, own)
    parts = scores.split([2, 1, 6], dim=1)
    assert torch.equal(torch.cat([margin.others(part, own) for part in parts], dim=1), whole)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(margin.others(scores[order], own[order]), whole[order])
    margin.eval()
    assert torch.equal(margin.own(own[order], norms[order]), margin.own(own, norms)[order])
    assert all(torch.equal(value, state[key]) for key, value in margin.state_dict().items())


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_state_goes_on_where_it_was_saved(name):
    torch.manual_seed(1)
    one, other = built(name), built(name)
    batches = [(torch.randn(6, 8) * 9, torch.randint(5, (6,))) for _ in range(4)]
    for x, labels in batches[:2]:
        one(x, labels)
    other.load_state_dict(one.state_dict())
    for x, labels in batches[2:]:
        assert torch.equal(drawn_alike(one, x, labels), drawn_alike(other, x, labels))
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
