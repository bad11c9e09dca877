"""Our montage against the same choices by trying all, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.montage_video import FaceVideo
from lwface.montage.costs import summary
from lwface.montage.index import load, save
from lwface.montage.processor import Processor, ProcessorResult, index_name, score
from lwface.montage.sequence import MontageOptions, SequenceProcessor
from tests.montage.conftest import FRAMES, SIZE, face, picture

QUERY = FaceVideo(
    np.stack([picture(50 + number) for number in range(6)], axis=3),
    np.stack([face(50 + number) for number in range(6)]),
)


@pytest.fixture
def made(table):
    Processor(table).build_index(index_name(table))

    def make(**options):
        processor = SequenceProcessor(table, MontageOptions(**options))
        processor.load_index(index_name(table))
        return processor

    return make


def people_of(processor, results):
    return [processor.index.frame(result.frame_idx)[0].person for result in results]


@pytest.mark.parametrize("warp", ["none", "similarity", "points"])
@pytest.mark.parametrize("colour", [False, True])
def test_every_frame_is_what_it_says_and_what_it_reports_is_so(made, warp, colour):
    processor = made(warp=warp, colour=colour)
    results = processor.process_video(QUERY)
    assert [result.frame.shape for result in results] == [(*SIZE, 3)] * 6
    costs = score(QUERY, results, processor.index, processor.frames)
    for frame in costs:
        assert frame.honest == pytest.approx(frame.signed)


def test_moving_a_frame_costs_less_than_showing_it_as_it_is(made):
    honest = {}
    for warp in ("none", "similarity", "points"):
        processor = made(warp=warp)
        costs = score(QUERY, processor.process_video(QUERY), processor.index, processor.frames)
        honest[warp] = summary(costs)["honest"].points
    assert honest["points"] < honest["similarity"] < 0.6 * honest["none"]


def test_the_own_cost_is_what_the_landmarks_will_cost(made):
    rows = np.arange(sum(FRAMES.values()))
    for warp in ("none", "similarity"):
        processor = made(warp=warp, colour=False)
        own = processor._own(QUERY.points[0], SIZE, rows)
        for row in rows:
            result = processor._result(QUERY.frame(0), QUERY.points[0], int(row))
            cost = 9 * np.abs((result.landmarks - QUERY.points[0]) / np.array(SIZE)).mean()
            assert own[row] == pytest.approx(cost, rel=1e-5) if warp == "none" else cost <= own[row] + 1e-9


@pytest.mark.parametrize(("look_ahead", "most"), [(None, 2), (None, 3), (0, 2), (2, 2), (3, None)])
def test_nobody_is_shown_more_often_than_allowed(made, look_ahead, most):
    processor = made(look_ahead=look_ahead, most=most)
    results = processor.process_video(QUERY)
    shown = people_of(processor, results)
    assert len(shown) == 6
    assert most is None or max(map(shown.count, shown)) <= most


def test_too_few_people_for_the_limit_is_told_before_anything_is_made(made):
    with pytest.raises(UserError, match="at most 1 frames a person: 6 frames need 6 people, the index has 4"):
        made(most=1).process_video(QUERY)


def test_looking_ahead_to_the_end_is_the_whole_and_frame_by_frame_is_no_look_ahead(made):
    rows = {}
    for look_ahead in (None, 0, 50):
        rows[look_ahead] = [r.frame_idx for r in made(look_ahead=look_ahead).process_video(QUERY)]
    assert rows[50] == rows[None]  # all frames are candidates for each here
    processor = made()
    processor.reset()
    live = [processor.process_frame(QUERY.frame(n), QUERY.points[n]).frame_idx for n in range(6)]
    assert live == rows[0]
    processor.reset()
    assert processor.process_frame(QUERY.frame(0), QUERY.points[0]).frame_idx == live[0]


def test_frames_without_a_face_are_answered_by_none(made):
    points = QUERY.points.copy()
    points[[0, 3]] = np.nan
    processor = made()
    video = FaceVideo(QUERY.images, points)
    results = processor.process_video(video)
    assert [result is None for result in results] == [True, False, False, True, False, False]
    assert len(score(video, results, processor.index, processor.frames)) == 4
    assert processor.process_video(FaceVideo(QUERY.images, np.full_like(points, np.nan))) == [None] * 6


def test_without_thumbnails_a_video_is_stayed_in(table, capsys):
    processor = SequenceProcessor(table)
    processor.pictures = False
    processor.build_index(index_name(table))
    processor.load_index(index_name(table))
    changes = processor._changes(np.arange(7), np.arange(7))
    assert changes[0, 2] == changes[2, 0] == 0 < changes[0, 3] == changes[3, 4]
    assert len(processor.process_video(QUERY)) == 6


def test_a_processor_of_one_s_own_is_judged_by_what_it_shows(table, capsys, monkeypatch):
    monkeypatch.setattr("lwface.base.notes._told", set())

    class Liar(Processor):
        """Shows row 3 and says it is row 5, then another shape, then nothing, then the truth."""

        def reset(self):
            self.count = 0

        def process_frame(self, frame, landmarks):
            self.count += 1
            honest = self.shown(3, frame.shape[:2])
            answers = {
                1: ProcessorResult(honest.frame, 5, landmarks),
                2: ProcessorResult(honest.frame[1:], 3, landmarks),
                3: None,
            }
            return answers.get(self.count, honest)

    liar = Liar(table)
    liar.build_index(index_name(table))
    results = liar.process_video(QUERY)
    costs = score(QUERY, results, liar.index, liar.frames)
    assert [frame.honest.total == pytest.approx(9.1) for frame in costs] == [True, True, True, False, False, False]
    assert costs[0].public.points == 0
    assert costs[1].public.total == costs[2].public.total == 0
    assert "1 frames are not the frames of the index that they are said to be" in capsys.readouterr().err
    results[0] = ProcessorResult(results[3].frame, 99, QUERY.points[0])
    with pytest.raises(UserError, match="frame_idx 99: the index has rows 0 to 18"):
        score(QUERY, results, liar.index, liar.frames)


def test_a_processor_without_an_answer_says_so(table):
    with pytest.raises(NotImplementedError):
        Processor(table).process_frame(QUERY.frame(0), QUERY.points[0])


def test_an_index_is_loaded_as_it_was_saved(made, tmp_path):
    processor = made()
    save(processor.index, tmp_path / "copy")
    assert load(tmp_path / "copy").count == processor.index.count
