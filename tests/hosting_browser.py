"""A course from nothing to a scored submission by the commands of docs/hosting.md, in headless Chromium.

    python tests/hosting_browser.py

A command, not a test: ``make host-check``. It makes the challenge, hosts it, and lets
``tests/hosting_browser_peer.py``, in an environment of its own, sign up by the invites, hand in (with the connection
breaking off), watch, read the board and organise, on a phone's and a desk's width, in light and in dark;
then a program hands in, as the page says. It fails where a page complains, is wider than the phone, or cannot be
reached by the keyboard. Screenshots go to ``--screenshots``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hosting_postgres import free_port

ROOT = Path(__file__).resolve().parents[1]


def documented() -> list[list[str]]:
    """The commands of the docs' first section, in order."""
    section = (ROOT / "docs" / "hosting.md").read_text().partition("\n## ")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"^    (lwface .*)$", section, re.MULTILINE)]


def started(command: list[str], folder: Path, port: int) -> tuple[subprocess.Popen[str], str]:
    """The server, and the link that it prints."""
    log = folder / "host.log"
    with open(log, "w") as file:
        process = subprocess.Popen([*command, "--port", str(port)], cwd=folder, stdout=file, text=True)
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        if found := re.search(r"comes by (\S+)", log.read_text()):
            return process, found[1]
        time.sleep(0.1)
    raise SystemExit(f"it does not start: {log.read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", type=Path, default=ROOT / "build" / "hosting-screenshots")
    parser.add_argument("--peer", default=str(ROOT / ".venv-web" / "bin" / "python"), help="a Python with playwright")
    arguments = parser.parse_args()
    arguments.screenshots.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    new, host, submit = ([sys.executable, "-m", "lwface", *command[1:]] for command in documented())
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": name}
        os.environ.update(environment)
        subprocess.run(new, cwd=folder, check=True)
        server, link = started(host, folder, port)
        try:
            sample = folder / next(word for word in submit if "sample_submission" in word)
            case = {"link": link, "sample": str(sample), "screenshots": str(arguments.screenshots.resolve())}
            command = [arguments.peer, str(ROOT / "tests" / "hosting_browser_peer.py"), json.dumps(case)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            print(done.stderr, end="")
            if done.returncode:
                sys.exit("FAILED in the browser")
            key = json.loads(done.stdout)["key"]
            words = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in submit]
            subprocess.run(words, cwd=folder, check=True, env={**environment, "LWFACE_KEY": key})
        finally:
            server.terminate()
            server.wait()
    print(f"ok: from nothing to a scored submission, and all pages, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
