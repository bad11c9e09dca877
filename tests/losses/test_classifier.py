"""What the holder promises beside the values of test_formulas.py: memory, sampling, state, errors, its updates."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from losses.formulas import LABELS, NAMES, Case, Learning, batch_of, classifier_of, plain
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lwface.base.errors import UserError
from lwface.losses import Classifier
from lwface.losses.chunks import float32_products
from lwface.losses.margin_softmax import MarginSoftmax
from lwface.losses.shards import ClassShard
from lwface.training.row_updates import update_rows


class Largest(TorchDispatchMode):
    """The most numbers that any tensor of an operation had room for."""

    def __init__(self, *apart):
        super().__init__()
        self.numbers, self.apart = 0, {each.untyped_storage().data_ptr() for each in apart}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() not in self.apart:
                self.numbers = max(self.numbers, each.untyped_storage().size() // each.element_size())
        return result


def batch(classes, width=6, rows=8):
    return torch.randn(rows, width, requires_grad=True), torch.randint(classes, (rows,))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(4)


@pytest.mark.parametrize("rate", [1.0, 0.25])
@pytest.mark.parametrize("margin", [MarginSoftmax(loss_m2=0.5), Learning()], ids=["arcface", "learning"])
def test_no_tensor_has_all_scores_or_the_gradient_of_all_classes(margin, rate):
    classifier = Classifier(margin.float(), 600, 6, chunk=16)
    classifier.deferred = True
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9)
    update_rows(optimizer, _one_step(classifier, rate))  # the momentum is there
    with Largest(classifier.weight, optimizer.state[classifier.weight]["momentum_buffer"]) as largest:
        update_rows(optimizer, _one_step(classifier, rate))
    assert 0 < largest.numbers <= 600  # the classes drawn; a block is 8 x 16 scores, and 16 x 6 of the weight


def _one_step(classifier, rate):
    embeddings, labels = batch(classifier.shard.total)
    classifier.begin(labels, rate)
    classifier(embeddings, labels).loss.backward()
    return classifier


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("name", ["arcface", "softmax", "subcenter", "learning"])
def test_updates_of_blocks_are_pytorchs_of_the_whole(name, kind):
    settings = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    found = []
    for deferred in (False, True):
        classifier = classifier_of(Case(name, 11, 4, 1.0))
        classifier.deferred = deferred
        optimizer = kind(classifier.parameters(), lr=0.1, weight_decay=0.01, **settings)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            inputs = torch.randn(5, 3, dtype=torch.float64, generator=generator)
            labels = torch.randint(11, (5,), generator=generator)
            optimizer.zero_grad()
            classifier.begin(labels, 1.0, generator)
            classifier(inputs, labels).loss.backward()
            optimizer.step()
            update_rows(optimizer, classifier)
        found.append(list(classifier.parameters()))
    for whole, blocks in zip(*found, strict=True):
        torch.testing.assert_close(blocks, whole, rtol=1e-9, atol=1e-12)


def test_a_margins_state_is_that_of_each_part_of_the_batch():
    """The parts' gradients are made after the last of them, when the running mean has gone on."""
    gradients = []
    for deferred in (False, True):
        classifier = classifier_of(Case("learning", 11, 4, 1.0))
        classifier.deferred = deferred
        torch.manual_seed(0)
        for scale in (1, 4):
            inputs, labels = scale * torch.randn(5, 3, dtype=torch.float64), torch.randint(11, (5,))
            classifier(inputs, labels).loss.backward()
        whole = torch.zeros_like(classifier.weight) if deferred else classifier.weight.grad
        for block, found in classifier.gradients():
            whole[block.rows] = found[0][1]
        gradients.append(whole)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_rows_left_out_keep_all_and_each_row_counts_its_own_updates(kind):
    """AdamW against the paper's formula, row by row; what is not drawn does not change by a bit."""
    settings = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    classifier = Classifier(MarginSoftmax(loss_s=8.0), 40, 6, chunk=7).double()
    classifier.deferred = True
    optimizer = kind(classifier.parameters(), lr=0.1, weight_decay=0.02, **settings)
    rows = [(weight, 0.0, 0.0, 0) for weight in classifier.weight.detach().clone()]
    for step in range(4):
        embeddings, labels = batch(40, rows=3)
        classifier.begin(labels, 0.3, torch.Generator().manual_seed(step))
        classifier(embeddings, labels).loss.backward()
        before = {name: value.clone() for name, value in optimizer.state[classifier.weight].items()}
        weight = classifier.weight.detach().clone()
        drawn = dict.fromkeys(classifier.sample.tolist())
        for block, found in classifier.gradients():
            drawn |= zip(block.rows.tolist(), found[0][1].clone(), strict=True)
        classifier(embeddings, labels).loss.backward()
        update_rows(optimizer, classifier)
        assert 3 <= len(drawn) < 40
        for row, gradient in drawn.items():
            value, first, second, count = rows[row]
            if kind is torch.optim.SGD:
                first = 0.9 * first + gradient + 0.02 * value
                rows[row] = value - 0.1 * first, first, 0.0, 0
                continue
            first, second, count = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2, count + 1
            change = first / (1 - 0.9**count) / ((second / (1 - 0.999**count)).sqrt() + 1e-8)
            rows[row] = value - 0.1 * (change + 0.02 * value), first, second, count
        torch.testing.assert_close(classifier.weight.detach(), torch.stack([row[0] for row in rows]))
        left = [row for row in range(40) if row not in drawn]
        assert torch.equal(classifier.weight[left], weight[left])
        for name, value in before.items():
            assert torch.equal(optimizer.state[classifier.weight][name][left], value[left])


def test_state_of_updates_is_the_optimisers_own():
    """Saved and loaded by its state dict, it goes on to the same bit; a run from before, by PyTorch alone, too."""
    for kind, settings in ((torch.optim.SGD, {"momentum": 0.9}), (torch.optim.AdamW, {})):
        made = [Classifier(MarginSoftmax(loss_m2=0.5), 30, 6) for _ in range(2)]
        optimizers = [kind(each.parameters(), lr=0.1, **settings) for each in made]
        for each in made:
            each.deferred = True
        update_rows(optimizers[0], _one_step(made[0], 0.5))
        made[1].load_state_dict(made[0].state_dict())
        optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
        for each, optimizer in zip(made, optimizers, strict=True):
            torch.manual_seed(8)
            update_rows(optimizer, _one_step(each, 0.5))
        assert torch.equal(made[0].weight, made[1].weight)


def test_shares_of_classes_that_are_drawn():
    classifier = Classifier(MarginSoftmax(), 20_000, 2)
    labels = torch.tensor([19_999, 5, 5])
    counts = torch.zeros(20_000)
    for step in range(20):
        classifier.begin(labels, 0.3, torch.Generator().manual_seed(step))
        counts[classifier.sample] += 1
        assert len(classifier.sample) == pytest.approx(6000, abs=5 * (20_000 * 0.3 * 0.7) ** 0.5)
        assert (classifier.sample.diff() > 0).all()
    assert counts[5] == counts[19_999] == 20
    assert counts[6:-1].mean() == pytest.approx(6, abs=0.1)
    assert counts[6:-1].var() == pytest.approx(20 * 0.3 * 0.7, rel=0.1)  # each step draws anew
    classifier.begin(labels, 1.0)
    assert classifier.sample is None


def test_only_classes_of_the_batch():
    """With nobody else in the sample the loss is 0, and so are its gradients."""
    classifier = Classifier(MarginSoftmax(loss_m2=0.5), 1000, 6)
    embeddings, labels = torch.randn(2, 6, requires_grad=True), torch.tensor([7, 7])
    classifier.begin(labels, 1e-9)
    loss, correct = classifier(embeddings, labels)
    loss.backward()
    assert loss == 0
    assert correct == 2
    assert embeddings.grad.abs().max() == classifier.weight.grad.abs().max() == 0


def test_the_classes_of_a_state_are_checked():
    classifier, state = Classifier(MarginSoftmax(), 10, 4), Classifier(MarginSoftmax(), 10, 4).state_dict()
    state["_extra_state"] = torch.tensor([10, 20, 30])
    with pytest.raises(UserError, match="classes 10 to 19 of 30, this process holds classes 0 to 9 of 10"):
        classifier.load_state_dict(state)
    del state["_extra_state"]  # of before there were shards
    classifier.load_state_dict(state)


def test_labels_that_are_no_classes():
    classifier = Classifier(MarginSoftmax(), 10, 4)
    for wrong in (10, -1):
        with pytest.raises(ValueError, match=rf"label {wrong}: expected one of 10 classes"):
            classifier(torch.randn(2, 4), torch.tensor([0, wrong]))
    classifier.begin(torch.tensor([3]), 1e-9)
    with pytest.raises(ValueError, match=r"label 4: .* in the sample"):
        classifier(torch.randn(2, 4), torch.tensor([3, 4]))


def test_shards_are_those_of_torch_chunk():
    class Group:  # as far as ClassShard.of asks it
        def __init__(self, rank, size):
            self.rank, self.size = (lambda: rank), (lambda: size)

    for total, processes in itertools.product((2, 5, 11, 12), (1, 2, 3, 4, 7)):
        parts = [part.tolist() for part in torch.arange(total).chunk(processes)]
        shards = [ClassShard.of(total, Group(rank, processes)) for rank in range(processes)]
        found = [list(range(shard.start, shard.stop)) for shard in shards]
        assert found == parts + [[]] * (processes - len(parts))


def test_products_are_of_the_precision_asked_for():
    before = torch.get_float32_matmul_precision()
    with float32_products("medium"):
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == before
    embeddings, labels = batch(50, width=64)
    losses = []
    for products in ("highest", "medium"):
        torch.manual_seed(0)
        losses.append(Classifier(MarginSoftmax(loss_m2=0.5), 50, 64, products=products)(embeddings, labels).loss)
    assert losses[1].dtype == torch.float32
    assert losses[1].item() == pytest.approx(losses[0].item(), abs=0.05)


def test_several_processes_must_draw_alike():
    classifier = Classifier(MarginSoftmax(), 10, 4)
    classifier.shard = ClassShard(0, 5, 10, group=object())
    with pytest.raises(ValueError, match="give begin"):
        classifier.begin(torch.tensor([1]))


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
def test_a_share_of_the_margin_mixes_scores_with_and_without(name, share, deferred):
    case = Case(name, 5, 2, 1.0)
    labels, everybody = torch.tensor(LABELS), torch.ones(5, dtype=torch.bool)
    seed = int(torch.randint(1 << 62, (), generator=torch.Generator().manual_seed(0)))
    loss, correct, *expected = plain(classifier_of(case), batch_of(case)[0], everybody, seed, share)
    classifier, embeddings = classifier_of(case), batch_of(case)[0].requires_grad_()
    classifier.deferred = deferred
    classifier.begin(labels, 1.0, torch.Generator().manual_seed(0), share)
    found = classifier(embeddings, labels)
    found.loss.backward()
    rows = [embeddings, *classifier.row_parameters()]
    gradients = [each.grad for each in rows]
    if deferred:
        blocks = [[gradient for _, gradient in of_block] for _, of_block in classifier.gradients()]
        gradients[1:] = [torch.cat(parts) for parts in zip(*blocks, strict=True)]
    assert found.loss.item() == pytest.approx(loss, rel=1e-10)
    assert int(found.correct) == correct
    for gradient, slope in zip(gradients, expected, strict=False):
        torch.testing.assert_close(gradient, torch.from_numpy(slope), rtol=1e-9, atol=1e-12)
