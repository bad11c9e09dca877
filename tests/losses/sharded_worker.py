"""What each process of test_formulas.py does: the loss of every case in process groups of 1, 2 and 4."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from losses.formulas import NAMES, Case, batch_of, cases, classifier_of
from torch.distributed import checkpoint

from lwface.training.row_updates import update_rows

WORLDS = (2, 4)
HOW = {
    2: slice(1, 3),
    4: slice(0, 4, 3),
}  # of the four ways of cases(): in blocks and sampled, and neither nor and both
TRAINED = [Case(name, 9, 2, 0.4) for name in ("softmax", "subcenter", "learning")]  # a bias, centres, all that learns
SAVED = TRAINED[1]  # as a checkpoint
RESHARDED = ((4, 2), (2, 4), (1, 4))  # by how many processes, and read by how many


def first_gradient(case, group=None):
    """Loss and gradients of the whole batch as autograd gives them."""
    classifier = classifier_of(case, group)
    embeddings, labels = batch_of(case)
    own = classifier.shard.own
    torch.manual_seed(group.rank() if group else 7)  # a network's draws differ between processes, a margin's must not
    inputs = own(embeddings).clone().requires_grad_()
    classifier.begin(own(labels), case.rate, torch.Generator().manual_seed(0))
    loss, correct = classifier(inputs, own(labels))
    loss.backward()
    sample = classifier.sample
    return {
        "loss": loss.item(),
        "correct": correct.item(),
        "embeddings": inputs.grad / classifier.shard.processes,
        "weight": classifier.weight.grad,
        "bias": None if classifier.bias is None else classifier.bias.grad,
        "sample": None if sample is None else sample + classifier.shard.start,
    }


def train(case, group=None):
    """Two updates by halves of a batch; the losses, and what is left."""
    classifier = classifier_of(case, group)
    classifier.deferred = True
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    embeddings, labels = batch_of(case)
    losses = []
    for step in range(2):
        # Each half has the same rows whatever the number of processes, and each process some of them.
        own = classifier.shard.own
        halves = [(own(x), own(y)) for x, y in zip(embeddings.chunk(2), labels.chunk(2), strict=True)]
        classifier.begin(torch.cat([y for _, y in halves]), case.rate, torch.Generator().manual_seed(step))
        for x, y in halves:
            loss = classifier(x.clone().requires_grad_(), y).loss
            (loss / 2).backward()
            losses.append(loss.item())
        update_rows(optimizer, classifier)
    momenta = {name: optimizer.state[p]["momentum_buffer"] for name, p in classifier.named_parameters()}
    return losses, classifier, momenta


def saved(classifier, momenta):
    """What a checkpoint has of a classifier."""
    of = {f"momentum.{name}": classifier.shard.global_tensor(tensor) for name, tensor in momenta.items()}
    return {**classifier.global_state(), **of}


def reread(folder, group=None):
    """Weight and momentum as a checkpoint has them."""
    classifier = classifier_of(SAVED, group)
    momenta = {name: torch.zeros_like(parameter) for name, parameter in classifier.named_parameters()}
    state = saved(classifier, momenta)
    checkpoint.load(state, checkpoint_id=folder, process_group=group, no_dist=group is None)
    return classifier.weight.detach(), momenta["weight"]


def work(rank, folder):
    """The cases of the groups that this process is in, two pairs and all four; the results go into ``folder``."""
    torch.set_num_threads(1)
    folder = Path(folder)
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), 4), rank=rank, world_size=4)
    pairs = [dist.new_group(ranks) for ranks in ([0, 1], [2, 3])]
    results = {}
    for world, number, group in ((2, rank // 2, pairs[rank // 2]), (4, 0, dist.group.WORLD)):
        share = slice(number, None, 4 // world)  # the pairs take turns
        for case in (case for name in NAMES[share] for case in cases(name)[HOW[world]]):
            results[world, tuple(case)] = first_gradient(case, group)
        for case in TRAINED[share]:
            losses, classifier, momenta = train(case, group)
            state = {name: value for name, value in classifier.state_dict().items() if name != "_extra_state"}
            results["trained", world, tuple(case)] = {"losses": losses, "momentum": momenta["weight"], "state": state}
            if case == SAVED:
                checkpoint_id = folder / f"checkpoint-{world}"
                checkpoint.save(saved(classifier, momenta), checkpoint_id=checkpoint_id, process_group=group)
    dist.barrier()
    for before, world in RESHARDED:
        if rank < world:
            group = pairs[0] if world == 2 else dist.group.WORLD
            results["reread", before, world] = reread(folder / f"checkpoint-{before}", group)
    torch.save(results, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
