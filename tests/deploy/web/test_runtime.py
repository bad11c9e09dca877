"""onnxruntime-web's files: read out of what the user or npm has, and nothing that is not they."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from lwface.base.errors import UserError
from lwface.deploy.web import runtime
from lwface.deploy.web.runtime import GLUE, SCRIPT, SHA256, VERSION, WASM, check_source, read_runtime
from tests.deploy.web.conftest import FAKE, write_package

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Put a program called npm on the path, alone, that does what it is told."""

    def put(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    return put


def known_as(monkeypatch, files):
    """Take ``files`` for those of the version that is known."""
    banner = FAKE[SCRIPT].replace(b"9.9.9", VERSION.encode())
    monkeypatch.setattr(
        runtime, "SHA256", {name: runtime.hashlib.sha256(data).hexdigest() for name, data in files.items()}
    )
    return banner


@pytest.mark.parametrize("form", ["package", "folder", "dist"])
def test_it_is_read_wherever_the_user_has_it(form, package, tmp_path):
    dist = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name, data in FAKE.items():
        (dist / name).write_bytes(data)
    found = read_runtime({"package": package, "folder": dist.parent, "dist": dist}[form])
    assert (found.script, found.glue, found.wasm) == (FAKE[SCRIPT], FAKE[GLUE], FAKE[WASM])
    assert found.version == "9.9.9"
    assert found.note == f"onnxruntime-web 9.9.9: the page was tested with {VERSION}"


def test_nothing_is_written_where_a_package_is_read(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    read_runtime(package)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("altered", sorted(SHA256))
def test_the_known_version_must_be_the_known_files(altered, tmp_path, monkeypatch):
    files = {**FAKE, SCRIPT: FAKE[SCRIPT].replace(b"9.9.9", VERSION.encode())}
    known_as(monkeypatch, files)
    assert read_runtime(write_package(tmp_path / "good.tgz", files)).note == ""
    package = write_package(tmp_path / "bad.tgz", {**files, altered: files[altered] + b"\n"})
    with pytest.raises(UserError, match=f"its {altered} is not that of onnxruntime-web {VERSION}: damaged or altered"):
        read_runtime(package)


@pytest.mark.parametrize("missing", sorted(SHA256))
def test_a_package_without_a_file_is_refused(missing, tmp_path):
    package = write_package(tmp_path / "p.tgz", {name: data for name, data in FAKE.items() if name != missing})
    with pytest.raises(UserError, match=f"has no {missing}; expected the package onnxruntime-web"):
        read_runtime(package)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no ort.wasm.min.js"):
        read_runtime(tmp_path / "empty")


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("/*! ONNX Runtime Web v1 */ secret")
    package = tmp_path / "p.tgz"
    with tarfile.open(package, "w:gz") as archive:
        for name in FAKE:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            archive.addfile(member)
    with pytest.raises(UserError, match=r"has no ort.wasm.min.js"):
        read_runtime(package)


def test_what_is_too_large_is_refused(package, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "LARGEST_FILE", 1000)
    with pytest.raises(UserError, match=r"its ort-wasm\S+ is larger than"):
        read_runtime(package)
    (tmp_path / WASM).write_bytes(FAKE[WASM])
    with pytest.raises(UserError, match=r"ort-wasm-simd-threaded.wasm: is larger than"):
        read_runtime(tmp_path)
    monkeypatch.setattr(runtime, "LARGEST_FILE", 10**9)
    monkeypatch.setattr(runtime, "LARGEST_PACKAGE", 1000)
    with pytest.raises(UserError, match=r"is larger than onnxruntime-web can be"):
        read_runtime(package)


def test_what_is_no_package_is_one_line(package, tmp_path):
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(package.read_bytes()[:900])
    text = tmp_path / "text.tgz"
    text.write_text("no package")
    for path in (cut, text):
        with pytest.raises(UserError, match=f"{path.name}: cannot be read as a package of npm's"):
            read_runtime(path)
    silent = write_package(tmp_path / "silent.tgz", {**FAKE, SCRIPT: b"var ort = {};"})
    with pytest.raises(UserError, match=r"does not say which version it is"):
        read_runtime(silent)


def test_without_npm_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no npm .* --onnxruntime-web DIR\|TGZ takes one that you fetched"):
        check_source(None)
    with pytest.raises(UserError, match=r"none: there is no such folder or file"):
        check_source(tmp_path / "none")
    check_source(tmp_path)


def test_what_npm_gives_must_be_the_known_package(npm, package, monkeypatch, capfd):
    npm(f'[ "$1 $2" = "pack onnxruntime-web@{VERSION}" ] && cp "{package}" .')
    with pytest.raises(UserError, match=r"is another package \(SHA-512 .*\): refused"):
        read_runtime(None)
    digest = runtime.hashlib.sha512(package.read_bytes()).digest()
    monkeypatch.setattr(runtime, "INTEGRITY", runtime.base64.b64encode(digest).decode())
    assert read_runtime(None).wasm == FAKE[WASM]
    assert "from npm, 33 MB" in capfd.readouterr().err


def test_npm_that_fails_is_one_line(npm):
    npm("echo 'npm error code ENOTFOUND' >&2; echo more >&2; exit 1")
    with pytest.raises(UserError, match=r"npm cannot fetch onnxruntime-web .*\(npm error code ENOTFOUND\): --onnx"):
        read_runtime(None)


def test_the_benchmark_has_the_same_version():
    assert (ROOT / "benchmarks/peers/requirements/web.txt").read_text().split()[0] == f"onnxruntime-web@{VERSION}"
