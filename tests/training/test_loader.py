"""From a record file to the network's input."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.recognition import dataset as dataset_module
from lwface.recognition import held_images
from lwface.recognition.dataset import BadImage, FaceDataset, mirror_choice, to_network_input
from lwface.training.loader import load_batches
from lwface.training.sampler import BatchSampler

SIZE = (112, 112)


def write_records(folder, images, labels):
    with RecordWriter(folder / "train.rec") as writer:
        for key, (image, label) in enumerate(zip(images, labels, strict=True)):
            writer.write(key, pack(Header(0, float(label), key, 0), image))
    (folder / "property").write_text(f"{max(labels) + 1},112,112")
    return FaceRecords(folder)


@pytest.fixture(scope="module")
def images():
    noise = np.random.default_rng(0).integers(0, 256, (12, 7, 7, 3), dtype=np.uint8)
    return [encode_jpeg(np.kron(small, np.ones((16, 16, 1), np.uint8))) for small in noise]


@pytest.fixture
def records(tmp_path, images):
    return write_records(tmp_path, images, [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3])


def all_batches(dataset, workers=0, start=0, stop=7, batch_size=4):
    sampler = BatchSampler(len(dataset), batch_size, seed=9, start=start, stop=stop)
    return list(load_batches(dataset, sampler, num_workers=workers))


def test_batches_are_bytes_of_the_sampled_images(records, images):
    dataset = FaceDataset(records, image_size=SIZE)
    for batch, positions in zip(all_batches(dataset), BatchSampler(12, 4, seed=9, stop=7), strict=True):
        assert batch.images.dtype == torch.uint8
        assert batch.images.shape == (4, 112, 112, 3)
        assert batch.bad == {}
        for row, position in enumerate(positions):
            assert np.array_equal(batch.images[row].numpy(), decode_rgb(images[position]))
            assert batch.targets[row] == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3][position]


def test_same_batches_for_any_number_of_workers_and_any_start(records):
    dataset = FaceDataset(records, image_size=SIZE)
    state = torch.get_rng_state()
    expected = all_batches(dataset)
    for workers, start in [(1, 0), (2, 4), (0, 5)]:
        found = all_batches(dataset, workers, start)
        assert len(found) == 7 - start
        for a, b in zip(found, expected[start:], strict=True):
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.targets, b.targets)
    assert torch.equal(torch.get_rng_state(), state)  # loading draws nothing from the global state


def test_kept_images_are_the_same_and_decoded_once(records, monkeypatch):
    expected = all_batches(FaceDataset(records, image_size=SIZE))
    calls = []
    monkeypatch.setattr(dataset_module, "decode_rgb", lambda data: calls.append(data) or decode_rgb(data))
    dataset = FaceDataset(records, image_size=SIZE, keep=True)
    for found, batch in zip(all_batches(dataset), expected, strict=True):
        assert torch.equal(found.images, batch.images)
        assert torch.equal(found.targets, batch.targets)
        found.images.zero_()  # what is kept is not what was handed out
    assert len(calls) == 12
    monkeypatch.setattr(dataset_module, "KEPT_BYTES", 12 * 112 * 112 * 3 - 1)
    all_batches(FaceDataset(records, image_size=SIZE, keep=True))
    assert len(calls) == 12 + 7 * 4


@pytest.mark.parametrize("workers", [0, 2])
def test_held_images_are_the_same_for_all_processes_and_decoded_once(records, monkeypatch, workers):
    expected = all_batches(FaceDataset(records, image_size=SIZE, images_filter=3), batch_size=3)
    dataset = FaceDataset(records, image_size=SIZE, images_filter=3, keep=True)
    calls = []
    monkeypatch.setattr(dataset_module, "decode_rgb", lambda data: calls.append(data) or decode_rgb(data))
    dataset.hold()
    assert len(calls) == 10
    monkeypatch.setattr(dataset_module, "decode_rgb", None)  # forked processes find none either
    for found, batch in zip(all_batches(dataset, workers, batch_size=3), expected, strict=True):
        assert torch.equal(found.images, batch.images)
        assert torch.equal(found.targets, batch.targets)
        found.images.zero_()
    assert pickle.loads(pickle.dumps(dataset)).held is None


def test_held_images_tell_what_is_bad_at_its_turn(tmp_path, images):
    damaged = [images[0], b"", images[2], encode_jpeg(np.zeros((96, 100, 3), np.uint8))]
    dataset = FaceDataset(write_records(tmp_path, damaged, [0, 1, 2, 3]), image_size=SIZE, skip_bad=True)
    dataset.hold()
    assert list(dataset[np.array([0, 1, 2])].bad) == [1]
    with pytest.raises(UserError, match="key 3 is 96x100"):
        dataset[np.array([0, 3])]


def test_images_that_do_not_fit_into_memory_are_refused(records, monkeypatch):
    monkeypatch.setattr(held_images, "available_bytes", lambda: 12 * 112 * 112 * 3)
    with pytest.raises(UserError, match="leave out --in-memory"):
        FaceDataset(records, image_size=SIZE).hold()


def test_filter_drops_small_identities_and_keeps_labels(records):
    dataset = FaceDataset(records, image_size=SIZE, images_filter=3)
    assert len(dataset) == 10
    labels = dataset[np.arange(10)].targets.tolist()
    assert labels == [0, 0, 0, 1, 1, 1, 3, 3, 3, 3]
    assert len(FaceDataset(records, image_size=SIZE, images_filter=4)) == 4
    with pytest.raises(UserError, match="data_images_filter = 5"):
        FaceDataset(records, image_size=SIZE, images_filter=5)


@pytest.mark.parametrize("workers", [0, 2])
def test_undecodable_images_stop_the_run_by_name(tmp_path, images, workers):
    damaged = [*images[:3], b"not a picture", images[4], images[5][:-40], *images[6:]]
    records = write_records(tmp_path, damaged, [0] * 6 + [1] * 6)
    dataset = FaceDataset(records, image_size=SIZE)
    with pytest.raises(BadImage, match=r"train\.rec: .*do not decode \(key [35]:.*--skip-bad") as caught:
        all_batches(dataset, workers, batch_size=12)
    assert "2 images" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert multiprocessing.active_children() == []


def test_skip_bad_takes_the_next_good_image_of_the_batch_and_says_so(tmp_path, images):
    damaged = [images[0], b"", images[2], b"junk"]
    records = write_records(tmp_path, damaged, [0, 1, 2, 3])
    batch = FaceDataset(records, image_size=SIZE, skip_bad=True)[np.array([0, 1, 2, 3])]
    assert list(batch.bad) == [1, 3]
    assert "empty" in batch.bad[1]
    assert batch.targets.tolist() == [0, 2, 2, 0]
    expected = [decode_rgb(images[i]) for i in (0, 2, 2, 0)]
    assert np.array_equal(batch.images.numpy(), expected)
    with pytest.raises(BadImage, match="no image of this batch is left"):
        FaceDataset(records, image_size=SIZE, skip_bad=True)[np.array([1, 3])]


def test_wrong_size_names_key_and_size(tmp_path, images):
    small = encode_jpeg(np.zeros((96, 100, 3), np.uint8))
    records = write_records(tmp_path, [*images[:5], small], [0] * 6)
    with pytest.raises(UserError, match="key 5 is 96x100, expected 112x112"):
        all_batches(FaceDataset(records, image_size=SIZE, skip_bad=True), 1, batch_size=6)


def test_damaged_record_stops_even_with_skip_bad(tmp_path, images):
    write_records(tmp_path, images[:4], [0] * 4)
    data = bytearray((tmp_path / "train.rec").read_bytes())
    data[:4] = b"oops"
    (tmp_path / "train.rec").write_bytes(data)
    with pytest.raises(UserError, match=r"train\.rec.*magic"):
        all_batches(FaceDataset(FaceRecords(tmp_path), image_size=SIZE, skip_bad=True), batch_size=4)


def test_a_killed_worker_is_one_line(records):
    class Dying(FaceDataset):
        def __getitem__(self, positions):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match="lower --num-workers"):
        all_batches(Dying(records, image_size=SIZE), workers=1)


def test_workers_outlive_signals_to_the_process_group(records):
    """Ctrl-C and SIGTERM reach them too, but the step that runs must still be finished and saved."""
    dataset = FaceDataset(records, image_size=SIZE)
    expected = all_batches(dataset)
    batches = load_batches(dataset, BatchSampler(12, 4, seed=9, stop=7), num_workers=2)
    found = [next(batches)]
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGTERM)
        os.kill(child.pid, signal.SIGINT)
    found += batches
    assert all(torch.equal(a.images, b.images) for a, b in zip(found, expected, strict=True))
    assert multiprocessing.active_children() == []  # gone when the last batch is


def test_network_input_is_the_naive_flip_in_channels_last():
    images = torch.randint(256, (5, 6, 7, 3), dtype=torch.uint8)
    mirror = torch.tensor([True, False, False, True, True])
    found = to_network_input(images, mirror)
    assert found.shape == (5, 3, 6, 7)
    assert found.dtype == torch.uint8
    assert found.is_contiguous(memory_format=torch.channels_last)
    for i in range(5):
        naive = images[i].numpy()[:, ::-1] if mirror[i] else images[i].numpy()
        assert np.array_equal(found[i].numpy().transpose(1, 2, 0), naive)
    assert torch.equal(to_network_input(images), images.permute(0, 3, 1, 2))


def test_mirror_depends_on_seed_and_step_alone():
    choice = mirror_choice(1, 5, 4000)
    assert torch.equal(choice, mirror_choice(1, 5, 4000))
    assert not torch.equal(choice, mirror_choice(1, 6, 4000))
    assert not torch.equal(choice, mirror_choice(2, 5, 4000))
    assert abs(choice.float().mean().item() - 0.5) < 5 * 0.5 / 4000**0.5
