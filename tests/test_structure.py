"""The house rules that a machine can check: which way imports point, what a door is, that the README is true."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from lwface.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOORS = sorted(
    [
        *(
            path
            for folder in (
                "common",
                "recognition",
                "eval",
                "datasets",
                "landmarks",
                "sequences",
                "montage",
                "challenge",
            )
            for path in (ROOT / folder).glob("*.py")
        ),
        *ROOT.glob("gen_*.py"),
    ]
)


def _rooms() -> list[str]:
    """The rooms of the library in the order of the README's tree: from the ground up."""
    tree = re.search(r"^lwface/ .*\n((?:    .*\n)+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    return [line.split("/")[0].strip() for line in tree[1].splitlines() if line.split()[0].endswith("/")]


ROOMS = _rooms()
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "lwface").rglob("*.py")
}


def _imports(path: Path) -> set[str]:
    """The modules of the library that a file imports, inside functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in LOADERS:
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found & MODULES.keys()


LOADERS = ("import_module", "load")
IMPORTS = {module: _imports(path) - {module} for module, path in MODULES.items()}


def test_every_room_is_in_the_tree():
    assert sorted(ROOMS) == sorted(path.name for path in (ROOT / "lwface").iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("module", sorted(module for module in MODULES if module.count(".") > 1))
def test_arrows_point_down(module):
    room = module.split(".")[1]
    below = ROOMS[: ROOMS.index(room) + 1]
    for other in IMPORTS[module]:
        assert other.partition(".")[2].partition(".")[0] in below, f"{module} imports {other}"


def test_programs_do_not_reach_into_commands():
    assert not [other for other in IMPORTS["lwface.library"] if other.startswith("lwface.commands")]


def test_no_import_circle():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(IMPORTS[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("path", sorted(DOORS), ids=lambda path: path.name)
def test_a_door_is_a_door(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    assert not path.with_name("__init__.py").exists()
    tree = ast.parse(text)
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"lwface.commands"}
    (name,) = [node.args[0].value for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert name in COMMANDS
    # The same steps for points as for faces: landmarks/train.py is train-landmarks.
    # The montage has one door with commands of its own, as its challenge types it.
    assert name.replace("-", "_") in (path.stem, f"{path.stem}_{path.parent.name}", "gate") or (
        (path.parent.name, path.stem) == (name, "cli")
    )


def test_every_command_has_a_door_and_a_module():
    names = {re.search(r'run\("([\w-]+)"\)', path.read_text())[1] for path in DOORS}
    assert names == set(COMMANDS)
    assert all(f"lwface.commands.{name.replace('-', '_')}" in MODULES for name in COMMANDS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_file_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text()))


def test_no_script_patches_the_path():
    scripts = [*DOORS, *MODULES.values(), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tests").glob("*.py")]
    patched = [path.name for path in scripts if re.search(r"^\s*sys\.path\b", path.read_text(), re.MULTILINE)]
    assert patched == ["parity_mxnet.py"]  # it runs beside MXNet, on the original's own scripts


def test_no_public_class_has_the_name_of_another():
    names: dict[str, str] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert node.name not in names, f"{node.name} in {module} and {names[node.name]}"
                names[node.name] = module


@pytest.mark.parametrize("script", [str(path.relative_to(ROOT)) for path in DOORS])
def test_every_door_explains_itself_from_any_folder(script, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {Path(script).name} ")


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_benchmark_explains_itself_from_any_folder(script, tmp_path, monkeypatch, capsys):
    path = ROOT / "benchmarks" / script
    if 'if __name__ == "__main__"' not in path.read_text():
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])  # as Python runs a file
    with pytest.raises(SystemExit) as end:  # in this process: each imports much, and the same
        runpy.run_path(str(path), run_name="__main__")
    assert not end.value.code
    assert capsys.readouterr().out.startswith(f"usage: {script} ")


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
