import errno
import os
import subprocess
import sys

import pytest

from lwface.base.commands import run_command
from lwface.base.errors import UserError, unknown_name
from lwface.base.files import replacing, write_json
from lwface.base.registry import Registry


def _run(function) -> int:
    with pytest.raises(SystemExit) as exit_info:
        run_command(function)
    return exit_info.value.code


def test_exit_status_and_one_line(capsys):
    def fails():
        raise UserError("first\nsecond")

    assert _run(fails) == 2
    assert capsys.readouterr().err == "error: first second\n"
    assert _run(lambda: None) == 0
    assert _run(lambda: 1) == 1


def test_a_missing_file_is_one_line(capsys):
    assert _run(lambda: os.listdir("/no/such/folder") and None) == 2
    assert capsys.readouterr().err == "error: /no/such/folder: No such file or directory\n"


def test_a_full_disk_names_the_file_and_the_remedy(tmp_path, capsys):
    def fills():
        with replacing(tmp_path / "model"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert _run(fills) == 2
    remedy = "make room, then give the same command again, with --resume if it takes that"
    assert capsys.readouterr().err == f"error: {tmp_path}/model: No space left on device: {remedy}\n"


def test_interrupt(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert _run(interrupted) == 130


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_a_reader_that_left_is_no_error():
    code = (
        "from lwface.base.commands import run_command\nrun_command(lambda: [print(i) for i in range(100000)] and None)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.wait() == 0
    assert writer.stderr.read() == b""


def test_nearest_name():
    assert "did you mean 'y2'" in str(unknown_name("network", "y22", ["y2", "r100"]))
    assert "did you mean" not in str(unknown_name("network", "zzz", ["y2", "r100"]))


def test_replacing_keeps_the_old_file_on_an_error(tmp_path):
    path = tmp_path / "a" / "file"
    with replacing(path) as file:
        file.write(b"old")

    def fails() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_registry():
    registry: Registry = Registry("thing")

    @registry.register
    def first(): ...

    assert registry["first"] is first
    assert list(registry) == ["first"]
    with pytest.raises(ValueError, match="registered twice"):
        registry.register_as("first")(len)
    with pytest.raises(UserError, match="unknown thing 'frist': did you mean 'first'"):
        registry["frist"]
