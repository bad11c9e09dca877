"""The road of the faceless challenge as it is typed: sign, solve, score, check, and what is typed wrong."""

import io
import json
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lwface.base.errors import UserError
from lwface.commands import check_split, evaluate_sequences, signatures, solve_sequences
from lwface.formats.image import decode_rgb, encode_jpeg
from lwface.formats.sequence_pickles import read_signatures, write_signatures
from lwface.sequences.images import Images
from lwface.sequences.leaks import LeakError, find_leaks, read_side
from lwface.sequences.signing import Signer, make_signatures, resized

NAMES = [
    f"person_{p:04}/video_{2 * p + v:04}/seq_{s:04}/frame_{f:05}.jpg"
    for p in range(6)
    for v in range(2)
    for s in range(2)
    for f in range(2)
]


def write_tar(path, frames):
    with tarfile.open(path, "w") as out:
        for name, data in frames.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def frames():
    """Each person has a colour."""
    draw = np.random.default_rng(0)
    colours = draw.integers(30, 220, (6, 3))
    return {
        name: encode_jpeg(np.clip(colours[int(name[7:11])] + draw.normal(0, 9, (16, 16, 3)), 0, 255).astype(np.uint8))
        for name in NAMES
    }


@pytest.fixture(scope="module")
def tar(tmp_path_factory, frames):
    return write_tar(tmp_path_factory.mktemp("set") / "images.tar", frames)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Colour less its mean over the channels, over places: signatures of three numbers; maps inside it."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3, 1, 1])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["image", "grey"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["out"]),
    ]
    graph = helper.make_graph(nodes, "g", [image], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path_factory.mktemp("model") / "colour.onnx"
    onnx.save(made, path)
    return path


def sign(tar, model, output, *more):
    signatures.main(["--input", str(tar), "--model", str(model), "--output", str(output), *more])
    return read_signatures(output)


def test_the_whole_road(tar, model, tmp_path, capsys, frames):
    found = sign(tar, model, tmp_path / "s.pkl", "--pixels", "0/255")
    assert found.paths == NAMES
    pictures = np.stack([decode_rgb(frames[name]) for name in NAMES]) / 255.0
    plain = (pictures - pictures.mean(axis=3, keepdims=True)).mean(axis=(1, 2))
    np.testing.assert_allclose(found.signatures, plain, atol=1e-5)
    solve_sequences.main(["--naive", "--signatures", str(tmp_path / "s.pkl"), "--output", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert "48 signatures of 3 numbers" in said
    assert "guesses for 6 samples among 6 people" in said
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["people.csv", "submission.csv", "submission.json", "truth.csv"]
    given = ["--truth", str(tmp_path / "out" / "truth.csv"), "--public", "0.5", "--json"]
    told = []
    for name in ("submission.json", "submission.csv"):
        evaluate_sequences.main(["--submission", str(tmp_path / "out" / name), *given])
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert told[0]["score"]["value"] > 90
    assert told[0]["sides"]["public"]["samples"] == 3
    evaluate_sequences.main(["--signatures", str(tmp_path / "s.pkl"), "--json", str(tmp_path / "f.json")])
    assert "24 queries of 6 people in 24, their own video left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "f.json").read_text())["unit"] == "sequence"


def test_evaluation_data_and_its_check(tar, model, tmp_path, capsys, frames):
    """Paths without person and video: no truth is written, and a submission can only be checked."""
    bare = {f"seq_{n:04}/frame_00000.jpg": frames[name] for n, name in enumerate(NAMES[1::4])}
    evaluation = write_tar(tmp_path / "eval.tar", bare)
    for name, source in (("train", tar), ("eval", evaluation)):
        sign(source, model, tmp_path / f"{name}.pkl", "--pixels", "imagenet", "--size", "8x8")
    out = tmp_path / "out"
    out.mkdir()
    (out / "truth.csv").write_text("old")
    both = ["--naive", "--signatures", str(tmp_path / "train.pkl"), "--output", str(out)]
    with pytest.raises(UserError, match=r"one frame: person_0000/.* in --signatures, 12 in all; what is learnt from"):
        solve_sequences.main([*both, "--test", str(tmp_path / "eval.pkl")])
    found = read_signatures(tmp_path / "eval.pkl")
    write_signatures(tmp_path / "eval.pkl", found.paths, found.signatures + np.float32(1e-3))
    solve_sequences.main([*both, "--test", str(tmp_path / "eval.pkl")])
    assert not (out / "truth.csv").exists()
    capsys.readouterr()
    check = ["--submission", str(out / "submission.json"), "--people", str(out / "people.csv")]
    for samples in (evaluation, tmp_path / "eval.pkl"):
        evaluate_sequences.main([*check, "--samples", str(samples)])
        assert "5 guesses for each of 12 samples, among 6 people" in capsys.readouterr().out
    rows = json.loads((out / "submission.json").read_text())
    rows[3][1] = rows[3][0]
    (out / "submission.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=rf"row 3 \(seq_0003\): guesses {rows[3][0]} twice"):
        evaluate_sequences.main([*check, "--samples", str(evaluation)])


def test_a_split_that_leaks(tar, tmp_path, capsys, frames):
    """Frames of one video on both sides; the same spelled otherwise; and under names that do not tell."""
    names = list(frames)

    def check(first, second, *more):
        return check_split.main(["--train", str(first), "--test", str(second), *more])

    sides = [write_tar(tmp_path / f"{k}.tar", {n: frames[n] for n in names[k::2]}) for k in (0, 1)]
    with pytest.raises(LeakError, match="the split leaks: 12 on both sides") as told:
        check(*sides)
    assert told.value.exit_status == 1
    assert "one video: person_0000/video_0000 (2 frames) and person_0000/video_0000 (2)" in capsys.readouterr().out
    apart = [write_tar(tmp_path / f"v{k}.tar", {n: frames[n] for n in names if int(n[18:22]) % 2 == k}) for k in (0, 1)]
    assert check(*apart) == 0
    assert "nothing found on both sides" in capsys.readouterr().out
    (tmp_path / "list.txt").write_text("test/" + names[0].replace("video", "channel") + "\n")
    with pytest.raises(LeakError):
        check(apart[0], tmp_path / "list.txt", "--names-only")
    bare = write_tar(tmp_path / "bare.tar", {"seq_0000/frame_00001.jpg": frames[names[5]]})
    leaks = find_leaks(read_side(tar), read_side(bare))
    assert [(leak.kind, leak.first) for leak in leaks] == [("content", names[5])]
    assert check(tar, bare, "--names-only") == 0
    assert "its paths name no person and video" in capsys.readouterr().err


def test_only_some_frames(tar, model, tmp_path):
    found = sign(tar, model, tmp_path / "s.pkl", "--pixels", "0/255", "--every", "2", "--layer", "maps")
    assert found.paths == NAMES[::2]
    whole = sign(tar, model, tmp_path / "t.pkl", "--pixels", "0/255", "--batch-size", "5")
    np.testing.assert_allclose(found.signatures, whole.signatures[::2], atol=1e-6)


def test_a_network_of_this_project(tar, tmp_path, frames):
    import torch

    from lwface.library import embed
    from lwface.models.store import load_model, save_model
    from lwface.networks import create_network
    from lwface.settings.resolve import network_settings

    settings = network_settings("r10_xs")
    torch.manual_seed(0)
    save_model(str(tmp_path / "m"), 1, create_network(settings), settings)
    found = sign(tar, f"{tmp_path / 'm'},1", tmp_path / "s.pkl", "--every", "2", "--batch-size", "24")
    pictures = np.stack([resized(decode_rgb(frames[name]), (112, 112)) for name in NAMES[::2]])
    expected = embed(load_model(f"{tmp_path / 'm'},1")[0], pictures, normalise=False, batch_size=24)
    np.testing.assert_allclose(found.signatures, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_what_is_typed_wrong(tar, model, tmp_path, frames):
    def refused(main, message, *given):
        with pytest.raises(UserError, match=message):
            main([str(part) for part in given])

    out = ("--output", tmp_path / "o.pkl")
    signing = ("--input", tar, "--model", model, *out)
    refused(signatures.main, "does not say which pixels it takes; give --pixels imagenet", *signing, "--layer", "grey")
    refused(signatures.main, "gives nothing called 'x'; its outputs are out", *signing, "--layer", "x")
    refused(signatures.main, "--size 0x5: expected HEIGHTxWIDTH", *signing, "--size", "0x5")
    refused(signatures.main, "--every 0: expected 1 or more", *signing, "--every", "0")
    refused(signatures.main, "--pixels 1: expected MEAN/DIVISOR", *signing, "--pixels", "1")
    wrong = write_tar(tmp_path / "w.tar", {"a.jpg": frames[NAMES[0]]})
    refused(signatures.main, r"w.tar: entry 0: 'a.jpg': not the path of a frame", "--input", wrong, *signing[2:])
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    refused(signatures.main, "not an ONNX model|no ONNX graph", "--input", tar, "--model", broken, *out)
    solving = ("--naive", "--signatures", tar, "--output")
    refused(solve_sequences.main, "not a pickle of the faceless challenge", *solving, tmp_path / "o")
    refused(solve_sequences.main, "is a file; give the name of a folder", *solving, tar)
    refused(solve_sequences.main, "leave it out with --test", *solving, tmp_path, "--test", tar, "--ratio", "0.5")
    refused(solve_sequences.main, "--ratio 1: expected a share", *solving, tmp_path, "--ratio", "1")
    evaluate = evaluate_sequences.main
    refused(evaluate, "give --submission FILE to score guesses, or --signatures FILE")
    refused(evaluate, "give --truth FILE to score it, or --samples PATH", "--submission", tar)
    refused(evaluate, "--unit goes with --signatures", "--submission", tar, "--truth", tar, "--unit", "video")
    refused(evaluate, "--public divides what is scored", "--submission", tar, "--samples", tar, "--public", "0.5")
    refused(evaluate, "--public 2: expected a share", "--submission", tar, "--truth", tar, "--public", "2")


def test_a_frame_that_is_damaged_is_named(model, tmp_path, frames):
    tar = write_tar(tmp_path / "a.tar", {NAMES[0]: frames[NAMES[0]], NAMES[1]: frames[NAMES[1]][:-20]})
    with pytest.raises(UserError, match=rf"a.tar: {NAMES[1]}: "):
        sign(tar, model, tmp_path / "s.pkl", "--pixels", "imagenet")
    assert not (tmp_path / "s.pkl").exists()
    with tarfile.open(tar) as packed:
        packed.extractall(tmp_path / "folder", filter="data")
    (tmp_path / "folder" / NAMES[1]).unlink()
    assert len(sign(tmp_path / "folder", model, tmp_path / "s.pkl", "--pixels", "imagenet").paths) == 1
    shutil.rmtree(tmp_path / "folder")
    nothing = Signer(None, lambda x: np.full((len(x), 2), np.nan, "f4"), 1, 2)
    with Images(tar) as images, pytest.raises(UserError, match="its signature holds what is no finite number"):
        make_signatures(images, NAMES[:1], nothing)


def test_pytorch_stays_out(tar, model, tmp_path):
    """Of every command of the room but signatures by a face network."""
    sign(tar, model, tmp_path / "s.pkl", "--pixels", "imagenet")
    given = {
        "signatures": ["--input", tar, "--model", model, "--pixels", "0/255", "--output", tmp_path / "t.pkl"],
        "solve_sequences": ["--naive", "--signatures", tmp_path / "s.pkl", "--output", tmp_path / "out"],
        "evaluate_sequences": ["--signatures", tmp_path / "s.pkl"],
        "check_split": ["--train", tar, "--test", tmp_path / "s.pkl"],
    }
    typed = json.dumps({name: list(map(str, flags)) for name, flags in given.items()})
    program = (
        "import contextlib, importlib, json, sys\n"
        "for name, flags in json.loads(sys.argv[1]).items():\n"
        "    with contextlib.suppress(ValueError):\n"  # a split that leaks
        "        importlib.import_module('lwface.commands.' + name).main(flags)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", program, typed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("own video left out") == 1
