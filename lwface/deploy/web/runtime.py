"""onnxruntime-web's files, from its npm package: fetched by npm, or from where the user has them.

The package is known by its digest, and nothing is unpacked onto the disk: the three files needed are read out of it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lwface.base.errors import UserError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # SHA-512
SCRIPT, GLUE, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
SHA256 = {
    SCRIPT: "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    GLUE: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
LARGEST_FILE = 64 * 2**20
LARGEST_PACKAGE = 2**30  # bytes, unpacked
_BANNER = re.compile(rb"ONNX Runtime Web v(\S+)")
_ELSEWHERE = f"--{PACKAGE} DIR|TGZ takes one that you fetched: the package's folder, or what npm pack {PACKAGE} writes"


@dataclass(frozen=True)
class WebRuntime:
    """``script`` is run by the page, which has it import ``glue``, which starts ``wasm``."""

    version: str
    script: bytes
    glue: bytes
    wasm: bytes

    @property
    def note(self) -> str:
        """What is to be said of a version that was not tried; empty for the one that was."""
        return "" if self.version == VERSION else f"{PACKAGE} {self.version}: the page was tested with {VERSION}"


def check_source(source: Path | None) -> None:
    """:class:`UserError` where there is nothing to read at ``source``; None: where there is no npm."""
    if source is None and shutil.which("npm") is None:
        raise UserError(f"there is no npm to fetch {PACKAGE} {VERSION} with: install Node.js, or {_ELSEWHERE}")
    if source is not None and not source.exists():
        raise UserError(f"--{PACKAGE} {source}: there is no such folder or file")


def read_runtime(source: Path | None) -> WebRuntime:
    """The files of the package at ``source``, a folder or a .tgz; None: npm fetches it, and keeps it for another time.

    Raises:
        UserError: npm fails, the package is not the one expected, damaged, or without one of the files.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            return _checked(_in_package(fetch_package(Path(folder))), f"{PACKAGE} {VERSION} from npm")
    found = _in_folder(source) if source.is_dir() else _in_package(source)
    return _checked(found, f"--{PACKAGE} {source}")


def fetch_package(folder: Path) -> Path:
    """The package as npm gives it, in the empty ``folder``; :class:`UserError` where it is not the known one."""
    print(f"{PACKAGE} {VERSION} from npm, 33 MB if it is not kept from before", file=sys.stderr)
    command = [shutil.which("npm") or "npm", "pack", f"{PACKAGE}@{VERSION}"]
    command += ["--ignore-scripts", "--prefer-offline", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    packages = list(folder.glob("*.tgz"))
    if done.returncode or len(packages) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
        raise UserError(f"npm cannot fetch {PACKAGE} {VERSION} ({said[0].strip()[:200]}): {_ELSEWHERE}")
    digest = base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        other = f"another package (SHA-512 {digest[:16]}...)"
        raise UserError(f"what npm gives as {PACKAGE} {VERSION} is {other}: refused")
    return packages[0]


def _in_folder(folder: Path) -> dict[str, bytes]:
    """The files in the folder of a package, or in its ``dist``."""
    found = {}
    for name in SHA256:
        place = next((path for path in (folder / "dist" / name, folder / name) if path.is_file()), None)
        if place:
            if place.stat().st_size > LARGEST_FILE:
                raise UserError(f"{place}: is larger than {PACKAGE}'s can be")
            found[name] = place.read_bytes()
    return found


def _in_package(package: Path) -> dict[str, bytes]:
    """The files in a .tgz as npm makes it; what else it holds is passed over."""
    wanted = {f"package/dist/{name}": name for name in SHA256}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(package, "r:gz") as archive:
            for member in archive:
                if archive.offset > LARGEST_PACKAGE:
                    raise UserError(f"{package}: is larger than {PACKAGE} can be")
                name = wanted.get(member.name)
                if name is None or not member.isfile():
                    continue
                if member.size > LARGEST_FILE:
                    raise UserError(f"{package}: its {name} is larger than {PACKAGE}'s can be")
                content = archive.extractfile(member)
                assert content is not None  # of a plain file
                found[name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{package}: cannot be read as a package of npm's ({error}); fetch it again") from None
    return found


def _checked(found: Mapping[str, bytes], what: str) -> WebRuntime:
    """The runtime of files by name; those of the version that is known must be the known ones."""
    missing = [name for name in SHA256 if name not in found]
    if missing:
        raise UserError(f"{what}: has no {missing[0]}; expected the package {PACKAGE}, such as {VERSION}")
    banner = _BANNER.search(found[SCRIPT][:1000])
    if not banner:
        raise UserError(f"{what}: its {SCRIPT} does not say which version it is")
    version = banner[1].decode(errors="replace")
    for name, digest in SHA256.items():
        if version == VERSION and hashlib.sha256(found[name]).hexdigest() != digest:
            raise UserError(
                f"{what}: its {name} is not that of {PACKAGE} {VERSION}: damaged or altered; fetch it again"
            )
    return WebRuntime(version, found[SCRIPT], found[GLUE], found[WASM])
