"""The house rules that a machine can check: which way imports point, and that the README's tree is true."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("common", "recognition", "eval", "datasets", "benchmarks")
MAY_IMPORT = {
    "common": {"common"},
    "eval": {"common", "eval"},
    "recognition": {"common", "eval", "recognition", "config", "sample_config"},
    "datasets": {"common", "datasets"},
}


def _modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _is_script(path: Path) -> bool:
    return 'if __name__ == "__main__"' in path.read_text()


def _imports(path: Path, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    if package not in MAY_IMPORT:
        return
    ours = {name.split(".")[0] for name in _imports(path, top_level_only=_is_script(path))}
    project = {*PACKAGES, "config", "sample_config", "gen_image_feature", "gen_video_feature"}
    assert ours & project <= MAY_IMPORT[package]


def test_nothing_imports_a_script():
    # common/feature_file.py is a format first; that it can also be run is a convenience
    scripts = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for path in _modules()
        if _is_script(path) and path != ROOT / "common" / "feature_file.py"
    }
    for path in _modules():
        assert not scripts & _imports(path, top_level_only=False), path


@pytest.mark.parametrize(
    "script",
    [str(path.relative_to(ROOT)) for path in [*_modules(), *sorted(ROOT.glob("gen_*.py"))] if _is_script(path)],
)
def test_every_command_explains_itself_from_any_folder(script, tmp_path):
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
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for file in tracked:
        if file.endswith(".py") and not file.endswith("__init__.py") and not file.startswith("tests/"):
            assert file in listed or f"{Path(file).parent}/" in listed - {f"{p}/" for p in PACKAGES}, (
                f"{file} is missing in the README's tree"
            )


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
