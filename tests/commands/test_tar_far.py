"""The command: its table, its JSON, its protocols, and what it refuses."""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lwface.commands.tar_far as script
from lwface.base.errors import UserError
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.operating_points import operating_points
from lwface.scoring.parameters import parse_fars
from tests.scoring_oracle import oracle, scores_of

DOOR = str(Path(__file__).resolve().parents[2] / "eval" / "tar_far.py")


def make_rows():
    generator = np.random.default_rng(10)
    labels = generator.integers(0, 15, 60)
    features = 0.8 * generator.normal(size=(15, 16))[labels] + generator.normal(size=(60, 16))
    labels[generator.random(60) < 0.2] = -1
    return features.astype(np.float32), labels


def write_features(path, features):
    """By hand, from the format's description."""
    rows, cols = features.shape
    path.write_bytes(struct.pack("<4i", rows, cols, cols * 4, 5) + features.astype("<f4").tobytes())
    return str(path)


@pytest.fixture
def files(tmp_path):
    features, labels = make_rows()
    text = "\n".join(map(str, labels)) + "\n"
    (tmp_path / "labels.txt").write_text(text)
    write_features(tmp_path / "features.bin", features)
    return tmp_path, features, labels


def run(*arguments):
    script.main([str(argument) for argument in arguments])


def test_the_command_prints_a_table_and_writes_json(files, capsys):
    folder, features, labels = files
    run(
        "--features",
        folder / "features.bin",
        "--labels",
        folder / "labels.txt",
        "--far",
        "1e-2, 1e-9",
        "--json",
        folder / "o",
    )
    found = json.loads((folder / "o").read_text())
    first, second = np.triu_indices(60, 1)
    same = (labels[first] == labels[second]) & (labels[first] >= 0)
    point, _ = operating_points(Grid(FeatureSet(features, labels, "f"), None), parse_fars("1e-2,1e-9"))
    keys = ["rows", "dim", "genuine_pairs", "impostor_pairs", "protocol", "results", "roc"]
    assert list(found) == [*keys, "equal_error_rate", "best_accuracy"]
    for key in ("equal_error_rate", "best_accuracy"):
        assert list(found[key]) == ["rate", "interval", "threshold", "far", "frr", "exact"]
    assert found["equal_error_rate"]["far"] <= found["equal_error_rate"]["rate"] <= found["equal_error_rate"]["frr"]
    assert (found["rows"], found["dim"]) == (60, 16)
    assert (found["genuine_pairs"], found["impostor_pairs"]) == (same.sum(), (~same).sum())
    assert found["results"][0] == {
        "far": 0.01,
        "threshold": point.threshold,
        "false_accepts": point.false_accepts,
        "true_accepts": point.true_accepts,
        "tar": point.true_accepts / same.sum(),
        "tar_interval": found["results"][0]["tar_interval"],
        "achieved_far": point.false_accepts / (~same).sum(),
        "resolvable": True,
    }
    low, high = found["results"][0]["tar_interval"]
    assert low < point.true_accepts / same.sum() < high
    unresolved = found["results"][1]
    assert unresolved["resolvable"] is False
    assert {unresolved[key] for key in ("threshold", "tar", "false_accepts", "true_accepts", "achieved_far")} == {None}
    printed = capsys.readouterr().out
    assert f"{point.true_accepts / same.sum():.6f}" in printed
    assert f"1e-09  not resolvable: needs at least 1000000000 impostor pairs, the set has {(~same).sum()}" in printed
    assert "not an official result" in printed


@pytest.mark.parametrize(
    ("people", "flags", "why"),
    [
        (9, [], "fewer than 10 people with genuine pairs: 9"),
        (4, [], "fewer than 10 people with genuine pairs: 4"),
        (10, [], None),
        (10, ["--bootstrap", "0"], "--bootstrap 0"),
    ],
)
def test_why_there_is_no_interval(files, capsys, people, flags, why):
    folder, _, _ = files
    (folder / "few.txt").write_text("".join(f"{row // 2 if row < 2 * people else -1}\n" for row in range(60)))
    run("--features", folder / "features.bin", "--labels", folder / "few.txt", "--far", "0.1", *flags)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("no 95 % intervals: ")]
    assert len(told) == (why is not None)
    assert all(why in line for line in told)


def test_the_report_leaves_the_numbers_as_they_are(files):
    folder, _, _ = files
    common = ["--features", folder / "features.bin", "--labels", folder / "labels.txt", "--far", "0.3,1e-2"]
    run(*common, "--json", folder / "a")
    run(*common, "--json", folder / "b", "--report", folder / "report", "--block-size", 7)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_every_pair_in_a_list_equals_all_pairs(files):
    folder, _, labels = files
    pairs = list(itertools.combinations(range(60), 2))
    (folder / "two").write_text("".join(f"{a} {b}\n" for a, b in pairs))
    (folder / "three").write_text("".join(f"{b},{a},{int(labels[a] == labels[b] >= 0)}\n" for a, b in reversed(pairs)))
    features, people = ["--features", folder / "features.bin"], ["--labels", folder / "labels.txt"]
    scores = ["--bootstrap", "0", "--json", folder / "o"]
    found = []
    for flags in (people, [*people, "--pairs", folder / "two"], ["--pairs", folder / "three"]):
        run(*features, *flags, *scores)
        found.append(json.loads((folder / "o").read_text()))
        del found[-1]["protocol"]
    assert found[0] == found[1] == found[2]


def test_a_list_that_says_who_is_one_person_overrides_the_labels(files):
    folder, features, labels = files
    lonely = np.flatnonzero(labels == -1)
    others = np.flatnonzero(labels >= 0)
    pairs = [(lonely[0], lonely[1], 1), (others[0], others[1], 1)]  # one person by the list alone
    pairs += [(others[0], row, 0) for row in others[2:]]
    (folder / "pairs").write_text("".join(f"{a} {b} {same}\n" for a, b, same in pairs))
    (folder / "c.csv").write_text("cam\n" + "x\n" * 60)
    flags = ["--pairs", folder / "pairs", "--attributes", folder / "c.csv", "--by", "cam"]
    found = results(folder, *flags, "--labels", folder / "labels.txt", "--far", "0.3")
    first, second, same = np.array(pairs).T
    scores = scores_of(features, features)[first, second]
    expected = oracle(scores, same == 1, parse_fars("0.3"))
    assert [(p["threshold"], p["false_accepts"], p["true_accepts"]) for p in found["results"]] == expected
    assert found["breakdowns"][0]["groups"][0]["genuine_pairs"] == 2
    assert results(folder, *flags, "--far", "0.3")["results"] == found["results"]


def test_probe_and_gallery_from_files(files, capsys):
    folder, features, labels = files
    write_features(folder / "p", features[:20])
    write_features(folder / "g", features[20:])
    for name, part in (("pl", labels[:20]), ("gl", labels[20:])):
        (folder / name).write_text("\n".join(map(str, part)))
    cross = [
        "--probe",
        folder / "p",
        "--probe-labels",
        folder / "pl",
        "--gallery",
        folder / "g",
        "--gallery-labels",
        folder / "gl",
    ]
    run(*cross, "--far", "0.1", "--json", folder / "o")
    sets = (FeatureSet(features[:20], labels[:20], "p", 0), FeatureSet(features[20:], labels[20:], "g", 1))
    (expected,) = operating_points(Grid(*sets), parse_fars("0.1"))
    (found,) = json.loads((folder / "o").read_text())["results"]
    assert (found["threshold"], found["false_accepts"], found["true_accepts"]) == (
        expected.threshold,
        expected.false_accepts,
        expected.true_accepts,
    )
    assert "20 probe x 40 gallery rows" in capsys.readouterr().out


def test_excluding_pairs_of_distractors_takes_out_exactly_those(files):
    folder, _, labels = files
    counts = {}
    for mode in ("include", "exclude"):
        run(
            "--features",
            folder / "features.bin",
            "--labels",
            folder / "labels.txt",
            "--json",
            folder / "o",
            "--distractor-pairs",
            mode,
        )
        counts[mode] = json.loads((folder / "o").read_text())
    distractors = int((labels == -1).sum())
    assert distractors > 1
    difference = counts["include"]["impostor_pairs"] - counts["exclude"]["impostor_pairs"]
    assert difference == distractors * (distractors - 1) // 2
    assert counts["include"]["genuine_pairs"] == counts["exclude"]["genuine_pairs"]


@pytest.fixture
def table(files):
    """The same people as columns of a csv and as folders, with cameras and ages."""
    folder, features, labels = files
    generator = np.random.default_rng(11)
    cameras, ages = generator.choice(["a", "b", ""], 60), generator.integers(15, 45, 60)
    names = ["" if label < 0 else f"person {label}" for label in labels]
    lines = [f'"{name}",{camera},{age}' for name, camera, age in zip(names, cameras, ages, strict=True)]
    (folder / "t.csv").write_text("name,camera,age\n" + "\n".join(lines) + "\n")
    people = [f"lonely {row}" if label < 0 else f"p{label}" for row, label in enumerate(labels)]
    (folder / "filelist.txt").write_text("".join(f"{person}/{row}.jpg\n" for row, person in enumerate(people)))
    return folder, features, labels, cameras, ages


def results(folder, *flags):
    run("--features", folder / "features.bin", "--far", "0.2,1e-2", "--json", folder / "o", *flags)
    return json.loads((folder / "o").read_text())


def test_people_from_a_csv_and_from_folders(table):
    folder = table[0]
    plain = ["--bootstrap", "0"]  # whom the bootstrap draws depends on the people's numbers
    expected = results(folder, *plain, "--labels", folder / "labels.txt")
    assert results(folder, *plain, "--labels", folder / "t.csv", "--label-column", "name") == expected
    by_folder = results(folder, "--labels", folder, "--label-folders")  # a lonely person is as good as a distractor
    assert [p["threshold"] for p in by_folder["results"]] == [p["threshold"] for p in expected["results"]]
    assert by_folder["genuine_pairs"] == expected["genuine_pairs"]


def test_rows_of_one_camera_are_not_compared_and_pairs_are_left_out(table):
    folder, features, labels, cameras, _ = table
    first, second = np.triu_indices(60, 1)
    same = (labels[first] == labels[second]) & (labels[first] >= 0)
    taken = {(0, 1), (2, 9), (5, 30)}
    (folder / "ignored").write_text("1 0  # impostor 0.93\n# a comment\n2 9\n5,30\n")
    keep = (cameras[first] != cameras[second]) | (cameras[first] == "")
    keep &= np.array([pair not in taken for pair in zip(first.tolist(), second.tolist(), strict=True)])
    plain = ["--bootstrap", "0", "--exclude-same", "camera"]
    csv = [*plain, "--labels", folder / "t.csv", "--label-column", "name"]
    found = results(folder, *csv, "--ignore-pairs", folder / "ignored")
    assert found["genuine_pairs"] == (keep & same).sum()
    assert found["impostor_pairs"] == (keep & ~same).sum()
    expected = oracle(scores_of(features, features)[first, second][keep], same[keep], parse_fars("0.2,1e-2"))
    assert [(p["threshold"], p["false_accepts"], p["true_accepts"]) for p in found["results"]] == expected
    assert "rows of one camera not compared" in found["protocol"]
    other = [*plain, "--labels", folder / "labels.txt", "--attributes", folder / "t.csv"]
    assert results(folder, *other, "--ignore-pairs", folder / "ignored")["results"] == found["results"]


def test_frames_of_one_video_are_not_compared(files):
    folder, _, labels = files
    videos = np.arange(60) % 4
    (folder / "filelist.txt").write_text(
        "".join(f"p{p}/v{v}/{i}.jpg\n" for i, (p, v) in enumerate(zip(labels, videos, strict=True)))
    )
    flags = ["--labels", folder, "--label-folders", "2", "--exclude-same", "folder", "--bootstrap", "0"]
    found = results(folder, *flags)
    first, second = np.triu_indices(60, 1)
    keep = (labels[first] != labels[second]) | (videos[first] != videos[second])
    same = labels[first] == labels[second]
    assert found["genuine_pairs"] == (keep & same).sum()
    assert found["impostor_pairs"] == (keep & ~same).sum()


def test_a_breakdown_counts_the_pairs_of_each_value(table, capsys):
    folder, features, labels, cameras, ages = table
    (folder / "ignored").write_text("2 9\n5 30\n")
    csv = ["--labels", folder / "t.csv", "--label-column", "name", "--ignore-pairs", folder / "ignored"]
    found = results(folder, *csv, "--by", "camera,age:10")
    first, second = np.triu_indices(60, 1)
    keep = np.array([pair not in {(2, 9), (5, 30)} for pair in zip(first.tolist(), second.tolist(), strict=True)])
    first, second = first[keep], second[keep]
    same = (labels[first] == labels[second]) & (labels[first] >= 0)
    scores = scores_of(features, features)[first, second]
    for number, values in enumerate(
        (cameras, np.array([f"{a // 10 * 10} to below {a // 10 * 10 + 10}" for a in ages]))
    ):
        groups = found["breakdowns"][number]["groups"]
        assert [group["value"] for group in groups] == sorted(set(values) - {""})
        for group in groups:
            inside = (values[first] == group["value"]) & (values[second] == group["value"])
            assert group["genuine_pairs"] == (inside & same).sum()
            assert group["impostor_pairs"] == (inside & ~same).sum()
            for point, whole in zip(group["results"], found["results"], strict=True):
                accepted = inside & (scores >= whole["threshold"])
                assert point["tar"] == (accepted & same).sum() / (inside & same).sum()
                assert point["achieved_far"] == (accepted & ~same).sum() / (inside & ~same).sum()
    assert "camera" in capsys.readouterr().out


def test_several_files_are_compared_with_the_first(files, capsys):
    folder, features, _ = files
    noise = np.random.default_rng(12).normal(size=features.shape)
    write_features(folder / "worse.bin", (features + 2 * noise).astype(np.float32))
    write_features(folder / "same.bin", 2 * features)
    flags = ["--labels", folder / "labels.txt", "--report", folder / "report"]
    found = results(folder, *flags, "--compare", folder / "worse.bin", folder / "same.bin")
    assert list(found["models"]) == ["features", "worse", "same"]
    assert found["models"]["features"]["results"] == found["results"]
    worse, same = found["differences"][0], found["differences"][2]
    assert worse["difference"] == found["models"]["worse"]["results"][0]["tar"] - found["results"][0]["tar"] < 0
    assert worse["interval"][1] < 0
    assert worse["better"] == "features"
    assert (same["difference"], same["interval"], same["better"]) == (0, [0, 0], None)
    assert "not shown" in capsys.readouterr().out
    assert (folder / "report" / "report.html").exists()


def broken(rows):
    def change(folder, features):
        write_features(folder / "features.bin", rows(features))

    return change


def text(name, content):
    def change(folder, features):
        (folder / name).write_text(content)

    return change


def with_value(row, value):
    def rows(features):
        features = features.copy()
        features[row] = value
        return features

    return rows


ERRORS = [
    (text("t.csv", "name\n" + "x\n" * 60), ["--labels", "t.csv"], "names the people. It has name: add --label-column"),
    (text("t.csv", "name\nx\n"), ["--labels", "t.csv", "--label-column", "nam"], "unknown column 'nam'.*'name'"),
    (None, ["--exclude-same", "camera"], "column 'camera': .*--attributes FILE.csv"),
    (None, ["--by", "camera"], "column 'camera': .*--attributes FILE.csv"),
    (
        text("d.csv", "who,day\n" + "".join(f"p{row % 30},{row % 30}\n" for row in range(60))),
        ["--labels", "d.csv", "--label-column", "who", "--exclude-same", "day"],
        "--exclude-same day: leaves none of 30 genuine pairs",
    ),
    (
        text("d.csv", "who,day\n" + "".join(f"p{row},{row % 30}\n" for row in range(60))),
        ["--labels", "d.csv", "--label-column", "who", "--exclude-same", "day"],
        "there are no genuine pairs: no person has two rows",
    ),
    (text("i", "0 60\n"), ["--ignore-pairs", "i"], "i, line 1: row 60 does not exist"),
    (None, ["--compare", "features.bin"], "compared with itself"),
    (broken(lambda rows: rows[:9]), ["--compare", "features.bin"], "labels.txt: 60 labels for 9 feature rows"),
    (text("labels.txt", "1\n2\n"), [], r"labels.txt: 2 labels for 60 feature rows"),
    (text("labels.txt", "1\n2.5\n"), [], r"labels.txt, line 2: '2.5' is not a label"),
    (text("labels.txt", "1\n\n2"), [], r"labels.txt, line 2: '' is not a label"),
    (text("labels.txt", "-2\n"), [], r"labels.txt, line 1: '-2' is not a label"),
    (text("labels.txt", "9" * 30), [], r"labels.txt, line 1: .* is not a label"),
    (text("labels.txt", "\n".join(map(str, range(60)))), [], "no genuine pairs"),
    (text("labels.txt", "3\n" * 60), [], "no impostor pairs"),
    (broken(with_value(7, np.nan)), [], r"features.bin: row 7 is not finite \(1 such rows\)"),
    (broken(with_value(slice(5, 8), np.inf)), [], r"features.bin: row 5 is not finite \(3 such rows\)"),
    (broken(with_value(59, 0)), [], "features.bin: row 59 is all zeros"),
    (text("features.bin", "not a feature file, but long enough"), [], "features.bin: not a feature file"),
    (None, ["--far", "0"], "FAR '0' is not a number above 0 and below 1"),
    (None, ["--far", "1"], "FAR '1' is not"),
    (None, ["--far", "1e-3,nan"], "FAR 'nan' is not"),
    (None, ["--far", "1e-3,,1e-4"], "FAR '' is not"),
    (None, ["--far", "1e999999999"], "FAR '1e999999999' is not"),
    (None, ["--far", "1e-999999999"], "FAR '1e-999999999' is not"),
    (None, ["--far", "1/3"], "FAR '1/3' is not"),
    (text("pairs", "0 1\n2 60\n"), ["--pairs", "pairs"], "pairs, line 2: row 60 does not exist; .* rows 0 to 59"),
    (text("pairs", "0 1\n2 -1\n"), ["--pairs", "pairs"], "pairs, line 2: row -1 does not exist"),
    (text("pairs", "4 4\n"), ["--pairs", "pairs"], "pairs, line 1: row 4 is paired with itself"),
    (text("pairs", "0 1\n0 1 1\n"), ["--pairs", "pairs"], "pairs, line 2: '0 1 1' has 3 fields, the lines before 2"),
    (text("pairs", "0 1 2\n"), ["--pairs", "pairs"], "pairs, line 1: '0 1 2' is not a pair"),
    (text("pairs", "0 x\n"), ["--pairs", "pairs"], "pairs, line 1: '0 x' is not a pair"),
    (text("pairs", "\n"), ["--pairs", "pairs"], "pairs: holds no pairs"),
]


@pytest.mark.parametrize(("change", "flags", "message"), ERRORS)
def test_errors_name_the_place(files, monkeypatch, change, flags, message):
    folder, features, _ = files
    monkeypatch.chdir(folder)
    if change is not None:
        change(folder, features)
    with pytest.raises(UserError, match=message):
        run("--features", "features.bin", "--labels", "labels.txt", *flags)


def test_a_binary_file_of_labels_and_a_missing_file(files):
    folder, _, _ = files
    (folder / "bad").write_bytes(b"1\n\xff\xfe\n")
    with pytest.raises(UserError, match="is not a text file"):
        run("--features", folder / "features.bin", "--labels", folder / "bad")
    with pytest.raises(FileNotFoundError, match="absent"):
        run("--features", folder / "absent", "--labels", folder / "labels.txt")


def test_pairs_without_labels_need_their_own(files):
    folder, _, _ = files
    (folder / "pairs").write_text("0 1\n")
    with pytest.raises(UserError, match="lines without SAME need --labels"):
        run("--features", folder / "features.bin", "--pairs", folder / "pairs")


def test_probe_and_gallery_of_different_width(files):
    folder, _, _ = files
    write_features(folder / "narrow", np.ones((60, 3), dtype=np.float32))
    names = [
        "--probe",
        "features.bin",
        "--probe-labels",
        "labels.txt",
        "--gallery",
        "narrow",
        "--gallery-labels",
        "labels.txt",
    ]
    with pytest.raises(UserError, match="width 16, gallery features 3"):
        run(*(name if name.startswith("--") else folder / name for name in names))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --features with --labels or --pairs"),
        (["--features", "f"], "give --features with --labels or --pairs"),
        (["--labels", "l"], "give --features with --labels or --pairs"),
        (["--probe", "p"], "a cross product takes --gallery, --gallery-labels, --probe, --probe-labels"),
        (["--features", "f", "--labels", "l", "--images", "i"], "give --report too"),
        (["--features", "f", "--labels", "l", "--block-size", "0"], "--block-size must be from 1 to 4096"),
        (["--features", "f", "--labels", "l", "--block-size", "4097"], "--block-size must be from 1 to 4096"),
        (["--features", "f", "--labels", "l", "--json", "."], "--json . is a folder"),
        (["--features", "f", "--labels", "l", "--report", __file__], "is a file; give the name of a folder"),
        (["--features", "f", "--labels", "l", "--exclude-same", " "], "takes the name of a column"),
        (["--features", "f", "--labels", "l", "--resume"], "--resume needs --json FILE"),
        (
            ["--features", "f", "--labels", "l", "--ignore-pairs", "r/i", "--report", "r"],
            "keep the one to --ignore-pairs",
        ),
        (["--features", "f", "--labels", "l", "--bootstrap", "-1"], "--bootstrap must be from 0 to 100000"),
        (["--features", "f", "--labels", "l", "--label-column", "n", "--label-folders"], "not both"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main(flags)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_results_are_written_before_they_are_printed(files):
    folder, _, _ = files
    command = [
        sys.executable,
        DOOR,
        "--features",
        "features.bin",
        "--labels",
        "labels.txt",
        "--json",
        "o.json",
    ]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: No space left on device")
    assert json.loads((folder / "o.json").read_text())["rows"] == 60


def test_it_runs_as_a_file_from_anywhere(files):
    folder, _, _ = files
    command = [sys.executable, DOOR, "--features", "features.bin", "--labels", "labels.txt", "--far", "1e-2"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "60 rows of 16, all pairs" in done.stdout
    failed = subprocess.run([*command, "--far", "2"], cwd=folder, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1].startswith("error: FAR '2' is not")
