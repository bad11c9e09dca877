"""The front is by its definition; the table, the JSON and the plot say what the rows say; an entry pastes back."""

import dataclasses
import json
import random
import re

import pytest
from easydict import EasyDict

from lwface.gate.budgets import get_track
from lwface.gate.flops import count_flops
from lwface.networks import create_network
from lwface.search.plot import write_plots
from lwface.search.results import (
    BASELINE,
    COMPLETE,
    PRUNED,
    Row,
    as_json,
    described,
    entry,
    front,
    ranked,
    table,
    winner_of,
)
from lwface.search.space import family_settings, on_meta, tensor_digest
from lwface.settings.resolve import network_settings

TRACK = get_track("deepglint-light")
MOBILE = {"net_name": "fmobilefacenet", "net_blocks": [0, 1, 2, 1], "net_widths": [8, 12, 16, 24, 48], "emb_size": 64}
RESIDUAL = {"net_name": "fresnet", "net_units": [1, 1, 2, 1], "net_widths": [16, 16, 16, 20, 24], "net_output": "GNAP"}


def row(name, tar, flops, state=COMPLETE, step=60, settings=MOBILE):
    return Row(
        name=name,
        state=state,
        tar=tar,
        scores=[[step // 2, tar / 2], [step, tar]],
        flops=flops,
        model_bytes=4000,
        params=1000,
        settings=family_settings(settings),
        parameters={"share": 0.5},
        digest="",
        diverged=False,
        seconds=1.0,
    )


def trained(settings):
    """A row of a network as the search writes it."""
    network = on_meta(settings)
    return dataclasses.replace(
        row("7", 0.25, count_flops(network).flops, settings=settings), digest=tensor_digest(network)
    )


def test_front_is_what_nothing_dominates():
    chance = random.Random(0)
    rows = [row(str(i), chance.randrange(12) / 12, chance.randrange(10**8, 10**9)) for i in range(60)]
    rows += [row("pruned", 0.99, 10**8, PRUNED)]
    complete = rows[:60]
    expected = {
        r.name
        for r in complete
        if not any(
            (o.tar >= r.tar and o.flops < r.flops) or (o.tar > r.tar and o.flops <= r.flops)
            for o in complete
            if o is not r
        )
    }
    assert {r.name for r in front(rows)} == expected
    flops = [r.flops for r in front(rows)]
    assert flops == sorted(flops)
    assert [r.name for r in front(list(reversed(rows)))] == [r.name for r in front(rows)]


def test_best_first_and_pruned_last():
    rows = [
        row("late", 0.9, 100, PRUNED, step=40),
        row("cheap", 0.3, 50),
        row("dear", 0.3, 100),
        row("early", 0.95, 10, PRUNED, step=20),
        row("best", 0.4, 90),
        row("y1", 0.8, 80, BASELINE),
    ]
    assert [r.name for r in ranked(rows)] == ["y1", "best", "cheap", "dear", "late", "early"]
    assert winner_of(rows).name == "best"  # a baseline is not found, and a pruned one's TAR is of another step
    assert winner_of([rows[0], rows[-1]]) is None


def test_table_and_json_agree():
    rows = [row("1", 0.25, 5 * 10**8), row("2", 0.125, 10**8, PRUNED, 20), row("y1", 0.2, 10**8, BASELINE)]
    rows.append(dataclasses.replace(row("3", 0.0, 10**8), diverged=True))
    lines = table(rows, TRACK).splitlines()
    assert re.split(r"\s{2,}", lines[1].strip())[:6] == [["*", "1"][0], "1", "0.2500", "60", "500.0M", "47%"]
    assert "20 pruned" in lines[4]
    assert "0.0000!" in lines[3]
    found = json.loads(json.dumps(as_json(rows, {"seed": 0}, TRACK), allow_nan=False))
    assert [network["name"] for network in found["networks"]] == ["1", "y1", "3", "2"]
    assert (found["winner"], found["front"], found["flops_limit"]) == ("1", ["y1", "1"], 1024**3)
    assert found["networks"][3]["scores"] == [[10, 0.0625], [20, 0.125]]


def test_description_names_what_is_searched():
    text = described(family_settings({**RESIDUAL, "net_attention": "cbam"}))
    assert text == ("residual 1-1-2-1, widths 16-16-16-20-24, x 1-1-1-1, kernels 3-3-3-3, cbam, 512, stem 1, head GNAP")
    assert described(family_settings(MOBILE)).startswith("mobile 0-1-2-1, widths 8-12-16-24-48, x 1-2-2-4-2-4-2")
    assert described({"net_name": "fmobilenet"}) == "fmobilenet"


@pytest.mark.parametrize("settings", [MOBILE, RESIDUAL], ids=["mobile", "residual"])
def test_a_pasted_entry_is_the_network_that_was_trained(settings, configured):
    text = entry(trained(settings), "mine", ["a note"])
    assert text.startswith("# a note\nnetwork.mine = edict()\nnetwork.mine.net_name = ")
    # A user's own changes to the defaults of all networks must not reach what was found.
    configured.config.update(
        net_act="relu", emb_size=99, net_output="J", net_se=1, net_input=2, net_blocks=[9, 9, 9, 9]
    )
    exec(text, {"network": configured.network, "edict": EasyDict})
    pasted = create_network(network_settings("mine"))
    assert {name: tensor.shape for name, tensor in pasted.state_dict().items()} == {
        name: tensor.shape for name, tensor in create_network(settings).state_dict().items()
    }
    assert count_flops(pasted).flops == trained(settings).flops
    assert [type(a) for a in pasted.modules()] == [type(b) for b in create_network(settings).modules()]


def test_an_entry_of_another_network_cannot_be_written():
    wrong = dataclasses.replace(trained(MOBILE), digest=tensor_digest(on_meta({**MOBILE, "emb_size": 65})))
    with pytest.raises(AssertionError, match="another network than the one trained"):
        entry(wrong, "mine", [])


def test_plots_are_the_same_for_the_same_rows_and_name_what_they_show(tmp_path):
    rows = [row("1", 0.25, 5 * 10**8), row("2", 0.125, 10**8, PRUNED, 20), row("y1", 0.2, 10**8, BASELINE)]
    rows.append(row("3", 0.3, 9 * 10**8, settings=RESIDUAL))
    first = write_plots(tmp_path, rows, TRACK, far="0.001", proxy="60 steps of 32 images of faces")
    contents = [path.read_bytes() for path in first]
    assert contents[0].startswith(b"\x89PNG")
    text = contents[1].decode()
    for words in ("limit of deepglint-light, 1.1G", "trial 3: 0.300", "mobile, pruned", "residual", "TAR at FAR 0.001"):
        assert words in text
    assert ">y1<" in text
    again = write_plots(tmp_path, rows, TRACK, far="0.001", proxy="60 steps of 32 images of faces")
    assert [path.read_bytes() for path in again] == contents
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("tars", [[0.0], [0.0, 0.0]])
def test_plots_of_networks_that_learnt_nothing(tmp_path, tars):
    rows = [row(str(i), tar, 10**8, PRUNED if i else COMPLETE) for i, tar in enumerate(tars)]
    assert all(path.stat().st_size for path in write_plots(tmp_path, rows, TRACK, far="0.1", proxy="1 step"))
