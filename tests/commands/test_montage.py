"""The montage's commands as they are typed, and what they answer to what is wrong."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.commands import make_montage, montage
from lwface.formats.montage_video import read_face_video, write_face_video
from lwface.formats.video import TimedFrame, open_frames, video_writer
from lwface.montage.camera import LiveCamera
from tests.montage.conftest import FRAMES, SIZE, Film, face, picture, table  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("av")


@pytest.fixture
def data(table, monkeypatch):  # noqa: F811
    """A folder of train/ with an index, and a query beside it."""
    folder = table.parent
    write_face_video(
        folder / "query.npz",
        np.stack([picture(70 + number) for number in range(5)]),
        np.stack([face(70 + number) for number in range(5)]),
    )
    monkeypatch.chdir(folder)
    montage.main(["index", "--videos", "videos.csv"])
    return folder


def test_the_challenge_s_commands(data, capsys):
    montage.main(["index", "--videos", "videos.csv"])
    montage.main(["process-video", "--videos", "videos.csv", "query.npz"])
    told = capsys.readouterr().out
    assert "19 frames of 5 videos" in told
    assert "people: 4" in told
    assert "the challenge's limit is 600 s: kept" in told
    assert "the challenge's limit is 60 s: kept" in told
    sides = {name: open_frames(data / name).size for name in ("output.mp4", "output.alone.mp4")}
    assert sides == {"output.mp4": (5 * SIZE[0], 10 * SIZE[1]), "output.alone.mp4": SIZE}
    assert open_frames(data / "output.mp4").count == 5
    for name in ("output.sheet.jpg", "output.costs.png"):
        assert (data / name).stat().st_size > 1000
    assert not [path for path in data.iterdir() if path.name.startswith(".")]

    # As its page types the baseline: the command left out.
    montage.main(["--baseline", "index", "--videos", "videos.csv"])
    montage.main(["--baseline", "--videos", "videos.csv", "query.npz"])
    assert json.loads((data / "output.json").read_text())["processor"] == "PublishedBaseline"
    montage.main(["process-video", "--repaired", "--videos", "videos.csv", "query.npz", "--output", "r.mp4"])
    assert json.loads((data / "r.json").read_text())["processor"] == "RepairedBaseline"


def _parsed(*typed):
    arguments = vars(montage.parse_arguments(list(typed)))
    return arguments["command"], str(arguments["videos"]), {name for name, value in arguments.items() if value is True}


@pytest.mark.parametrize("flag", ["-v", "--videos"])
def test_the_published_program_s_flags_stand_before_and_behind_the_command(data, flag):
    """As its own cli.py takes them, short and long; what the page types without a command, too."""
    made = "process-video", "videos.csv", {"baseline", "debug"}
    for typed in (
        ["-b", "-d", "process-video", flag, "videos.csv", "query.npz"],
        ["--debug", flag, "videos.csv", "process-video", "query.npz", "--baseline"],
        ["process-video", "query.npz", flag, "videos.csv", "-bd"],
        ["-b", "-d", flag, "videos.csv", "query.npz"],
        ["--debug", flag, "videos.csv", "-b", "query.npz"],
        ["-d", flag, "videos.csv", "--baseline", "--output", "o.mp4", "query.npz"],
    ):
        assert _parsed(*typed) == made
    assert _parsed(flag, "videos.csv", "index", "-b") == ("index", "videos.csv", {"baseline"})
    for name in ("--cuda", "-c"):
        assert _parsed("process-webcam", flag, "videos.csv", name) == ("process-webcam", "videos.csv", {"cuda"})
    with pytest.raises(UserError, match="--videos: is not given, and neither"):
        montage.parse_arguments(["index"])
    (data / "data" / "train").mkdir(parents=True)
    for folder in (data / "data", data / "data" / "train"):
        named = folder / "youtube_faces_with_keypoints_large.csv"
        named.write_text("videoID\nben_0\n")
        assert _parsed("index")[1] == str(named.relative_to(data))


def test_cuda_is_taken_and_said_to_change_nothing(data, film, capsys):
    montage.main(["process-webcam", "--cuda", "--videos", "videos.csv", "--output", "live.mp4", "--baseline"])
    assert "note: --cuda: nothing here runs on a GPU" in capsys.readouterr().err


def test_a_score_is_what_was_told_and_believes_no_cost_of_the_file(data, capsys):
    montage.main(["process-video", "--videos", "videos.csv", "query.npz", "--most", "2"])
    record = json.loads((data / "output.json").read_text())
    told = capsys.readouterr().out.splitlines()[-4:]
    record["costs"] = record["frames"][0]["costs"] = None
    (data / "spoiled.json").write_text(json.dumps(record))
    for name in ("output.json", "spoiled.json"):
        montage.main(["score", "--videos", "videos.csv", "query.npz", "--montage", name])
        assert capsys.readouterr().out.splitlines() == told
    montage.main(["score", "--videos", "videos.csv", "query.npz", "--montage", "output.json", "--json"])
    assert set(json.loads(capsys.readouterr().out)) == {"public", "signed", "honest"}
    montage.main(["score", "--videos", "videos.csv", "query.npz", "--montage", "output.json", "--json", "s.json"])
    assert len(json.loads((data / "s.json").read_text())["frames"]) == 5


def test_the_game_against_public_is_seen(data, capsys):
    """The first frame again and again, with the query's own landmarks: free in public, dear in honest."""
    query = read_face_video("query.npz")
    images, points = np.stack([query.frame(0)] * 5), query.points
    write_face_video("game.npz", images, points)
    montage.main(["score", "--videos", "videos.csv", "query.npz", "--montage", "game.npz"])
    told = capsys.readouterr().out
    assert "public      0.0000     0.0000     0.0000" in told
    assert "honest    not known" in told
    with np.load("game.npz") as arrays:
        np.savez("game.npz", **arrays, frameIndex=np.zeros(5, np.int64))
    montage.main(["score", "--videos", "videos.csv", "query.npz", "--montage", "game.npz", "--json"])
    sums = json.loads(capsys.readouterr().out)
    assert sums["public"]["total"] == 0
    assert sums["honest"]["total"] == pytest.approx(5 * 9.1)


def test_a_processor_of_one_s_own(data, capsys):
    (data / "mine.py").write_text(
        "import lwface.montage.processor as montage\n\n\n"
        "class Processor(montage.Processor):\n"
        "    def process_frame(self, frame, landmarks):\n"
        "        return self.shown(7, frame.shape[:2])\n"
    )
    montage.main(["--processor", "mine.py", "process-video", "--videos", "videos.csv", "query.npz"])
    frames = json.loads((data / "output.json").read_text())["frames"]
    assert [(frame["shown"]["video"], frame["shown"]["frame"]) for frame in frames] == [("ben_0", 0)] * 5
    page = (ROOT / "docs" / "montage.md").read_text()
    (data / "mine.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1])
    rows = []
    for flags in (["--processor", "mine.py"], ["--repaired"]):  # which the page's does over again
        montage.main([*flags, "process-video", "--videos", "videos.csv", "query.npz"])
        rows.append([frame["shown"]["row"] for frame in json.loads((data / "output.json").read_text())["frames"]])
    assert rows[0] == rows[1]
    for text, told in (("x = 1\n", "has no class Processor"), ("x = (\n", "line 1")):
        (data / "mine.py").write_text(text)
        with pytest.raises(UserError, match=told):
            montage.main(["--processor", "mine.py", "process-video", "--videos", "videos.csv", "query.npz"])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["process-video", "query.npz", "--output", "o.avi"], "give a name that ends in .mp4"),
        (["process-video", "query.npz", "--most", "0"], "--most 0: expected 1 or more"),
        (["process-video", "query.npz", "--most", "1"], "5 frames need 5 people, the index has 4"),
        (["process-video", "query.npz", "--look-ahead", "-1"], "--look-ahead -1: expected 0 or more"),
        (["process-video", "videos.csv", "--points-model", "none"], "a montage goes by 68 points"),
        (["process-video", "query.npz", "--detector", "mtcnn"], "has its landmarks in it"),
        (["--baseline", "process-video", "query.npz", "--repaired"], "give one of them"),
        (["--baseline", "process-video", "query.npz", "--most", "2"], "--most: is for the montage of our own"),
        (["process-webcam", "--repaired", "--look-ahead", "0"], "leave it out with --repaired"),
        (["process-webcam", "--camera", "-1"], "--camera -1: expected 0 or more"),
        (["process-webcam", "--seconds", "0"], "--seconds 0: expected more than 0"),
        (["process-webcam", "--points-model", "none"], "a montage goes by 68 points"),
        (["process-video", "cut.npz"], "cut.npz: is damaged or no .npz video"),
        (["process-video", "text.npz"], "it holds Python objects, which are not unpickled, or no array at all"),
        (
            ["index", "--videos", "cut.csv"],
            "cut.npz: is damaged or no .npz video: File is not a zip file; get it again",
        ),
        (["process-video", "query.npz", "--videos", "cut.csv"], "montage/cli.py index --videos cut.csv makes it"),
        (["score", "query.npz", "--montage", "videos.csv"], "is no montage: neither JSON nor an .npz"),
        (["score", "query.npz", "--montage", "ben_0.npz", "--json", "."], "--json .: is a folder"),
        (["score", "query.npz", "--montage", "cid_0.npz"], "has 4 frames, the query has 5"),
        (["score", "query.npz", "--montage", "old.json"], "is a montage of version 9"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing_behind(data, typed, told):
    (data / "cut.npz").write_bytes((data / "query.npz").read_bytes()[:900])
    (data / "text.npz").write_text("a page that says why the file is not there")
    (data / "cut.csv").write_text("videoID\ncut\n")
    (data / "old.json").write_text('{"format": "lwface montage", "version": 9, "frames": [0, 0, 0, 0, 0]}')
    before = sorted(path.name for path in data.iterdir())
    with pytest.raises(UserError) as error:
        montage.main(typed if "--videos" in typed else [*typed, "--videos", "videos.csv"])
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in data.iterdir()) == before


def test_a_record_of_another_index_or_with_other_numbers_is_told(data):
    montage.main(["process-video", "--videos", "videos.csv", "query.npz"])
    record = json.loads((data / "output.json").read_text())

    def scored(**changes):
        frames = [{**frame, "shown": {**frame["shown"], **changes}} for frame in record["frames"]]
        (data / "changed.json").write_text(json.dumps({**record, "frames": frames}))
        montage.main(["score", "--videos", "videos.csv", "query.npz", "--montage", "changed.json"])

    for changes, told in (
        ({"row": 99}, "frame 0: row 99: the index has rows 0 to 18"),
        ({"video": "eve_0"}, "in this index, not"),
        ({"move": {"matrix": [1]}}, "expected finite numbers of"),
        ({"move": {"bend": np.zeros((68, 2)).tolist()}}, "a bend goes with a matrix"),
        ({"move": 3}, "frame 0:"),
    ):
        with pytest.raises(UserError, match=told):
            scored(**changes)


def test_ctrl_c_while_the_video_is_written_leaves_no_file(data):
    """The videos' writer stops in its third frame, as by Ctrl-C."""
    program = (
        "import os, signal\n"
        "import lwface.formats.video as video\n"
        "write = video.VideoWriter.write\n"
        "def stopped(self, frame):\n"
        "    write(self, frame)\n"
        "    if frame.time > 0.05: os.kill(os.getpid(), signal.SIGINT)\n"
        "video.VideoWriter.write = stopped\n"
        "import sys; sys.argv = ['cli.py', 'process-video', '--videos', 'videos.csv', 'query.npz']\n"
        "from lwface.commands import run\n"
        "run('montage')\n"
    )
    before = sorted(path.name for path in data.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert sorted(path.name for path in data.iterdir()) == before


@pytest.fixture
def film(data, monkeypatch):
    """A camera that gives the query's frames, no display, and Ctrl-C in its third frame where ``interrupted``."""
    source = Film(read_face_video("query.npz"))
    source.interrupted = False

    def follower(frame):
        if source.interrupted and source.given == 3:
            signal.raise_signal(signal.SIGINT)
        return source.follower(frame)

    def camera(number, over):
        return LiveCamera(source, f"--camera {number}", lambda: over() or source.looked_for())

    monkeypatch.setattr("lwface.montage.camera.open_camera", camera)
    monkeypatch.setattr("lwface.landmarks.following.FaceFollower", lambda *_: follower)
    monkeypatch.setattr("lwface.landmarks.opening.face_finder", lambda *_: None)
    monkeypatch.setitem(sys.modules, "tkinter", None)
    monkeypatch.setattr("lwface.base.notes._told", set())
    return source


def test_a_camera_is_followed_until_it_ends(data, film, capsys):
    montage.main(["process-webcam", "--videos", "videos.csv", "--output", "live.mp4", "--look-ahead", "1"])
    told = capsys.readouterr()
    assert "live.mp4: 5 frames, 5 of them with a face, 0 of these dropped" in told.out
    assert "the camera gave 5, there was no time for 0" in told.out
    assert "shown 0.8 frames behind the camera on average, 1 at most" in told.out
    assert "note: no window can be opened (this Python has no tkinter): live.mp4 alone is written" in told.err
    assert "note: --camera 0: gives no more frames" in told.err
    assert open_frames(data / "live.mp4").count == 5


def test_ctrl_c_ends_a_camera_s_video_and_leaves_it_whole(data, film, capsys):
    film.interrupted = True
    montage.main(["process-webcam", "--camera", "2", "--videos", "videos.csv", "--output", "live.mp4", "--baseline"])
    assert "live.mp4: 3 frames" in capsys.readouterr().out
    assert open_frames(data / "live.mp4").count == 3
    assert not [path for path in data.iterdir() if path.name.startswith(".")]


def test_a_camera_needs_a_window_or_a_file(data, film):
    with pytest.raises(UserError, match=r"no window can be opened .*: give --output FILE\.mp4"):
        montage.main(["process-webcam", "--videos", "videos.csv"])


def test_what_is_beside_a_video_is_never_of_another(data, monkeypatch):
    """Ctrl-C when the videos are written and the sheet is not: what an earlier run left stays as it was."""
    montage.main(["--repaired", "process-video", "--videos", "videos.csv", "query.npz"])
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}

    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lwface.montage.output.encode_jpeg", stopped)
    with pytest.raises(KeyboardInterrupt):
        montage.main(["process-video", "--videos", "videos.csv", "query.npz"])
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before
    assert [path.name for path in data.iterdir() if path.is_dir()] == ["videos.csv.index"]


class Known:
    """A follower that knows the query's landmarks, or finds no face."""

    def __init__(self, points):
        self.points = iter(points)

    def __call__(self, frame):
        points = next(self.points)
        return None if points is None else type("Face", (), {"points": points})


def test_a_video_file_is_followed_and_one_without_a_face_is_told(data, monkeypatch, capsys):
    from lwface.montage import queries

    with video_writer(data / "in.mp4", SIZE, Fraction(25)) as writer:
        for number in range(4):
            writer.write(TimedFrame(number / 25, picture(70 + number)))
    points = [face(70), None, face(72), face(73)]
    monkeypatch.setattr(queries, "FaceFollower", lambda *_: Known(points), raising=True)
    monkeypatch.setattr("lwface.landmarks.opening.face_finder", lambda **_: None)
    (data / "m-0001.safetensors").touch()
    typed = ["process-video", "--videos", "videos.csv", "in.mp4", "--points-model", "m,1", "--output", "o.mp4"]
    yunet = ["--detector", "yunet", "--detector-model", "m-0001.safetensors"]
    montage.main([*typed, *yunet])
    told = capsys.readouterr()
    assert "1 of its 4 frames have no face" in told.err
    assert "4 frames, 1 of them dropped" in told.out
    points[:] = [None] * 4
    with pytest.raises(UserError, match=r"in\.mp4: no frame of it has a face"):
        montage.main([*typed, *yunet])


def test_a_teaching_set_becomes_videos_of_people_apart(tmp_path, capsys):
    import cv2

    columns = ",".join(f"x{n},y{n}" for n in range(68))
    for part, frames in (("training", range(3)), ("test", range(3, 5))):
        (tmp_path / "in" / part).mkdir(parents=True)
        rows = [f"image,{columns}"]
        for person, number in (("Ann", 0), ("Ben", 1), ("Cid", 2)):
            for frame in frames:
                name = f"{person}_0{frame}.jpg"
                size = (SIZE[0] + 8, SIZE[1]) if (person, frame) == ("Ben", 4) else SIZE
                cv2.imwrite(str(tmp_path / "in" / part / name), picture(10 * number + frame, size))
                rows.append(",".join([name, *(f"{value:.0f}" for value in face(10 * number + frame).ravel())]))
        (tmp_path / "in" / f"{part}_keypoints.csv").write_text("\n".join(rows) + "\n")
    make_montage.main(["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--test-people", "1"])
    told = capsys.readouterr().out
    assert "14 frames" in told
    assert "another size than the video's first" in told
    found = {path.stem: read_face_video(path) for path in sorted((tmp_path / "out").rglob("*.npz"))}
    assert {name: video.count for name, video in found.items()} == {"Ann_0": 5, "Ben_0": 4, "Cid_0": 5}
    np.testing.assert_allclose(found["Cid_0"].points[4], face(24).round(), atol=1e-9)
    assert len(list((tmp_path / "out" / "test").glob("*.npz"))) == 1
    for path in (tmp_path / "out").glob("*/videos.csv"):
        montage.main(["index", "--videos", str(path)])
    make_montage.main(
        ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "joined"), "--test-people", "0", "--join"]
    )
    joined = read_face_video(tmp_path / "joined" / "train" / "Ben_0.npz")
    assert joined.count == 5
    scale = SIZE[0] / (SIZE[0] + 8)  # the fitted frame is as high as the others
    shift = (SIZE[1] - scale * SIZE[1]) / 2
    np.testing.assert_allclose(joined.points[4], scale * face(14).round() + [shift, 0], atol=1e-9)
    with pytest.raises(UserError, match="is there and not an empty folder"):
        make_montage.main(["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")])


def test_the_doors_say_what_they_take():
    for door, flag in (("montage/cli.py", "process-video"), ("datasets/make_montage.py", "--test-people")):
        done = subprocess.run([sys.executable, ROOT / door, "--help"], capture_output=True, text=True, check=True)
        assert flag in done.stdout
    assert sum(FRAMES.values()) == 19
