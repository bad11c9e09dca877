"""What ``pip install`` installs: the package ``lwface`` with all its modules, its command, and nothing else."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.fresh_install import WHEEL_BYTES, copy_tracked, tracked_files

ROOT = Path(__file__).resolve().parents[1]
SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


def run(*command, cwd):
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(source, output):
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-w", output)
    run("-m", "pip", "wheel", *options, source, cwd=output)
    (wheel,) = output.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("what belongs to the project is told by git, and this is no clone")
    copy_tracked(ROOT, folder := tmp_path_factory.mktemp("source"))
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    with zipfile.ZipFile(build_wheel(source, tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


def dist_info(wheel):
    return next(name.partition("/")[0] for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(wheel.namelist())
    assert {name.partition("/")[0] for name in names} == {"lwface", dist_info(wheel)}
    expected = {name for name in tracked_files(ROOT) if name.startswith("lwface/")}
    assert {name for name in names if name.startswith("lwface/")} == expected
    assert "lwface/py.typed" in expected
    assert Path(str(wheel.filename)).stat().st_size < WHEEL_BYTES


def test_the_sample_configuration_is_inside(wheel):
    sample = "sample_config.py"
    assert (ROOT / "lwface" / "settings" / sample).is_symlink()
    assert wheel.read(f"lwface/settings/{sample}") == (ROOT / sample).read_bytes()


def test_its_name_its_command_and_its_licence(wheel):
    metadata = Parser().parsestr(wheel.read(f"{dist_info(wheel)}/METADATA").decode())
    assert metadata["Name"] == "lightweight-face-recognition"
    assert {"onnx", "openvino", "search"} <= set(metadata.get_all("Provides-Extra"))
    points = configparser.ConfigParser()
    points.read_string(wheel.read(f"{dist_info(wheel)}/entry_points.txt").decode())
    assert {name: dict(points[name]) for name in points.sections()} == {
        "console_scripts": {"lwface": "lwface.commands:main"}
    }
    assert f"{dist_info(wheel)}/licenses/LICENSE" in wheel.namelist()


def test_a_wheel_by_way_of_the_source_distribution_is_the_same(wheel, source, tmp_path):
    sdist = tmp_path / run("-c", SDIST, tmp_path, cwd=source).splitlines()[-1]
    with zipfile.ZipFile(build_wheel(sdist, tmp_path)) as other:
        assert sorted(other.namelist()) == sorted(wheel.namelist())
        assert {name: other.read(name) for name in other.namelist() if name.startswith("lwface/")} == {
            name: wheel.read(name) for name in wheel.namelist() if name.startswith("lwface/")
        }


def test_it_works_in_a_folder_with_modules_of_the_same_names_as_ours(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")
    hostile = tmp_path / "elsewhere"
    hostile.mkdir()
    for name in ("config", "sample_config", "common", "datasets", "eval", "recognition"):
        (hostile / f"{name}.py").write_text("raise RuntimeError")
    begin = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); sys.path.insert(0, ''); "
    found = run(
        "-c", begin + "import lwface; lwface.load_model, lwface.FaceRecords; print(lwface.__file__)", cwd=hostile
    )
    assert found == f"{tmp_path / 'installed' / 'lwface' / '__init__.py'}\n"
    helped = run("-c", begin + "from lwface.commands import main; main()", "--help", cwd=hostile)
    assert helped.startswith("usage: lwface COMMAND")
