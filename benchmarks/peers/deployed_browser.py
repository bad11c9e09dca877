"""onnxruntime-web in headless Chromium, for benchmarks/deployment.py: as deployed.py, with the program's name left out.

    .venv-web/bin/python deployed_browser.py MODEL IMAGES FEATURES

The package is the one in ``build/peers/web``. Time is the page's own, from bytes to feature; one thread.
"""

from __future__ import annotations

import base64
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Route, sync_playwright  # type: ignore[import-not-found]

PACKAGE = Path(__file__).resolve().parents[2] / "build" / "peers" / "web" / "node_modules" / "onnxruntime-web" / "dist"
PAGE = "http://localhost"  # answered out of PACKAGE by the driver: nothing is asked of a network
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Faces are kept on the page; how long so many of them take is measured there.
PREPARE = """async ([model, faces, count]) => {
  const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const [session, bytes, size] = [await ort.InferenceSession.create(bytesOf(model)), bytesOf(faces), 112 * 112];
  globalThis.run = async (number) => {
    const face = bytes.subarray(3 * size * (number % count), 3 * size * ((number % count) + 1));
    const planes = new Float32Array(3 * size);
    for (let pixel = 0; pixel < size; pixel++) {
      for (let colour = 0; colour < 3; colour++) planes[colour * size + pixel] = face[3 * pixel + colour];
    }
    return (await session.run({ data: new ort.Tensor("float32", planes, [1, 3, 112, 112]) })).fc1.data;
  };
}"""
FEATURES = (
    "async (count) => { const rows = []; for (let n = 0; n < count; n++) rows.push([...await run(n)]); return rows }"
)
SECONDS = """async (images) => {
  const start = performance.now();
  for (let number = 0; number < images; number++) await run(number);
  return (performance.now() - start) / 1000;
}"""


def answer(route: Route) -> None:
    """A page without anything, or a file of the package."""
    name = route.request.url.rpartition("/")[2]
    if name:
        route.fulfill(path=PACKAGE / name)
    else:
        route.fulfill(body="<!doctype html><title>peer</title>", content_type="text/html")


def work(page: Any, model: Path, images: np.ndarray, features: Path) -> None:
    """Write the features, then answer until the input ends."""
    page.goto(f"{PAGE}/")
    page.add_script_tag(url=f"{PAGE}/ort.wasm.min.js")
    given = [base64.b64encode(data).decode() for data in (model.read_bytes(), images.tobytes())]
    page.evaluate(PREPARE, [*given, len(images)])
    np.save(features, np.array(page.evaluate(FEATURES, len(images)), np.float32))
    print("ready", flush=True)
    for line in sys.stdin:
        print(page.evaluate(SECONDS, int(line)), flush=True)


def main() -> None:
    """Start the browser and work."""
    model, images, features = map(Path, sys.argv[1:])
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sys.exit("error: no Chromium found")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.route("**/*", answer)
        work(page, model, np.load(images), features)


if __name__ == "__main__":
    main()
