"""The browser's side of tests/web_check.py: runs in an environment of its own and knows nothing of the project.

    .venv-web/bin/python tests/web_peer.py FOLDER

``FOLDER/cases.json`` lists what to do on pages below it, ``FOLDER/found.json`` is what was found there, case by case:
see :func:`compare`, :func:`work_by_keys` and :func:`go_wrong`. Screenshots go to ``FOLDER/screenshots``. Each page is
opened as a file and from a local server; the browser has no network.
"""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
PATIENCE = 180_000  # milliseconds; machines that test are busy ones
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
SHOWN = """(canvas) => Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""
FETCH = (
    """async (address) => { try { await fetch(address); return "fetched" } catch (error) { return error.message } }"""
)
# A paste or a drop, with the picture that was handed over in base64.
HAND_OVER = """([kind, place, data]) => {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  const target = kind === "drop" ? document.querySelectorAll(".photograph")[place] : document;
  const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
  const given = { [kind === "drop" ? "dataTransfer" : "clipboardData"]: transfer, bubbles: true, cancelable: true };
  target.dispatchEvent(new Kind(kind, given));
}"""


class Seat:
    """Someone in front of the page."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.requests, self.complaints = page, [], []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(address)

    def ready(self) -> None:
        """Wait until the network runs."""
        self.page.locator("#result[data-ready=yes]").wait_for()

    def place(self, number: int) -> Any:
        """Where the first (0) or second (1) photograph is."""
        return self.page.locator(".photograph").nth(number)

    def choose(self, number: int, file: Path) -> None:
        """Choose a photograph by the button, and wait until it is taken in."""
        place = self.place(number)
        place.locator("input").first.set_input_files(file)
        place.locator(".face, .align, .problem").locator("visible=true").first.wait_for()

    def tap(self, number: int, points: list[list[float]], size: list[int]) -> None:
        """Tap ``points`` of a photograph of ``size`` (width, height)."""
        view = self.place(number).locator(".view")
        for x, y in points:
            view.scroll_into_view_if_needed()
            box = view.bounding_box()
            scale = min(box["width"] / size[0], box["height"] / size[1])
            left, top = (box["width"] - scale * size[0]) / 2, (box["height"] - scale * size[1]) / 2
            at = box["x"] + left + (x + 0.5) * scale, box["y"] + top + (y + 0.5) * scale
            (self.page.touchscreen.tap if self.touch else self.page.mouse.click)(*at)

    @property
    def touch(self) -> bool:
        """Whether there are fingers, not a mouse."""
        return self.page.evaluate("navigator.maxTouchPoints") > 0

    def wheel(self, x: float, y: float) -> None:
        """Zoom in by e: Ctrl and the wheel."""
        self.page.mouse.move(x, y)
        self.page.keyboard.down("Control")
        self.page.mouse.wheel(0, -200)
        self.page.keyboard.up("Control")

    def pinch(self, x: float, y: float) -> None:
        """Zoom in by 2: two fingers move apart."""
        session = self.page.context.new_cdp_session(self.page)
        for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80)):
            fingers = [{"x": x + side * apart, "y": y, "id": number} for number, side in enumerate((-1, 1))]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def span(self, number: int) -> float:
        """CSS pixels between the first two points."""
        place = "(all) => all.slice(0, 2).map(({ style }) => [style.left, style.top].map(parseFloat))"
        one, other = self.place(number).locator(".point").evaluate_all(place)
        return float(np.hypot(one[0] - other[0], one[1] - other[1]))

    def points(self, number: int) -> list[list[float]]:
        """Where the page has the points, in pixels of the photograph."""
        found = self.place(number).locator(".point").evaluate_all("(all) => all.map((one) => one.dataset.point)")
        return [[float(value) for value in text.split(",")] for text in found]

    def cosine(self) -> str:
        """All digits of the cosine, when it is there."""
        self.page.locator("#result.known").wait_for()
        return self.page.locator("#cosine").get_attribute("data-value")

    def crop(self, number: int) -> list[int]:
        """RGBA of the crop that is shown."""
        return self.place(number).locator(".face canvas").evaluate(SHOWN)

    def seen(self) -> dict[str, Any]:
        """What is said and shown now."""
        return {
            "verdict": self.page.locator("#verdict").inner_text(),
            "thresholds": self.page.locator("#thresholds td.here").all_inner_texts(),
            "problems": self.page.locator(".photograph .problem:visible").all_inner_texts(),
            "notes": self.page.locator(".face .note:visible").all_inner_texts(),
        }


def compare(seat: Seat, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Compare two photographs; those with points are aligned by tapping them."""
    seat.ready()
    for number, photograph in enumerate(case["photographs"]):
        if case.get("hand_over"):
            data = base64.b64encode((folder / photograph["file"]).read_bytes()).decode()
            seat.page.evaluate(HAND_OVER, [case["hand_over"], number, data])
            seat.place(number).locator(".face").wait_for()
            continue
        seat.choose(number, folder / photograph["file"])
        if "points" in photograph:
            seat.tap(number, photograph["points"], photograph["size"])
    found = {"cosine": seat.cosine(), **seat.seen()}
    found["points"] = [seat.points(number) for number in (0, 1)]
    found["crops"] = [seat.crop(number) for number in (0, 1)]
    return found


def work_by_keys(seat: Seat, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Zoom, drag and arrow keys: where the points are after each."""
    seat.ready()
    photograph = case["photographs"][0]
    seat.choose(0, folder / photograph["file"])
    place, keyboard = seat.place(0), seat.page.keyboard
    steps: dict[str, Any] = {}
    place.locator(".all").focus()
    keyboard.press("Enter")
    steps["placed"] = seat.points(0)
    keyboard.press("ArrowRight")
    keyboard.press("Shift+ArrowDown")
    steps["moved"] = seat.points(0)
    keyboard.press("Tab")
    keyboard.press("ArrowLeft")
    steps["second"] = seat.points(0)
    place.locator(".point").nth(2).scroll_into_view_if_needed()
    box = place.locator(".point").nth(2).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    seat.page.mouse.move(*middle)
    seat.page.mouse.down()
    seat.page.mouse.move(middle[0] + 9, middle[1] - 7, steps=4)
    steps["loupe"] = place.locator(".loupe").is_visible()
    seat.page.mouse.up()
    steps["dragged"] = seat.points(0)
    steps["spans"] = [seat.span(0)]
    place.locator(".closer").click()
    steps["spans"].append(seat.span(0))
    place.locator(".view").scroll_into_view_if_needed()
    view = place.locator(".view").bounding_box()
    middle = view["x"] + view["width"] / 2, view["y"] + view["height"] / 2
    (seat.pinch if seat.touch else seat.wheel)(*middle)
    steps["spans"].append(seat.span(0))
    steps["zoomed"] = seat.points(0)
    place.locator(".farther").click(click_count=9)
    steps["spans"].append(seat.span(0))
    place.locator(".back").click()
    steps["removed"] = seat.points(0)
    seat.tap(0, [[(length - 1) / 2 for length in photograph["size"]]], photograph["size"])
    steps["tapped"] = seat.points(0)
    steps["scale"] = min(view["width"] / photograph["size"][0], view["height"] / photograph["size"][1])
    return {**steps, **seat.seen()}


def go_wrong(seat: Seat, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Choose what is no picture, or open a page that cannot run; what is said."""
    if not case["photographs"]:
        seat.page.locator(case["until"]).wait_for()
        return seat.seen()
    seat.ready()
    photograph = case["photographs"][0]
    seat.choose(0, folder / photograph["file"])
    if "points" in photograph:
        seat.tap(0, photograph["points"], photograph["size"])
    seat.place(0).locator(".problem").wait_for()
    return seat.seen()


ACTIONS = {"compare": compare, "keys": work_by_keys, "wrong": go_wrong}


def run(browser: Browser, case: dict[str, Any], folder: Path, address: str) -> dict[str, Any]:
    """One case on the page at ``address``."""
    size = case.get("seat", "desk")
    width, height = SIZES[size]
    phone = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if size == "phone" else {}
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=case.get("scheme", "light"), **phone
    )
    try:
        page = context.new_page()
        if "before" in case:
            page.add_init_script(case["before"])
        seat = Seat(page, address)
        found = ACTIONS[case["action"]](seat, case, folder)
        found["width"] = page.evaluate("document.documentElement.scrollWidth")
        if "screenshot" in case:
            # Not full_page: that takes the picture as on a desk.
            page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
            page.screenshot(path=folder / "screenshots" / f"{case['screenshot']}.png")
        found["fetch"] = page.evaluate(FETCH, address)
        found["requests"] = [url for url in seat.requests if not url.startswith(("data:", "blob:"))]
        found["complaints"] = seat.complaints
        return found
    finally:
        context.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A static server of ``folder``, which sends no headers that a page may need."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def main() -> None:
    """Do all cases."""
    folder = Path(sys.argv[1]).resolve()
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sys.exit("error: no Chromium found; on Debian: apt-get install chromium")
    cases = json.loads((folder / "cases.json").read_text())
    (folder / "screenshots").mkdir()
    with sync_playwright() as playwright, served(folder) as server:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        bases = {"file": folder.as_uri(), "http": server}
        found = [run(browser, case, folder, f"{bases[case['by']]}/{case['page']}") for case in cases]
        told = {"browser": browser.version, "found": found}
        browser.close()
    (folder / "found.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
