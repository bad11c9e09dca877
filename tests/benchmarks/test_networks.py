"""The page of all networks: what it says is what the code says. Counts are compared in the registry's suite."""

import importlib
import json
import sys
from pathlib import Path

import network_table
import pytest
from network_table import Cost, cost_cells, cost_of, render

from lwface.base.errors import UserError
from lwface.settings import sample_config

ROOT = Path(__file__).resolve().parents[2]
LIGHT = Cost(2**30, {}, 5242870, 10, 20 * 2**20, 512, "float32")


def changed(**figures):
    return Cost(**{**vars(LIGHT), **figures})


@pytest.mark.parametrize(
    ("cost", "light", "large"),
    [
        (LIGHT, "yes: 100.0%, 100.0%", "yes: 3.3%"),
        (changed(flops=2**30 + 1), "**no**: 100.0%, 100.0%", "yes: 3.3%"),
        (changed(model_bytes=20 * 2**20 + 4), "**no**: 100.0%, 100.0%", "yes: 3.3%"),
        (changed(flops=30 * 2**30), "**no**: 3000.0%, 100.0%", "yes: 100.0%"),
        (changed(flops=30 * 2**30 + 1), "**no**: 3000.0%, 100.0%", "**no**: 100.0%"),
        (changed(embedding=513), "**no**: 100.0%, 100.0%", "**no**: 3.3%"),
        (changed(number_type="float16"), "**no**: 100.0%, 100.0%", "**no**: 3.3%"),
    ],
)
def test_each_size_of_track_admits_what_its_budget_does(cost, light, large):
    assert cost_cells("net", cost)[1:3] == (light, large)


def test_all_that_the_official_counter_does_not_see_is_named():
    cells = cost_cells("net", changed(uncounted={"attention": 1_300_000, "deconvolution": 45}))
    assert cells[4] == "attention 1.3M, deconvolution 45.0"


def document_rows():
    lines = (ROOT / "docs" / "networks.md").read_text().splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("| ")]
    return {row[0]: row for row in cells if row[0] in sample_config.network and len(row) > 9}


def test_the_page_is_the_one_that_the_code_and_the_measured_speeds_make(monkeypatch):
    rows = document_rows()
    assert rows.keys() <= sample_config.network.keys(), "run make networks"
    monkeypatch.setattr(sample_config, "network", {name: sample_config.network[name] for name in rows})
    monkeypatch.setattr(network_table, "cost_cells", lambda name, cost: rows[name][:9])
    speeds = json.loads((ROOT / "benchmarks" / "network_speeds.json").read_text())
    text = render(dict.fromkeys(rows, LIGHT), speeds)
    assert text == (ROOT / "docs" / "networks.md").read_text(), "run make networks"


def test_command_measures_writes_and_compares(tmp_path, monkeypatch, capsys):
    command = importlib.import_module("benchmarks.networks")
    monkeypatch.setattr(sample_config, "network", {name: sample_config.network[name] for name in ("y1", "m025")})
    monkeypatch.setattr(command, "SPEEDS", tmp_path / "speeds.json")
    monkeypatch.setattr(command.torch.cuda, "is_available", lambda: False)
    page = tmp_path / "networks.md"

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["networks.py", *map(str, arguments)])
        return command.main()

    with pytest.raises(UserError, match="no such file"):
        run("--check", page)
    assert run("--output", page, "--repeats", 1) == 0
    speeds = json.loads((tmp_path / "speeds.json").read_text())["cpu"]["speeds"]
    assert speeds.keys() == {"y1", "m025"}
    assert all(number > 0 for speed in speeds.values() for number in speed.values())
    text = page.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| y1 "))
    assert row.startswith(f"| {' | '.join(cost_cells('y1', cost_of('y1')))} | {speeds['y1']['milliseconds']:.1f} |")
    assert row.endswith("| — | — | — |")
    assert "GPU: not measured: no GPU" in text
    assert "[arXiv 1804.07573](https://arxiv.org/abs/1804.07573)" in text
    assert text.index("| m025 |") < text.index("| y1 |")  # by FLOPs
    assert run("--check", page) == 0
    assert run("--output", tmp_path / "again.md", "--keep-speeds") == 0
    assert (tmp_path / "again.md").read_text() == text
    assert run("--output", page, "--repeats", 1, "--only", "m025") == 0
    kept = json.loads((tmp_path / "speeds.json").read_text())
    assert kept["cpu"]["speeds"]["y1"] == speeds["y1"]
    with pytest.raises(UserError, match=r"--only m05: expected some of y1, m025"):
        run("--only", "m05")
    kept["cpu"]["machine"] = "another"
    (tmp_path / "speeds.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=r"the other figures are of another, this is .*: measure all"):
        run("--repeats", 1, "--only", "m025")
    text = page.read_text()
    page.write_text(text.replace("439821056", "439821057"))
    capsys.readouterr()
    assert run("--check", page) == 1
    assert "439821057" in capsys.readouterr().out
