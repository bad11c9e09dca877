"""Headless Chromium without a driver, for tests: what a page became, and a measure of it from outside.

The measuring page holds unchanged pages in frames of a phone's and a desk's width and writes what it finds into its own
document, which the browser prints.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

MEASURE = Path(__file__).parent / "reporting" / "measure_page.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing leaves the machine, whatever a page asks for
    "--window-size=1300,900",
]
DARK = "--blink-settings=preferredColorScheme=0"
MOST_TRIES = 5
WIDTHS = {"phone": 390, "desk": 1280}


def installed_browser() -> str:
    """The command of an installed browser; the test is skipped where there is none, and fails under ``CI``."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        message = "no Chromium found; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def dump(browser: str, folder: Path, page: Path, *flags: str) -> str:
    """The document that a page became."""
    command = [browser, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def measured(browser: str, folder: Path, pages: Mapping[str, Path], *flags: str) -> dict[str, Any]:
    """What ``measure_page.js`` finds in each page at each width, with all that can be opened open."""
    frames = []
    for name, page in pages.items():
        content = html.escape(page.read_text(encoding="utf-8").replace("<details", "<details open"))
        for place, width in WIDTHS.items():
            frames.append(f'<iframe id="{name} {place}" width="{width}" height="900" srcdoc="{content}"></iframe>')
    style = "<style>:root { color-scheme: light dark } iframe { border: 0 }</style>"
    script = f"<script>{MEASURE.read_text(encoding='utf-8')}</script>"
    outer = folder / "measure.html"
    outer.write_text(f'<!doctype html><meta charset="utf-8">{style}{"".join(frames)}{script}', encoding="utf-8")
    for _ in range(MOST_TRIES):  # on a busy machine a page may be complete before it was drawn
        found = re.search(r'<pre id="found">(.*?)</pre>', dump(browser, folder, outer, *flags), re.DOTALL)
        if found and found[1]:
            return json.loads(html.unescape(found[1]))
    raise AssertionError("the page was not measured")
