"""The command: its tables, its JSON, its two ways of being given a gallery, and what it refuses."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lwface.commands.identification as script
from lwface.base.errors import UserError
from lwface.formats.person_labels import People
from lwface.scoring.identification import draw_strangers

DOOR = str(Path(__file__).resolve().parents[2] / "eval" / "identification.py")


def write_features(path, features):
    """By hand, from the format's description."""
    rows, cols = features.shape
    path.write_bytes(struct.pack("<4i", rows, cols, cols * 4, 5) + features.astype("<f4").tobytes())


@pytest.fixture
def files(tmp_path):
    """Twenty people with three rows each, and forty rows of nobody known."""
    generator = np.random.default_rng(1)
    labels = np.concatenate([np.repeat(np.arange(20), 3), np.full(40, -1)])
    features = 0.8 * generator.normal(size=(21, 16))[labels] + generator.normal(size=(100, 16))
    features[labels == -1] = generator.normal(size=(40, 16))
    features = features.astype(np.float32)
    order = generator.permutation(100)
    features, labels = features[order], labels[order]
    _, first = np.unique(labels, return_index=True)
    gallery = np.isin(np.arange(100), first[1:])  # the first row of each person; -1 sorts first
    for name, part in (("all", np.full(100, True)), ("gallery", gallery), ("probe", ~gallery)):
        write_features(tmp_path / f"{name}.bin", features[part])
        (tmp_path / f"{name}.txt").write_text("".join(f"{label}\n" for label in labels[part]))
    return tmp_path, features, labels, gallery


def run(*arguments):
    script.main([str(argument) for argument in arguments])


def four(folder):
    names = ("--probe", "--probe-labels", "--gallery", "--gallery-labels")
    paths = (folder / "probe.bin", folder / "probe.txt", folder / "gallery.bin", folder / "gallery.txt")
    return [part for pair in zip(names, paths, strict=True) for part in pair]


def naive(features, labels, gallery):
    units = features.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    scores = units[~gallery] @ units[gallery].T  # one gallery row a person, no ties
    mates = labels[~gallery][:, None] == labels[gallery][None, :]
    mated = mates.any(axis=1)
    mate_scores = scores[mated][mates[mated]]
    ranks = 1 + np.sum(scores[mated] > mate_scores[:, None], axis=1)
    return mate_scores, ranks, np.sort(scores[~mated].max(axis=1))


def test_the_command_prints_tables_and_writes_json(files, capsys):
    folder, features, labels, gallery = files
    run(*four(folder), "--rank", "1, 3", "--fpir", "0.1,0.01", "--bootstrap", 0, "--json", folder / "o.json")
    mate_scores, ranks, strangers = naive(features, labels, gallery)
    found = json.loads((folder / "o.json").read_text())
    assert (len(ranks), len(strangers)) == (40, 40)
    assert {key: found[key] for key in list(found)[:7]} == {
        "probe_rows": 80,
        "gallery_rows": 20,
        "gallery_people": 20,
        "dim": 16,
        "mated_probes": 40,
        "non_mated_probes": 40,
        "ranks": [
            {"rank": k, "hits": int((ranks <= k).sum()), "rate": float((ranks <= k).mean()), "rate_interval": None}
            for k in (1, 3)
        ],
    }
    assert found["cmc"] == [[rank, int((ranks <= rank).sum())] for rank in np.unique(ranks).tolist()]
    point, unresolved = found["results"]
    identified = int(((ranks == 1) & (mate_scores > strangers[-5])).sum())
    assert 0 < identified < 40
    assert point["threshold"] == pytest.approx(strangers[-5], abs=1e-12)
    assert (point["false_positives"], point["true_positives"]) == (4, identified)
    assert (point["tpir"], point["achieved_fpir"]) == (identified / 40, 0.1)
    assert (unresolved["resolvable"], unresolved["tpir"]) == (False, None)
    printed = capsys.readouterr().out
    assert "80 probes (40 mated, 40 not) x 20 gallery rows of 20 people, width 16" in printed
    assert f"{(ranks <= 3).mean():.6f}" in printed
    assert f"{identified / 40:.6f}" in printed
    assert "0.01  not resolvable: needs at least 100 non-mated probes, there are 40" in printed


def test_one_file_cut_in_two_equals_two_files(files):
    folder = files[0]
    plain = ["--bootstrap", 0, "--json"]  # a bootstrap draws people by number, and strangers have others in one file
    run(*four(folder), *plain, folder / "two.json")
    run("--features", folder / "all.bin", "--labels", folder / "all.txt", *plain, folder / "one.json")
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()


def test_block_size_changes_nothing_and_the_rank_limit_does(files):
    folder = files[0]
    for name, flags in (("a", []), ("b", ["--block-size", 3]), ("c", ["--tpir-rank", 20])):
        run(*four(folder), "--fpir", "0.5", *flags, "--json", folder / name)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    first, last = (json.loads((folder / name).read_text())["results"][0] for name in "ac")
    assert first["threshold"] == last["threshold"]
    assert first["true_positives"] < last["true_positives"]


def test_intervals_hold_the_figures(files, capsys):
    folder = files[0]
    run(*four(folder), "--fpir", "0.5,0.01", "--json", folder / "o.json")
    found = json.loads((folder / "o.json").read_text())
    (low, high), rate = found["ranks"][1]["rate_interval"], found["ranks"][1]["rate"]
    assert 0.1 < high - low < 0.6
    assert low < rate < high
    point, unresolved = found["results"]
    assert point["tpir_interval"][0] < point["tpir"] < point["tpir_interval"][1]
    assert unresolved["tpir_interval"] is None
    assert f"{low:.6f}-{high:.6f}" in capsys.readouterr().out


def test_people_from_csv_columns_and_from_folders(files):
    folder, _, labels, gallery = files
    plain = ["--bootstrap", 0, "--json"]  # a bootstrap draws people by number
    run(*four(folder), *plain, folder / "numbers.json")
    for name, part in (("gallery", gallery), ("probe", ~gallery)):
        people = ["" if label < 0 else f"person {label}" for label in labels[part]]
        (folder / f"{name}.csv").write_text("image,who\n" + "".join(f"x.jpg,{person}\n" for person in people))
    csv = [str(part).replace(".txt", ".csv") for part in four(folder)]
    run(*csv, "--label-column", "who", *plain, folder / "csv.json")
    assert (folder / "csv.json").read_bytes() == (folder / "numbers.json").read_bytes()
    known = labels >= 0
    write_features(folder / "known.bin", files[1][known])
    (folder / "known.txt").write_text("".join(f"{label}\n" for label in labels[known]))
    (folder / "filelist.txt").write_text("".join(f"p{label}/{row}.jpg\n" for row, label in enumerate(labels[known])))
    one = ["--features", folder / "known.bin", "--labels"]
    run(*one, folder / "known.txt", *plain, folder / "known.json")
    run(*one, folder / "filelist.txt", "--label-folders", *plain, folder / "folders.json")
    assert (folder / "folders.json").read_bytes() == (folder / "known.json").read_bytes()


def json_of(folder, *flags):
    run(*flags, "--fpir", "0.1,0.02", "--bootstrap", 0, "--json", folder / "o.json")
    return json.loads((folder / "o.json").read_text())


def test_strangers_are_people_of_whom_nobody_is_enrolled(files):
    """As if their labels were -1: in the figures, and whatever the order of the rows."""
    folder, _, labels, _ = files
    given = ["--features", folder / "all.bin", "--labels", folder / "all.txt"]
    plain, drawn = json_of(folder, *given), json_of(folder, *given, "--strangers", 5, "--seed", 3)
    assert (plain["non_mated_probes"], plain["gallery_people"]) == (40, 20)
    assert (drawn["non_mated_probes"], drawn["gallery_people"], drawn["mated_probes"]) == (55, 15, 30)
    assert drawn["results"][1]["resolvable"]  # 0.02 needs 50 of them
    people = People(labels.astype(np.int64))
    left_out = draw_strangers(people, 5, 3)
    assert len(set(left_out)) == 5
    (folder / "out.txt").write_text("".join(f"{-1 if label in left_out else label}\n" for label in labels))
    assert json_of(folder, "--features", folder / "all.bin", "--labels", folder / "out.txt") == drawn
    order = np.random.default_rng(5).permutation(100)
    assert draw_strangers(People(labels[order].astype(np.int64)), 5, 3) == left_out
    names = [f"p{i}" for i in range(20)]
    first = {names[i] for i in draw_strangers(People(labels, names), 5, 3)}
    back = {names[::-1][i] for i in draw_strangers(People(np.where(labels < 0, -1, 19 - labels), names[::-1]), 5, 3)}
    assert first == back
    assert draw_strangers(people, 5, 4) != left_out


def test_a_folder_of_people_with_strangers(files, capsys):
    folder, features, labels, _ = files
    rows = np.argsort(labels, kind="stable")[40:]  # the known, in the order of the folders
    for row in rows:
        (folder / "people" / f"{labels[row]:02d}").mkdir(parents=True, exist_ok=True)
        (folder / "people" / f"{labels[row]:02d}" / f"{row:03d}.jpg").touch()
    write_features(folder / "known.bin", features[rows])
    (folder / "known.txt").write_text("".join(f"{label}\n" for label in labels[rows]))
    given = ["--features", folder / "known.bin", "--labels"]
    found = json_of(folder, *given, folder / "people")
    assert found == json_of(folder, *given, folder / "known.txt")
    assert "--strangers N keeps N people out of it" in capsys.readouterr().out
    found = json_of(folder, *given, folder / "people", "--strangers", 17)
    assert (found["mated_probes"], found["non_mated_probes"]) == (6, 51)
    assert found["results"][0]["resolvable"]
    for count in (20, 99):
        with pytest.raises(UserError, match=f"--strangers {count}: there are 20 people"):
            run(*given, folder / "people", "--strangers", count)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rank", "0"], "rank '0' is not a whole number from 1 on"),
        (["--rank", "1,,2"], "rank '' is not"),
        (["--rank", "1.5"], "rank '1.5' is not"),
        (["--fpir", "0"], "FPIR '0' is not a number above 0 and below 1"),
        (["--fpir", "1e-2,x"], "FPIR 'x' is not"),
        (["--gallery-labels", "all.txt"], "all.txt: 100 labels for 20 feature rows"),
    ],
)
def test_errors_name_the_place(files, monkeypatch, flags, message):
    monkeypatch.chdir(files[0])
    with pytest.raises(UserError, match=message):
        run(*four(files[0]), *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --probe and --gallery with their labels, or --features with --labels"),
        (["--probe", "p", "--gallery", "g"], "give --probe and --gallery with their labels"),
        (["--features", "f"], "or --features with --labels"),
        (["--features", "f", "--labels", "l", "--probe", "p"], "give --probe and --gallery"),
        (["--features", "f", "--labels", "l", "--gallery-per-person", "0"], "--gallery-per-person must be at least 1"),
        (["--features", "f", "--labels", "l", "--label-folders", "--label-column", "c"], "at least 1, not both"),
        (["--features", "f", "--labels", "l", "--tpir-rank", "0"], "--tpir-rank must be at least 1"),
        (["--features", "f", "--labels", "l", "--bootstrap", "-1"], "--bootstrap must be at least 0"),
        (["--features", "f", "--labels", "l", "--strangers", "-1"], "--strangers N takes N from 0 on"),
        (
            ["--probe", "p", "--gallery", "g", "--probe-labels", "l", "--gallery-labels", "l", "--strangers", "1"],
            "and --features",
        ),
        (["--features", "f", "--labels", "l", "--block-size", "0"], "--block-size must be at least 1"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main(flags)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_it_runs_as_a_file_from_anywhere(files):
    command = [sys.executable, DOOR, "--features", "all.bin", "--labels", "all.txt"]
    done = subprocess.run(command, cwd=files[0], capture_output=True, text=True, check=True)
    assert "80 probes" in done.stdout
