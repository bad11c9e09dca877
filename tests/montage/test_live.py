"""A camera, of a stand-in of OpenCV's interface: what is answered, in what order, and how far behind."""

from __future__ import annotations

import sys
import types

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.montage_video import FaceVideo
from lwface.formats.video import open_frames
from lwface.montage import camera as cameras
from lwface.montage.baseline import RepairedBaseline
from lwface.montage.camera import LiveCamera, open_camera
from lwface.montage.live import follow_camera, live_answers
from lwface.montage.processor import Processor, index_name
from lwface.montage.sequence import MontageOptions, SequenceProcessor
from lwface.montage.window import Window
from tests.montage.conftest import SIZE, Film, face, picture, write_table

FRAMES = 8
QUERY = FaceVideo(
    np.stack([picture(50 + number) for number in range(FRAMES)], axis=3),
    np.stack([face(50 + number) for number in range(FRAMES)]),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    table = write_table(tmp_path_factory.mktemp("data"))
    Processor(table).build_index(index_name(table))

    def make(kind=SequenceProcessor, **options):
        processor = kind(table, MontageOptions(**options)) if kind is SequenceProcessor else kind(table)
        processor.load_index(index_name(table))
        return processor

    return make


def film(without=()):
    return Film(QUERY, without)


def shown(processor, source, show=None, output=None):
    with LiveCamera(source, "--camera 0", source.looked_for) as camera:
        return follow_camera(camera, source.follower, processor, output, show)


def answers(processor, source):
    with LiveCamera(source, "--camera 0", source.looked_for) as camera:
        return list(live_answers(camera, source.follower, processor))


@pytest.mark.parametrize("look_ahead", [0, 2, 50])
def test_a_camera_is_answered_as_a_video_is_that_looks_ahead_as_far(made, look_ahead):
    recorded = made(look_ahead=look_ahead).process_video(QUERY)
    live = answers(made(look_ahead=look_ahead), film())
    assert [answer.frame.number for answer in live] == list(range(FRAMES))
    for answer, result in zip(live, recorded, strict=True):
        np.testing.assert_array_equal(answer.frame.image, QUERY.frame(answer.frame.number))
        assert answer.result.frame_idx == result.frame_idx
        np.testing.assert_array_equal(answer.result.frame, result.frame)


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_what_looks_ahead_is_so_many_frames_behind(made, look_ahead):
    figures = shown(made(look_ahead=look_ahead), film())
    assert figures.lags == [look_ahead] * (FRAMES - look_ahead) + list(range(look_ahead))[::-1]
    assert (figures.given, figures.shown, figures.faces, figures.dropped) == (FRAMES, FRAMES, FRAMES, 0)


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_where_the_face_is_lost_what_waits_is_answered_first(made, look_ahead):
    live = answers(made(look_ahead=look_ahead), film(without=(0, 4, 5)))
    assert [answer.frame.number for answer in live] == list(range(FRAMES))
    assert [answer.result is None for answer in live] == [number in (0, 4, 5) for number in range(FRAMES)]


def test_frames_that_came_while_one_was_worked_on_are_passed_over(made):
    source = film()
    source.busy_at = 2  # until three more have come
    figures = shown(made(), source)
    assert source.followed == [0, 1, 2, 5, 6, 7]
    assert (figures.given, figures.shown) == (FRAMES, 6)
    assert figures.lags == [0, 0, 3, 0, 0, 0]
    told = "\n".join(figures.lines(None))
    assert "the camera gave 8, there was no time for 2" in told
    assert "0.5 frames behind the camera on average, 3 at most" in told


def test_where_everyone_was_shown_people_are_counted_anew(made):
    processor = made(most=1)
    people = [processor.index.frame(answer.result.frame_idx)[0].person for answer in answers(processor, film())]
    assert sorted(people[:4]) == sorted(people[4:]) == ["ann", "ben", "cid", "dan"]
    looking = made(most=1, look_ahead=1)
    people = [looking.index.frame(answer.result.frame_idx)[0].person for answer in answers(looking, film())]
    assert sorted(people[:4]) == sorted(people[4:]) == ["ann", "ben", "cid", "dan"]


def test_others_answer_at_once_and_an_answer_of_another_shape_is_none(made):
    repaired = answers(made(RepairedBaseline), film())
    assert all(answer.result is not None for answer in repaired)

    class Cut(RepairedBaseline):
        def process_frame(self, frame, landmarks):
            return super().process_frame(frame[1:], landmarks)

    figures = shown(made(Cut), film())
    assert figures.dropped == FRAMES


def test_the_pair_is_shown_and_written_with_the_times_of_the_camera(made, tmp_path):
    pairs = []
    shown(made(), film(without=(0,)), pairs.append, tmp_path / "o.mp4")
    assert [pair.shape for pair in pairs] == [(SIZE[0], 2 * SIZE[1], 3)] * FRAMES
    assert not pairs[0][SIZE[0] // 2 :, SIZE[1] :].any()  # nothing to show yet
    assert pairs[1][SIZE[0] // 2 :, SIZE[1] :].any()
    written = open_frames(tmp_path / "o.mp4")
    assert (written.count, written.size) == (FRAMES, (SIZE[0], 2 * SIZE[1]))


def test_a_large_frame_is_made_smaller(made):
    large = FaceVideo(np.stack([picture(1, (600, 1280))], axis=3), np.stack([face(1, (300, 640))]))
    (answer,) = answers(made(), Film(large))
    assert answer.frame.image.shape == answer.result.frame.shape == (300, 640, 3)


def test_what_is_wrong_with_a_camera_is_one_line(made, monkeypatch):
    source = film()
    source.count = 0
    with pytest.raises(UserError, match="--camera 0: gives no more frames; was it unplugged"):
        shown(made(), source)
    assert source.released

    source = film()
    source.fails_at, source.error = 3, RuntimeError("of its driver")
    with pytest.raises(RuntimeError, match="of its driver"):
        shown(made(), source)
    assert source.released

    monkeypatch.setattr(cameras, "PATIENCE", 0.0)
    source = film()
    source.ready = False
    with pytest.raises(UserError, match="gave no frame for 0 s"):
        shown(made(), source)
    assert not source.released  # it is being read
    source.turn.release()


def test_what_was_shown_before_a_camera_ended_is_kept(made, tmp_path):
    source = film()
    source.fails_at, source.error = 5, cv2.error("of its driver")
    with LiveCamera(source, "--camera 0", source.looked_for) as camera:
        figures = follow_camera(camera, source.follower, made(look_ahead=2), tmp_path / "o.mp4", None)
    assert camera.ended == "gives no more frames: of its driver"
    assert figures.shown == open_frames(tmp_path / "o.mp4").count == 5


def test_no_camera_is_one_line(monkeypatch):
    monkeypatch.setattr("cv2.VideoCapture", lambda number: types.SimpleNamespace(isOpened=bool, release=bool))
    with pytest.raises(UserError, match="--camera 3: there is no such camera"):
        open_camera(3)


def test_a_window_shows_a_picture_and_is_closed_by_a_key(monkeypatch):
    """A stand-in of Tk: what it is given is the picture's bytes as a PPM."""
    given, keys = {}, {}

    class Tk:
        title = update = destroy = lambda *_: None
        full = False

        def protocol(self, name, action):
            keys[name] = lambda _: action()

        def bind(self, key, action):
            keys[key] = action

        def attributes(self, name, *value):
            self.full = value[0] if value else self.full
            return self.full

    tk = types.ModuleType("tkinter")
    tk.TclError = RuntimeError
    tk.Tk = Tk
    tk.PhotoImage = lambda master: types.SimpleNamespace(configure=given.update)
    tk.Label = lambda *_, **__: types.SimpleNamespace(pack=lambda **_: None)
    monkeypatch.setitem(sys.modules, "tkinter", tk)
    image = picture(1)
    window = Window("montage")
    window.show(image)
    head, _, body = given["data"].partition(b"255\n")
    assert head == b"P6 56 48 "
    assert body == image.tobytes()
    keys["f"](None)
    assert window._root.full
    for key in ("q", "<Escape>", "WM_DELETE_WINDOW"):
        window.closed = False
        keys[key](None)
        assert window.closed
    given.clear()
    window.show(image)
    assert not given

    def without_display():
        raise tk.TclError("no display name")

    tk.Tk = without_display
    with pytest.raises(UserError, match="no display name"):
        Window("montage")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(UserError, match="this Python has no tkinter"):
        Window("montage")
