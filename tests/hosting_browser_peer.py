"""The browser's side of tests/hosting_browser.py: runs in an environment of its own and knows nothing of the project.

Its argument is JSON: ``link`` (the organiser's), ``sample`` (a submission), ``screenshots`` (a folder). It prints JSON
with ``key``, a program's key of the team.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
PATIENCE = 120_000  # milliseconds
LOOKS = {"phone": (390, 844, "light"), "phone-dark": (390, 844, "dark"), "desk": (1280, 900, "light")}
PASSWORD = "a long password"


class Desk:
    """Somebody in front of a browser; what pages complain about is kept."""

    def __init__(self, browser: Browser, site: str, complaints: list[str]) -> None:
        self.context: BrowserContext = browser.new_context(accept_downloads=True)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.site, self.complaints = site, complaints
        self.page.on("console", lambda message: complaints.append(f"{self.page.url}: {message.text}"))
        self.page.on("pageerror", lambda error: complaints.append(f"{self.page.url}: {error}"))

    def go(self, path: str) -> Page:
        self.page.goto(self.site + path)
        return self.page

    def join(self, link: str, **fields: str) -> None:
        self.page.goto(link)
        for name, text in fields.items():
            self.page.fill(f"#{name}", text)
        self.page.fill("#password", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/join/" not in url)

    def made(self, button: str) -> str:
        self.page.get_by_role("button", name=button, exact=True).click()
        return self.page.locator("pre.key").inner_text()


def hand_in(desk: Desk, sample: str) -> None:
    """Upload while every other request breaks off, and watch until it is scored."""
    broken = {"left": 2}

    def break_off(route: Route) -> None:
        if route.request.method == "PATCH" and broken["left"]:
            broken["left"] -= 1
            route.abort("connectionreset")
        else:
            route.continue_()

    desk.page.route("**/uploads/*", break_off)
    page = desk.go("/submissions")
    page.get_by_role("link", name="Hand in").click()
    page.set_input_files("#submission", sample)
    page.fill("#note", "the sample <i>itself</i>")
    page.get_by_role("button", name="Hand in").click()
    page.wait_for_url("**/submissions")
    page.locator(".state.scored").wait_for()
    assert not broken["left"]
    desk.page.unroute("**/uploads/*")
    desk.complaints[:] = [line for line in desk.complaints if "ERR_CONNECTION_RESET" not in line]


def look(desk: Desk, folder: Path, name: str, path: str, wrong: list[str]) -> None:
    """Screenshots of a page in every look; it may not be wider than the window."""
    for look_name, (width, height, scheme) in LOOKS.items():
        desk.page.set_viewport_size({"width": width, "height": height})
        desk.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page = desk.go(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            wrong.append(f"{path} is {wide} pixels wide at {width}")
        page.screenshot(path=str(folder / f"{name}-{look_name}.png"), full_page=True)
    found: dict[str, Any] = desk.page.evaluate(
        """() => ({
          unlabelled: [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
            .filter((one) => !one.labels.length).map((one) => one.name),
          headings: document.querySelectorAll("h1").length,
          language: document.documentElement.lang })"""
    )
    if found["unlabelled"] or found["headings"] < 1 or found["language"] != "en":
        wrong.append(f"{path}: {found}")


def by_keys(desk: Desk, wrong: list[str]) -> None:
    """The first Tab shows the way past the navigation, and every link can be reached."""
    page = desk.go("/board/landmarks")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.className") != "skip":
        wrong.append("the first Tab does not reach the link to the content")
    wanted = page.evaluate("[...document.querySelectorAll('a, button, input:not([type=hidden])')].length")
    reached = 1
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        tag = page.evaluate("document.activeElement.tagName")
        if tag == "BODY":
            break
        reached += tag in ("A", "BUTTON", "INPUT")
    if reached < wanted:
        wrong.append(f"{reached} of {wanted} links and buttons are reached by Tab")


def remove_by_keys(desk: Desk, name: str, wrong: list[str]) -> None:
    """An organiser removes somebody without a pointer: opens it, goes on to the button, presses it."""
    page = desk.go("/organise")
    page.locator("li", has_text=name).locator("summary").focus()
    for key in ("Enter", "Tab", "Enter"):
        page.keyboard.press(key)
    try:
        page.get_by_text(f"{name} is removed").wait_for()
    except Error:
        wrong.append("nobody is removed by keys")


def main() -> None:
    case = json.loads(sys.argv[1])
    site = "{0.scheme}://{0.netloc}".format(urlsplit(case["link"]))
    folder, wrong, complaints = Path(case["screenshots"]), [], []
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        olga, ann, ben, stranger = (Desk(browser, site, complaints) for _ in range(4))
        olga.join(case["link"], name="Olga")
        link = olga.made("Make a link")
        ann.join(link, team="Elm and Ash", name="Ann")
        hand_in(ann, case["sample"])
        ann.go("/team")
        ann.page.fill("#label", "laptop")
        key = ann.made("Make a key")
        ben.join(ann.made("Make a link"), name="Ben")
        assert "Elm and Ash" in stranger.go("/").locator("table").inner_text()
        pages = {"board": "/board/landmarks", "rules": "/rules", "login": "/login"}
        mine = {
            "submissions": "/submissions",
            "submission": "/submissions/1",
            "submit": "/submit/landmarks",
            "team": "/team",
        }
        for desk, some in ((stranger, pages), (ann, mine), (olga, {"organise": "/organise"})):
            for name, path in some.items():
                look(desk, folder, name, path, wrong)
        by_keys(stranger, wrong)
        remove_by_keys(olga, "Ben", wrong)
        look(olga, folder, "removed", "/organise", wrong)
        with stranger.page.expect_download() as download:
            stranger.go("/rules").get_by_role("link", name="Starting kit, zip").click()
        assert download.value.suggested_filename == "landmarks-kit.zip"
        browser.close()
    if wrong or complaints:
        sys.exit("\n".join([*wrong, *complaints]))
    print(json.dumps({"key": key}))


if __name__ == "__main__":
    main()
