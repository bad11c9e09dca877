"""One flag, one spelling, one meaning: over the flags of all commands."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

import pytest

from lwface.commands import COMMANDS

# Spellings of the original programs, the last four of the montage's: accepted, and not shown.
ORIGINALS = {"--batch_size", "--image_size", "-v", "-b", "-d", "-c"}
FORMER = {"--workers", "--count", "--pairs", "--output"}  # of this one, each in one command at least
SHARED = {"--model", "--layer", "--batch-size", "--backend", "--num-workers", "--landmarks", "--resize", "--quality"}
OF_A_RUN = (
    "train",
    "train-landmarks",
    "train-detector",
)  # its flags are settings of the configuration, explained there


ROOT = Path(__file__).resolve().parents[2]
TYPED = re.compile(
    r"python (?:-u )?((?:(?:common|recognition|eval|datasets|landmarks|montage|sequences)/|gen_)\w+\.py)([^`\n]*)"
)


class _Found(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


@pytest.fixture(scope="module")
def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, caught when it begins to parse."""
    original = argparse.ArgumentParser.parse_known_args

    def catch(self, *arguments, **options):
        if self.add_help:
            raise _Found(self)
        return original(self, *arguments, **options)  # one that only looks ahead

    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", catch)
        for name in COMMANDS:
            with pytest.raises(_Found) as caught:
                importlib.import_module(f"lwface.commands.{name.replace('-', '_')}").main([])
            found[name] = caught.value.parser
    return found


def with_commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parser, and those of the commands below it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(one for action in below for one in action.choices.values())]


def spellings(parsers: dict[str, argparse.ArgumentParser], *, shown: bool) -> set[str]:
    return {
        text
        for whole in parsers.values()
        for parser in with_commands(whole)
        for action in parser._actions
        for text in action.option_strings
        if (action.help is not argparse.SUPPRESS) == shown
    }


def test_what_is_shown_has_dashes(parsers):
    for text in spellings(parsers, shown=True) - {"-h"}:
        assert re.fullmatch(r"--[a-z]+[0-9]?(-[a-z]+)*", text), text


def test_what_is_not_shown_is_another_spelling_of_what_is(parsers):
    assert spellings(parsers, shown=False) == ORIGINALS | FORMER
    for name, parser in parsers.items():
        main = {action.dest for action in parser._actions if action.help is not argparse.SUPPRESS}
        hidden = [action for action in parser._actions if action.help is argparse.SUPPRESS]
        for action in hidden:
            assert action.dest in main or (name, action.dest) == ("gate", "output")
            assert action.default in (argparse.SUPPRESS, None)
    # "--workers" and "--count" are nowhere the spelling shown; "--pairs" is where it means a file.
    assert not {"--workers", "--count"} & spellings(parsers, shown=True)


def test_one_spelling_for_one_meaning(parsers):
    of: dict[str, set[str]] = {}
    for parser in parsers.values():
        for action in parser._actions:
            if action.option_strings and action.help is not argparse.SUPPRESS:
                of.setdefault(action.dest, set()).add(action.option_strings[-1].removeprefix("--no-"))
    for dest, texts in of.items():
        assert len({text.removeprefix("--") for text in texts}) == 1, dest


def test_shared_flags_are_worded_alike(parsers):
    for flag in sorted(SHARED):
        actions = [
            parser._option_string_actions[flag]
            for name, parser in parsers.items()
            if flag in parser._option_string_actions and name not in OF_A_RUN
        ]
        assert len(actions) > 1, flag
        assert len({(action.help, action.metavar) for action in actions}) == 1, flag


@pytest.mark.parametrize(
    ("command", "flags", "dest", "value"),
    [
        ("gen-image-feature", ["--batch_size", "8"], "batch_size", 8),
        ("gen-video-feature", ["--image_size", "3,96,96"], "image_size", "3,96,96"),
        ("train-quality", ["--batch_size", "8"], "batch_size", 8),
        ("check-model", ["--batch_size", "8"], "batch_size", 8),
        ("make-synthetic", ["--workers", "3"], "num_workers", 3),
        ("rec-info", ["--workers", "3"], "num_workers", 3),
        ("build-pack", ["--count", "40"], "pack_pairs", 40),
        ("convert-ytf", ["--pairs", "40"], "pack_pairs", 40),
    ],
)
def test_aliases_are_accepted(parsers, command, flags, dest, value):
    parser = parsers[command]
    needed = []
    for action in parser._actions:
        if action.required and action.option_strings:
            needed += [action.option_strings[0], "x"]
    if command == "check-model":
        needed.append("MODEL")
    assert getattr(parser.parse_args([*needed, *flags]), dest) == value


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_the_documentation_types_what_is_shown(page, parsers):
    for door, typed in TYPED.findall((ROOT / page).read_text()):
        (name,) = re.findall(r"run\(\"([a-z-]+)\"\)", (ROOT / door).read_text())
        for flag in re.findall(r"(?<!\S)--[\w-]+", typed.partition(" #")[0]):
            assert flag in spellings({name: parsers[name]}, shown=True), f"{door} {flag}"
