"""IJB-B and IJB-C from generated meta files: against a naive implementation with dictionaries, and damaged files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lwface.commands.ijb as script
from lwface.base.errors import UserError
from lwface.formats import ijb_meta
from lwface.scoring.parameters import IJB_GALLERIES

DOOR = str(Path(__file__).resolve().parents[2] / "eval" / "ijb.py")

LANDMARKS = "46.060 62.026 87.785 60.323 68.851 77.656 52.162 99.875 86.450 98.648"
HEADER = "TEMPLATE_ID,SUBJECT_ID,FILENAME,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT\n"


def make_dataset(folder, protocol="ijbc", seed=1, width=24, subjects=40):
    """Meta files and features (two halves) of subjects with one gallery template and some probe templates each."""
    generator = np.random.default_rng(seed)
    who = np.concatenate([np.arange(subjects), generator.integers(0, subjects, 4 * subjects)])
    in_gallery = np.arange(len(who)) < subjects
    order = generator.permutation(len(who))
    who, in_gallery = who[order] + 500, in_gallery[order]
    ids = np.sort(generator.choice(10 * len(who), len(who), replace=False))  # numbers with gaps
    template_of = np.repeat(np.arange(len(who)), generator.integers(1, 9, len(who)))
    template_of = template_of[generator.permutation(len(template_of))]  # faces in any order
    media = generator.integers(0, 3, len(template_of)) + 70
    scores = generator.uniform(0.2, 1, len(template_of)).round(4)
    centres = generator.normal(size=(subjects, width))
    faces = 0.45 * centres[who[template_of] - 500] + generator.normal(size=(len(template_of), width))
    faces *= generator.uniform(0.3, 3, size=(len(faces), 1))
    features = np.concatenate([faces, faces + 0.3 * generator.normal(size=faces.shape)], axis=1).astype(np.float32)
    names = [f"{row + 1}.jpg" for row in range(len(faces))]
    lines = zip(names, template_of.tolist(), media.tolist(), strict=True)
    (folder / f"{protocol}_face_tid_mid.txt").write_text("".join(f"{n} {ids[t]} {m}\n" for n, t, m in lines))
    (folder / f"{protocol}_name_5pts_score.txt").write_text(
        "".join(f"{n} {LANDMARKS} {s}\n" for n, s in zip(names, scores, strict=True))
    )
    pairs = generator.integers(0, len(who), (6000, 2))
    text = "".join(f"{ids[a]} {ids[b]} {int(who[a] == who[b])}\n" for a, b in pairs)
    (folder / f"{protocol}_template_pair_label.txt").write_text(text)
    galleries = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}[protocol]
    chosen = np.flatnonzero(in_gallery)
    lists = {f"gallery_{name}": part for name, part in zip(galleries, np.array_split(chosen, 2), strict=True)}
    lists["probe_mixed"] = np.flatnonzero(~in_gallery)
    for name, templates in lists.items():
        rows = [row for row in range(len(template_of)) if template_of[row] in set(templates.tolist())]
        text = "".join(f"{ids[template_of[row]]},{who[template_of[row]]},{names[row]},1,2,3,4\n" for row in rows)
        (folder / f"{protocol}_1N_{name}.csv").write_text(HEADER + text)
    write_features(folder / "features.bin", features)
    return features


def write_features(path, features):
    """By hand, from the format's description."""
    rows, cols = features.shape
    path.write_bytes(struct.pack("<4i", rows, cols, cols * 4, 5) + features.astype("<f4").tobytes())


def naive_templates(folder, protocol, features, norms, detector, flip):
    """Template -> L2-normalised feature, by dictionaries of lists."""
    faces, names = (
        (folder / f"{protocol}_{name}.txt").read_text().splitlines() for name in ("face_tid_mid", "name_5pts_score")
    )
    found = {}
    for row, (face, name) in enumerate(zip(faces, names, strict=True)):
        _, template, medium = face.split(" ")
        feature = features[row].astype(np.float64)
        if flip:
            feature = feature[: len(feature) // 2] + feature[len(feature) // 2 :]
        if not norms:
            feature = feature / (np.linalg.norm(feature) or 1)
        if detector:
            feature = feature * float(name.split(" ")[-1])
        found.setdefault(int(template), {}).setdefault(int(medium), []).append(feature)
    sums = {template: sum(np.mean(frames, axis=0) for frames in media.values()) for template, media in found.items()}
    return {template: total / np.linalg.norm(total) for template, total in sums.items() if total.any()}


def cosine(templates, first, second):
    """Below all others where one of the two has no feature."""
    return float(templates[first] @ templates[second]) if first in templates and second in templates else -2.0


def naive_verification(folder, protocol, templates, fars):
    scores, same = [], []
    for line in (folder / f"{protocol}_template_pair_label.txt").read_text().splitlines():
        first, second, label = map(int, line.split(" "))
        scores.append(cosine(templates, first, second))
        same.append(label == 1)
    scores, same = np.array(scores), np.array(same)
    impostors = np.sort(scores[~same])[::-1]
    found = []
    for far in fars:
        allowed = int(far * len(impostors) + 1e-9)
        if not allowed:
            found.append(None)
            continue
        limit = impostors[allowed]  # a pair that is listed twice ties with itself: both are refused
        found.append((int(np.sum(scores[same] > limit)), int(np.sum(impostors > limit)), limit))
    return found, int(same.sum()), int((~same).sum())


def naive_identification(folder, protocol, templates, names, fpirs):
    """Ranks of the mated probes of a gallery and (identified, false positives) at each FPIR."""

    def people(name):
        lines = (folder / f"{protocol}_1N_{name}.csv").read_text().splitlines()[1:]
        return {int(line.split(",")[0]): int(line.split(",")[1]) for line in lines}

    gallery = {}
    for name in names:
        gallery.update(people(f"gallery_{name}"))
    mated, strangers = [], []
    for template, subject in people("probe_mixed").items():
        scores = {}
        for other, person in gallery.items():
            scores[person] = max(scores.get(person, -2.0), cosine(templates, template, other))
        if subject in scores:
            mate = scores.pop(subject)
            mated.append((mate, 1 + sum(score >= mate for score in scores.values())))
        else:
            strangers.append(max(scores.values()))
    strangers.sort(reverse=True)
    found = []
    for fpir in fpirs:
        allowed = int(fpir * len(strangers) + 1e-9)
        named = sum(rank == 1 and score > strangers[allowed] for score, rank in mated) if allowed else None
        found.append((named, allowed or None))
    return [rank for _, rank in mated], found


@pytest.mark.parametrize("protocol", ["ijbb", "ijbc"])
@pytest.mark.parametrize(("norms", "detector", "flip"), [(1, 1, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1)])
def test_it_equals_the_naive_implementation(tmp_path, capsys, protocol, norms, detector, flip):
    features = make_dataset(tmp_path, protocol)
    flags = [] if norms else ["--no-use-norm-score"]
    flags += [] if detector else ["--no-use-detector-score"]
    flags += ["--flip"] if flip else []
    run(tmp_path, "--protocol", protocol, *flags, "--far", "1e-9,1e-3,1e-2,0.29", "--json", tmp_path / "o.json")
    found = json.loads((tmp_path / "o.json").read_text())
    templates = naive_templates(tmp_path, protocol, features, norms, detector, flip)
    assert (found["mode"], found["templates"]) == (f"N{norms}D{detector}F{flip}", len(templates))
    points, genuine, impostors = naive_verification(tmp_path, protocol, templates, [1e-9, 1e-3, 1e-2, 0.29])
    verified = found["verification"]
    assert (verified["genuine_pairs"], verified["impostor_pairs"]) == (genuine, impostors)
    assert verified["results"][0]["resolvable"] is False
    for point, expected in zip(verified["results"][1:], points[1:], strict=True):
        assert (point["true_accepts"], point["false_accepts"]) == expected[:2]
        assert point["threshold"] == pytest.approx(expected[2], abs=1e-6)
    printed = capsys.readouterr().out
    assert f"{100 * points[2][0] / genuine:.2f}" in printed
    one, two = IJB_GALLERIES[protocol]
    rates = []
    for entry, names in zip(found["identification"], ((one,), (two,), (one, two)), strict=True):
        ranks, searched = naive_identification(tmp_path, protocol, templates, names, [0.01, 0.1])
        assert entry["gallery"] == "+".join(names)
        assert entry["mated_probes"] == len(ranks)
        hits = [(entry["rank"], entry["hits"]) for entry in entry["ranks"]]
        assert hits == [(rank, sum(r <= rank for r in ranks)) for rank in (1, 5, 10)]
        assert [(p["true_positives"], p["false_positives"]) for p in entry["results"]] == searched
        rates.append((sum(r <= 1 for r in ranks), len(ranks), searched[1][0] or 0))
    line = next(line for line in printed.splitlines() if line.split()[:1] == ["mean"]).split()
    hits, mated, _ = map(sum, zip(*rates[:2], strict=True))
    assert float(line[1]) == pytest.approx(100 * hits / mated, abs=0.0051)
    assert float(line[5]) == pytest.approx(50 * sum(named / count for _, count, named in rates[:2]), abs=0.0051)


def run(folder, *arguments):
    fixed = ["--meta", folder, "--features", folder / "features.bin"]
    script.main([str(argument) for argument in (*fixed, *arguments)])


def test_intervals_hold_the_tars_and_can_be_left_out(tmp_path, capsys):
    make_dataset(tmp_path)
    far = ["--protocol", "ijbc", "--task", "1:1", "--far", "1e-2,0.1", "--json", tmp_path / "o.json"]
    run(tmp_path, *far)
    points = json.loads((tmp_path / "o.json").read_text())["verification"]["results"]
    for point in points:
        low, high = point["tar_interval"]
        assert 0.02 < high - low < 0.5
        assert low < point["tar"] < high
        assert f"{100 * low:.2f}-{100 * high:.2f}" in capsys.readouterr().out or point is not points[0]
    run(tmp_path, "--protocol", "ijbc", "--task", "1:N", "--json", tmp_path / "n.json")
    for gallery in json.loads((tmp_path / "n.json").read_text())["identification"][:2]:
        rank, point = gallery["ranks"][0], gallery["results"][1]
        assert rank["rate_interval"][0] < rank["hits"] / gallery["mated_probes"] < rank["rate_interval"][1]
        assert point["tpir_interval"][0] < point["tpir"] < point["tpir_interval"][1]
    run(tmp_path, *far, "--bootstrap", "0")
    without = json.loads((tmp_path / "o.json").read_text())["verification"]["results"]
    assert without == [{**point, "tar_interval": None} for point in points]
    with pytest.raises(SystemExit):
        run(tmp_path, *far, "--bootstrap", "-1")
    assert "--bootstrap must be at least 0" in capsys.readouterr().err


def test_one_task_alone_needs_its_own_files_only(tmp_path, capsys):
    make_dataset(tmp_path)
    (tmp_path / "ijbc_template_pair_label.txt").rename(tmp_path / "away.txt")
    run(tmp_path, "--protocol", "ijbc", "--task", "1:N")
    assert "1:1" not in capsys.readouterr().out
    (tmp_path / "away.txt").rename(tmp_path / "ijbc_template_pair_label.txt")
    (tmp_path / "ijbc_1N_probe_mixed.csv").unlink()
    run(tmp_path, "--protocol", "ijbc", "--task", "1:1")
    assert "1:N" not in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"ijbc_1N_probe_mixed\.csv"):
        run(tmp_path, "--protocol", "ijbc")


def test_it_says_when_norms_weigh_nothing(tmp_path, capsys):
    features = make_dataset(tmp_path)
    write_features(tmp_path / "features.bin", features / np.linalg.norm(features, axis=1, keepdims=True))
    run(tmp_path, "--protocol", "ijbc", "--task", "1:1")
    assert "the features have unit norm: their norms weigh nothing" in capsys.readouterr().out


def test_a_pair_list_is_read_alike_in_parts_of_any_size_with_any_line_ends(tmp_path, monkeypatch):
    make_dataset(tmp_path)
    path = tmp_path / "ijbc_template_pair_label.txt"
    known = ijb_meta.read_faces(tmp_path, "ijbc").templates
    known = np.unique(known)
    whole = ijb_meta.read_template_pairs(tmp_path, "ijbc", known)
    table = np.array([line.split() for line in path.read_text().splitlines()], dtype=int)
    assert known[whole.first].tolist() == table[:, 0].tolist()
    assert known[whole.second].tolist() == table[:, 1].tolist()
    assert whole.same.tolist() == (table[:, 2] == 1).tolist()
    text = path.read_text()
    for changed in (text.rstrip("\n"), text + "\n \n", text.replace("\n", "\r\n"), text.replace(" ", "\t ")):
        path.write_bytes(changed.encode())
        for size in (64, 1000, 2**24):
            monkeypatch.setattr(ijb_meta, "CHUNK_BYTES", size)
            again = ijb_meta.read_template_pairs(tmp_path, "ijbc", known)
            assert all((a == b).all() for a, b in zip(whole[:3], again[:3], strict=True))
            assert again.faceless == []


def replaced(name, number, line):
    """Line ``number`` of a meta file becomes ``line``; None: it is taken out, with all after it."""

    def change(folder):
        path = folder / f"ijbc_{name}"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[: number - 1] + ([] if line is None else [line, *lines[number:]])))

    return change


def relabelled(number, label):
    """Line ``number`` of the pair list gets another SAME."""

    def change(folder):
        first, second, _ = (folder / "ijbc_template_pair_label.txt").read_text().splitlines()[number - 1].split()
        replaced("template_pair_label.txt", number, f"{first} {second} {label}")(folder)

    return change


NAMES, FACES, PAIRS = "name_5pts_score.txt", "face_tid_mid.txt", "template_pair_label.txt"
GALLERY, PROBE = "1N_gallery_G1.csv", "1N_probe_mixed.csv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(NAMES, 3, "3.jpg 1 2 0.9"), "name_5pts_score.txt, line 3: '3.jpg 1 2 0.9' is not NAME, ten landmark"),
        (replaced(NAMES, 2, f"2.jpg {LANDMARKS} high"), "name_5pts_score.txt, line 2: .* is not NAME, ten landmark"),
        (replaced(NAMES, 2, f"2.jpg {LANDMARKS} -1"), "name_5pts_score.txt, line 2: .* a detector score from 0 on"),
        (replaced(NAMES, 2, f"2.jpg {LANDMARKS} nan"), "name_5pts_score.txt, line 2"),
        (replaced(NAMES, 9, None), r"face_tid_mid.txt: \d+ lines, but ijbc_name_5pts_score.txt has 8"),
        (replaced(FACES, 4, "4.jpg 7"), "face_tid_mid.txt, line 4: '4.jpg 7' is not NAME TEMPLATE MEDIUM"),
        (replaced(FACES, 4, "4.jpg 7 x"), "face_tid_mid.txt, line 4: '4.jpg 7 x' is not"),
        (replaced(FACES, 4, "4.jpg 7 -1"), "face_tid_mid.txt, line 4: '4.jpg 7 -1' is not"),
        (replaced(FACES, 4, "4.jpg 7 " + "9" * 5000), "face_tid_mid.txt, line 4"),
        (replaced(FACES, 5, "6.jpg 7 1"), "face_tid_mid.txt, line 5: is about '6.jpg', but that line of .* '5.jpg'"),
        (replaced(FACES, 1, ""), "face_tid_mid.txt, line 1: '' is not"),
        (replaced(PAIRS, 5999, "7 8"), "template_pair_label.txt, line 5999: '7 8' is not 3 whole numbers"),
        (replaced(PAIRS, 17, "7 8 1 1"), "template_pair_label.txt, line 17: '7 8 1 1' is not 3 whole numbers"),
        (replaced(PAIRS, 17, ""), "template_pair_label.txt, line 17: '' is not 3 whole numbers"),
        (replaced(PAIRS, 17, "7 8 1.5"), "template_pair_label.txt, line 17: '7 8 1.5' is not"),
        (replaced(PAIRS, 17, "7 8 -1"), "template_pair_label.txt, line 17: '7 8 -1' is not"),
        (replaced(PAIRS, 17, "7 8 " + "1" * 30), "template_pair_label.txt, line 17"),
        (relabelled(17, 2), r"template_pair_label.txt, line 17: '\d+ \d+ 2' is not TEMPLATE TEMPLATE SAME"),
        (replaced(PAIRS, 1, None), "template_pair_label.txt: holds no pairs"),
        (
            replaced(GALLERY, 1, "ID,WHO"),
            "gallery_G1.csv, line 1: no columns TEMPLATE_ID and SUBJECT_ID, but 'ID, WHO'",
        ),
        (replaced(GALLERY, 1, None), "gallery_G1.csv, line 1: no columns"),
        (replaced(GALLERY, 2, None), "gallery_G1.csv: holds no templates"),
        (replaced(PROBE, 3, "12"), "probe_mixed.csv, line 3: '12' is not a line with whole numbers"),
        (replaced(PROBE, 3, "a,12,x.jpg"), "probe_mixed.csv, line 3: 'a 12 x.jpg' is not a line with whole numbers"),
    ],
)
@pytest.mark.parametrize("chunk", [100, 2**24])
def test_errors_name_file_and_line(tmp_path, monkeypatch, change, message, chunk):
    monkeypatch.setattr(ijb_meta, "CHUNK_BYTES", chunk)
    make_dataset(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError, match=message):
        run(tmp_path, "--protocol", "ijbc")


def test_a_template_of_two_subjects_is_refused(tmp_path):
    make_dataset(tmp_path)
    path = tmp_path / "ijbc_1N_probe_mixed.csv"
    template = path.read_text().splitlines()[1].split(",")[0]
    lines = len(path.read_text().splitlines())
    path.write_text(path.read_text() + f"{template},7,x.jpg\n")
    with pytest.raises(UserError, match=f"line {lines + 1}: template {template} is of subject 7, but of 5"):
        run(tmp_path, "--protocol", "ijbc")


def test_features_of_another_list_are_refused(tmp_path):
    features = make_dataset(tmp_path)
    write_features(tmp_path / "features.bin", features[:-1])
    with pytest.raises(
        UserError, match=f"{len(features) - 1} rows, but ijbc_name_5pts_score.txt lists {len(features)}"
    ):
        run(tmp_path, "--protocol", "ijbc")


def test_it_runs_as_a_file_from_anywhere(tmp_path):
    make_dataset(tmp_path)
    command = [sys.executable, DOOR, "--protocol", "ijbc", "--meta", ".", "--features", "features.bin"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ijbc N1D1F0: 200 templates of ")


def without_images(folder, features, templates):
    """The images of these templates were not there: no face of them in the lists."""
    rows = [row for row, line in enumerate(lines_of(folder, FACES)) if int(line.split(" ")[1]) not in templates]
    for name in (NAMES, FACES):
        lines = lines_of(folder, name)
        (folder / f"ijbc_{name}").write_text("".join(f"{lines[row]}\n" for row in rows))
    return features[rows]


def without_detections(folder, features, templates):
    """The detector found nothing: zeros, with a score of 0."""
    rows = [row for row, line in enumerate(lines_of(folder, FACES)) if int(line.split(" ")[1]) in templates]
    features = features.copy()
    features[rows] = 0
    return without_scores(folder, features, templates)


def without_scores(folder, features, templates):
    """The features are there, but the detector gave scores of 0."""
    names = lines_of(folder, NAMES)
    for row, line in enumerate(lines_of(folder, FACES)):
        if int(line.split(" ")[1]) in templates:
            names[row] = names[row].rpartition(" ")[0] + " 0"
    (folder / f"ijbc_{NAMES}").write_text("".join(f"{line}\n" for line in names))
    return features


def lines_of(folder, name):
    return (folder / f"ijbc_{name}").read_text().splitlines()


def template_ids(folder, name):
    return [int(line.split(",")[0]) for line in lines_of(folder, name)[1:]]


@pytest.mark.parametrize("flags", [[], ["--no-use-norm-score"]])
@pytest.mark.parametrize("lose", [without_images, without_detections, without_scores])
def test_a_failure_to_enrol_matches_nobody_and_is_counted(tmp_path, capsys, lose, flags):
    """One of the gallery, one of the probes, one of each again: as the naive implementation with a score below all."""
    features = make_dataset(tmp_path)
    lost = {ids[place] for ids in (template_ids(tmp_path, GALLERY), template_ids(tmp_path, PROBE)) for place in (0, -1)}
    features = lose(tmp_path, features, lost)
    write_features(tmp_path / "features.bin", features)
    fars = [1e-3, 0.1, 0.99]
    run(tmp_path, "--protocol", "ijbc", *flags, "--far", "1e-3,0.1,0.99", "--json", tmp_path / "o.json")
    found, printed = json.loads((tmp_path / "o.json").read_text()), capsys.readouterr().out
    templates = naive_templates(tmp_path, "ijbc", features, not flags, True, False)
    points, genuine, impostors = naive_verification(tmp_path, "ijbc", templates, fars)
    verified = found["verification"]
    assert (verified["genuine_pairs"], verified["impostor_pairs"]) == (genuine, impostors)
    for point, expected in zip(verified["results"], points, strict=True):
        assert (point["true_accepts"], point["false_accepts"]) == expected[:2]
        assert point["tar_interval"][0] <= point["tar"] <= point["tar_interval"][1]
    pairs = [line.split(" ") for line in lines_of(tmp_path, PAIRS)]
    failed = [label for first, second, label in pairs if {int(first), int(second)} & lost]
    assert verified["failures_to_enrol"]["genuine_pairs"] == failed.count("1")
    assert f"{failed.count('1')} genuine and {failed.count('0')} impostor pairs have a template that failed" in printed
    assert "failures to enrol: 4 templates" in printed
    for entry, names in zip(found["identification"], (("G1",), ("G2",), ("G1", "G2")), strict=True):
        ranks, searched = naive_identification(tmp_path, "ijbc", templates, names, [0.01, 0.1])
        assert [(entry["rank"], entry["hits"]) for entry in entry["ranks"]] == [
            (rank, sum(r <= rank for r in ranks)) for rank in (1, 5, 10)
        ]
        assert entry["mated_probes"] == len(ranks)
        assert [(p["true_positives"], p["false_positives"]) for p in entry["results"]] == searched
    assert found["identification"][0]["failures_to_enrol"]["gallery_templates"] == 2


def test_lists_of_another_set_are_refused(tmp_path):
    make_dataset(tmp_path)
    path = tmp_path / f"ijbc_{PAIRS}"
    path.write_text(
        "".join(f"{100000 + i} {200000 + i} {i % 2}\n" for i in range(9)) + path.read_text().partition("\n")[0]
    )
    with pytest.raises(UserError, match=r"pair_label.txt: 18 of its \d+ templates have no face, such as 100000"):
        run(tmp_path, "--protocol", "ijbc", "--task", "1:1")


def test_names_with_blanks_and_lists_with_commas(tmp_path, capsys):
    make_dataset(tmp_path)
    run(tmp_path, "--protocol", "ijbc")
    expected = capsys.readouterr().out
    for name in (NAMES, FACES):
        changed = ["img " + line.replace(".jpg", " a.jpg") for line in lines_of(tmp_path, name)]
        (tmp_path / f"ijbc_{name}").write_text("\r\n".join(changed))
    path = tmp_path / f"ijbc_{PAIRS}"
    path.write_text("first,second,same\n" + path.read_text().replace(" ", ","))
    for name in (GALLERY, PROBE):
        table = tmp_path / f"ijbc_{name}"
        table.write_text("\ufeff" + table.read_text().replace(",", ";"))
    run(tmp_path, "--protocol", "ijbc")
    assert capsys.readouterr().out == expected
