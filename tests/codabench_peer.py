"""Codabench's side of tests/challenge_codabench.py: runs in an environment of its own and knows nothing of the project.

    PYTHONPATH=CHECKOUT/src/apps codabench_peer.py CHECKOUT BUNDLE.zip

The bundle is unpacked as ``unpack_competition`` does it, by the checkout's own ``V2Unpacker``; its leaderboards go
through the checkout's own serializer into a database in memory, and lengths are held against its models. What those
import and do not use here (users, storage, queues) is replaced by nothing. What was understood is printed as JSON.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import django
import yaml
from django.conf import settings
from django.db import connection

UNUSED = (
    *("competitions.models", "datasets.models", "queues.models", "tasks.models", "utils", "utils.storage"),
    *("api.serializers.competitions", "api.serializers.tasks", "api.serializers.submission_leaderboard"),
)


class Nothing(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


def begin() -> None:
    """Make the checkout's applications importable."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "leaderboards"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        USE_TZ=True,
        TIME_ZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    django.setup()
    for name in UNUSED:
        sys.modules[name] = Nothing(name)
    sys.modules["competitions.models"].Phase = SimpleNamespace(  # type: ignore[attr-defined]
        CURRENT="Current", NEXT="Next", PREVIOUS="Previous", FINAL="Final"
    )


def unpacked(folder: Path) -> dict[str, Any]:
    """The competition as the platform's unpacker understands it."""
    from competitions.unpackers.v2 import V2Unpacker  # type: ignore[import-not-found]

    with open(folder / "competition.yaml") as file:
        told = yaml.safe_load(file.read())
    assert str(told.get("version")) == "2", told.get("version")
    unpacker = V2Unpacker(competition_yaml=told, temp_directory=str(folder), creator=SimpleNamespace(id=1))
    unpacker.unpack()
    found: dict[str, Any] = unpacker.competition
    for task in found["tasks"].values():
        for part in ("scoring_program", "reference_data"):
            assert zipfile.is_zipfile(task[part]["file_path"]), task[part]
    return found


def save_leaderboards(leaderboards: list[dict[str, Any]]) -> None:
    """Through the platform's serializer into its tables."""
    from api.serializers import leaderboards as serializers  # type: ignore[import-not-found]
    from leaderboards.models import Column, Leaderboard  # type: ignore[import-not-found]

    with connection.schema_editor() as editor:
        for model in (Leaderboard, Column):
            editor.create_model(model)
    for leaderboard in leaderboards:
        serializer = serializers.LeaderboardSerializer(data=leaderboard)
        serializer.is_valid(raise_exception=True)
        serializer.save()
    for column in Column.objects.all():
        column.full_clean()


def check_lengths(checkout: Path, competition: dict[str, Any]) -> None:
    """Against the numbers in the platform's models, which need too much to be imported."""
    source = (checkout / "src/apps/competitions/models.py").read_text()
    parts = {name: source.split(f"class {name}(")[1].split("\nclass ")[0] for name in ("Competition", "Phase")}
    for model, name, values in (
        ("Competition", "title", [competition["title"]]),
        ("Competition", "docker_image", [competition["docker_image"]]),
        ("Phase", "name", [phase["name"] for phase in competition["phases"]]),
    ):
        most = int(re.search(rf"\b{name} = models\.CharField\(max_length=(\d+)", parts[model])[1])
        assert all(len(value) <= most for value in values), (name, most, values)


def check_surprises() -> None:
    """What the bundle's writer works around is still so: a time in YAML is cut to its day, and a zone is dropped."""
    from competitions.unpackers.utils import get_datetime  # type: ignore[import-not-found]

    noon = yaml.safe_load("2026-03-01 12:00:00")
    assert isinstance(noon, datetime.datetime)
    assert get_datetime(noon).hour == 0
    zoned = get_datetime("2026-03-01T12:00:00+08:00")
    assert (zoned.hour, zoned.utcoffset()) == (12, datetime.timedelta(0))


def main() -> None:
    """Unpack, and print what was understood."""
    checkout, bundle = map(Path, sys.argv[1:])
    begin()
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(name)
        found = unpacked(Path(name))
    check_surprises()
    save_leaderboards(found["leaderboards"])
    check_lengths(checkout, found)
    kept = (
        "name",
        "start",
        "end",
        "max_submissions_per_day",
        "max_submissions_per_person",
        "auto_migrate_to_this_phase",
    )
    phases = [{key: str(phase[key]) for key in kept} for phase in found["phases"]]
    pages = [page["title"] for page in found["pages"]]
    print(json.dumps({"title": found["title"], "pages": pages, "phases": phases, "tasks": len(found["tasks"])}))


if __name__ == "__main__":
    main()
