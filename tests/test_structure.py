"""The house rules that a machine can check: which way imports point, and that the README's tree is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOORS = sorted(
    [
        *(path for folder in ("common", "recognition", "eval", "datasets") for path in (ROOT / folder).glob("*.py")),
        *ROOT.glob("gen_*.py"),
    ]
)


@pytest.mark.parametrize(
    "script", [str(path.relative_to(ROOT)) for path in [*sorted(DOORS), *sorted((ROOT / "benchmarks").glob("*.py"))]]
)
def test_every_command_explains_itself_from_any_folder(script, tmp_path):
    if 'if __name__ == "__main__"' not in (ROOT / script).read_text():
        return
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")


def test_the_tree_of_the_readme_is_true():
    block = re.search(r"```text\n(README\.md .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block, "the README has no tree"
    listed: set[str] = set()
    folders: list[str] = []
    for line in block.group(1).splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        folders = [*folders[: indent // 4], name]
        path = "".join(folders) if name.endswith("/") or indent else name
        assert (ROOT / path).exists(), f"{path} is in the README's tree but not in the project"
        listed.add(path)


def test_the_figures_of_the_readme_are_those_of_the_page_of_networks():
    text = (ROOT / "docs" / "networks.md").read_text()
    page = dict(re.findall(r"^\| (\w+) \| ((?:yes|\*\*no\*\*): .*)\|$", text, re.MULTILINE))
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| ([\w, ]+) \|", readme, re.MULTILINE)
    assert len(rows) > 5
    for name, flops, params, embedding, tracks in rows:
        cells = [cell.strip() for cell in page[name].split("|")]
        assert [cells[2], cells[4], cells[7]] == [flops, params, embedding], name
        admitted = [size for size, cell in zip(("light", "large"), cells, strict=False) if cell.startswith("yes")]
        assert ", ".join(admitted) == tracks, name
    assert f"has all {len(page)}" in readme
