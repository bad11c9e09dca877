"""What each process of test_sharded.py does: the loss of every case in process groups of 1, 2 and 4."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from losses.example_margins import EXAMPLES, margin_names, margin_of
from torch.distributed import checkpoint

from lwface.losses import Classifier
from lwface.training.row_updates import update_rows

WORLDS = (1, 2, 4)
WIDTH, BATCH = 6, 8


class Case(NamedTuple):
    """One way to compute a loss."""

    margin: str
    classes: int
    chunk: int
    rate: float

    @property
    def trains(self):
        """Updates take longer than gradients: those of margins that keep something, and of the examples."""
        margin = margin_of(self.margin)
        keeps = margin.bias or self.margin in EXAMPLES or any(True for _ in margin.buffers())
        return self.chunk > 0 and self.rate < 1 and keeps

    def batch(self):
        """Embeddings (N, D) and labels (N,) of all processes, the same in each."""
        generator = torch.Generator().manual_seed(self.classes)
        embeddings = 3 * torch.randn(BATCH, WIDTH, dtype=torch.float64, generator=generator)
        return embeddings, torch.randint(self.classes, (BATCH,), generator=generator)


SAVED = Case("Centres", 11, 2, 0.4)  # as a checkpoint
RESHARDED = ((4, 2), (2, 4), (4, 1), (1, 4))  # by how many processes, and read by how many


def cases():
    """Uneven shards: 11 of 4 are 3, 3, 3 and 2; 5 of 4 are 2, 2, 1 and none."""
    return [
        Case(name, classes, chunk, rate)
        for name in margin_names()
        for classes, chunk, rate in ((11, 0, 1.0), (5, 1, 1.0), (11, 0, 0.3), (11, 2, 0.4))
    ]


def classifier_of(case, group=None):
    torch.manual_seed(9)
    margin = margin_of(case.margin)
    made = Classifier(margin, case.classes, WIDTH, chunk=case.chunk, group=group).double()
    with torch.no_grad():  # of the size of trained ones; biases that differ
        made.weight *= 100
        if made.bias is not None:
            made.bias.copy_(torch.arange(made.shard.start, made.shard.stop) / 7)
    return made


def optimizer_of(classifier):
    return torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


def train(case, group):
    """Two updates by halves of a batch; what came of the first backward pass, and of all."""
    classifier = classifier_of(case, group)
    classifier.deferred = True
    optimizer = optimizer_of(classifier)
    embeddings, labels = case.batch()
    found = {}
    for step in range(2):
        parts = classifier.shard.own(embeddings).chunk(2), classifier.shard.own(labels).chunk(2)
        classifier.begin(torch.cat(parts[1]), case.rate, torch.Generator().manual_seed(step))
        if step == 0:
            sample = classifier.sample
            found["sample"] = None if sample is None else sample + classifier.shard.start
        for part, of_part in zip(*parts, strict=True):
            inputs = part.clone().requires_grad_()
            loss, correct = classifier(inputs, of_part)
            (loss / 2).backward()
            found.setdefault("loss", []).append(loss.item())
            found.setdefault("correct", []).append(correct.item())
            found.setdefault("embeddings", []).append(inputs.grad / classifier.shard.processes)
        update_rows(optimizer, classifier)
    found["state"] = {name: value for name, value in classifier.state_dict().items() if name != "_extra_state"}
    momenta = {name: optimizer.state[p]["momentum_buffer"] for name, p in classifier.named_parameters()}
    found["momentum"] = momenta["weight"]
    return found, classifier, momenta


def first_gradient(case, group):
    """Loss and gradients of the whole batch as autograd gives them."""
    classifier = classifier_of(case, group)
    embeddings, labels = case.batch()
    own = classifier.shard.own
    inputs = own(embeddings).clone().requires_grad_()
    classifier.begin(own(labels), case.rate, torch.Generator().manual_seed(0))
    loss = classifier(inputs, own(labels)).loss
    loss.backward()
    sample = classifier.sample
    return {
        "loss": loss.item(),
        "embeddings": inputs.grad / classifier.shard.processes,
        "weight": classifier.weight.grad,
        "bias": None if classifier.bias is None else classifier.bias.grad,
        "sample": None if sample is None else sample + classifier.shard.start,
    }


def saved(classifier, momenta):
    """What a checkpoint of several processes has of a classifier."""
    of = {f"momentum.{name}": classifier.shard.global_tensor(tensor) for name, tensor in momenta.items()}
    return {**classifier.global_state(), **of}


def work(rank, folder):
    """All cases in all groups that this process is in; the results go into ``folder``."""
    torch.set_num_threads(1)
    folder = Path(folder)
    store = dist.FileStore(str(folder / "store"), 4)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=4)
    groups = {world: dist.new_group(list(range(world))) for world in WORLDS}
    for world, group in groups.items():
        if rank >= world:
            continue
        results = {}
        for case in cases():
            torch.manual_seed(100 + rank)  # a network's draws differ between processes, a margin's must not
            gradients = first_gradient(case, group)
            trained = None
            if case.trains:
                trained, classifier, momenta = train(case, group)
                if case == SAVED:
                    state = saved(classifier, momenta)
                    checkpoint.save(state, checkpoint_id=folder / f"checkpoint-{world}", process_group=group)
            results[case] = gradients, trained
        torch.save({tuple(case): found for case, found in results.items()}, folder / f"{world}-{rank}.pt")
    dist.barrier()
    resharded = {}
    for before, world in RESHARDED:
        if rank < world:
            classifier = classifier_of(SAVED, groups[world])
            momenta = {name: torch.zeros_like(p) for name, p in classifier.named_parameters()}
            state = saved(classifier, momenta)
            checkpoint.load(state, checkpoint_id=folder / f"checkpoint-{before}", process_group=groups[world])
            resharded[before, world] = classifier.weight.detach(), momenta["weight"]
    torch.save(resharded, folder / f"resharded-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
