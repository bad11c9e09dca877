"""From a model fed wrongly to one fed rightly: the check finds its input, the export writes it, features are right."""

import re

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import lwface
from lwface.base.commands import run_command
from lwface.commands import check_model, gen_image_feature, gen_video_feature, train_quality
from lwface.commands import export as export_command
from lwface.formats.feature_file import read_features
from lwface.formats.verification_pack import write_pack

PEOPLE, PAIRS = 20, 40


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """People known by their red channel alone; green and blue are others in each picture. Images, labels and a pack."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(7)
    red = random.integers(20, 236, (PEOPLE, 7, 7, 1))
    pictures, encoded = [], []
    for i in range(2 * PEOPLE):
        others = random.integers(20, 236, (7, 7, 2))
        coarse = np.concatenate([red[i % PEOPLE] + random.integers(-9, 10, (7, 7, 1)), others], 2)
        pictures.append(coarse.astype(np.uint8).repeat(16, 0).repeat(16, 1))
        encoded.append(cv2.imencode(".png", pictures[-1][:, :, ::-1])[1].tobytes())
        (folder / f"{i}.png").write_bytes(encoded[-1])
    (folder / "filelist.txt").write_text("\n".join(f"{i}.png" for i in range(2 * PEOPLE)))
    (folder / "labels.txt").write_text("\n".join(str(i % PEOPLE) for i in range(2 * PEOPLE)))
    second = [PEOPLE + i if i < PEOPLE else PEOPLE + (i + 1) % PEOPLE for i in range(PAIRS)]
    pairs = [image for i in range(PAIRS) for image in (i % PEOPLE, second[i])]
    write_pack(folder / "pack.bin", [encoded[i] for i in pairs], np.arange(PAIRS) < PEOPLE)
    (folder / "person").mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / "person" / f"{i}.jpg"), pictures[i])
    return folder


def op(name, inputs, outputs, **attributes):
    return helper.make_node(name, inputs.split(), outputs.split(), **attributes)


def model(before, red, tail=(), batch="b"):
    """A network that reads channel ``red`` of ``z``, means of 7x7 places, each kept to -1..1, as its embedding."""
    weights = np.zeros((49, 3, 112, 112), np.float32)
    for place in range(49):
        row, column = divmod(place, 7)
        weights[place, red, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 2 / 256
    constants = {
        "W": weights,
        "m": np.float32(127.5),
        "s": np.float32(1 / 128),
        "m1": np.float32(0.5),
        "s1": np.float32(2),
        "order": np.array([2, 1, 0]),
        "low": np.float32(-1),
        "high": np.float32(1),
        "on": np.array(True),
        "ones": np.array([1, 1, 1]),
        "r": np.float32(0.3),
        "pads": np.zeros(8, np.int64),
        "V": np.random.default_rng(3).integers(-99, 99, (49, 5)).astype(np.int8),
        "red3": np.float32([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1),
        "s3": np.float32(1 / 57),
    }
    nodes = [*before, op("Conv", "z W", "c"), op("Clip", "c low high", "k"), op("Flatten", "k", "p")]
    nodes += tail or [op("Identity", "p", "embedding")]
    used = {value for node in nodes for value in node.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def status_of(command, *flags):
    with pytest.raises(SystemExit) as exit_info:
        run_command(lambda: command.main([str(flag) for flag in flags]))
    return exit_info.value.code or 0


NORMALISE = [op("Sub", "x m", "y"), op("Mul", "y s", "z")]
WRONG = {  # graph, the channel that holds red then, and what pixels it really takes; the guess is another
    "exchanged in the first convolution": ([op("Identity", "data", "z")], 2, "BGR", lambda x: (x - 127.5) / 128),
    "normalised, exchanged in the first convolution": (
        [op("Pad", "data pads", "x"), *NORMALISE],
        2,
        "BGR",
        lambda x: x,
    ),
    "exchanged, to be fed RGB": (
        [op("Split", "data ones", "a b c0", axis=1), op("Concat", "c0 b a", "x", axis=1), *NORMALISE],
        2,
        "RGB",
        lambda x: x,
    ),
    "normalised behind what hides it": ([op("Abs", "data", "x"), *NORMALISE], 0, "RGB", lambda x: x),
}
RIGHT = {
    "exchanged and normalised": ([op("Gather", "data order", "x", axis=1), *NORMALISE], 0),
    "by habit": ([op("Identity", "data", "z")], 0),
    "0..1": ([op("Sub", "data m1", "y"), op("Mul", "y s1", "z")], 0),
    "a mean for each channel": ([op("Sub", "data red3", "y"), op("Mul", "y s3", "z")], 0),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_guess_is_found_and_overruled(how, faces, tmp_path, capsys):
    before, red, order, prepare = WRONG[how]
    foreign, right, features = tmp_path / "f.onnx", tmp_path / "right.onnx", tmp_path / "f.bin"
    onnx.save(model(before, red), foreign)
    assert status_of(check_model, "--model", foreign, "--pack", faces / "pack.bin") == 1
    said = capsys.readouterr()
    assert said.err.count("does not say which pixels it takes; assumed: ") == 1
    flag = re.search(rf"which is worse: recognition/export\.py --model {foreign} --pixels (\S+) ", said.out)[1]
    assert status_of(export_command, "--model", foreign, "--pixels", flag, "--output", right) == 0
    assert "assumed" not in capsys.readouterr().err
    assert status_of(check_model, "--model", right, "--pack", faces / "pack.bin") == 0
    assert "nothing to do" in capsys.readouterr().out
    folder = ("--input", faces, "--output", features, "--device", "cpu", "--batch-size", 16)
    assert status_of(gen_image_feature, "--model", right, "--no-flip", "--no-normalise", *folder) == 0
    assert "assumed" not in capsys.readouterr().err
    session = onnxruntime.InferenceSession(str(foreign), providers=["CPUExecutionProvider"])
    rows = []
    for i in range(2 * PEOPLE):
        bgr = cv2.imread(str(faces / f"{i}.png")).astype(np.float32)
        pixels = prepare(bgr if order == "BGR" else bgr[:, :, ::-1]).transpose(2, 0, 1)[None]
        rows.append(session.run(None, {"data": np.ascontiguousarray(pixels)})[0][0])
    # the scale that the check names may be 1/127.5 for 1/128: no pack can tell, and no feature turns by it
    found, expected = read_features(features).astype(np.float64), np.array(rows, np.float64)
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.9999


@pytest.mark.parametrize("how", RIGHT)
def test_a_right_guess_is_said_and_confirmed(how, faces, tmp_path, capsys):
    before, red = RIGHT[how]
    onnx.save(model(before, red), tmp_path / "f.onnx")
    assert status_of(check_model, "--model", tmp_path / "f.onnx", "--pack", faces / "pack.bin") == 0
    said = capsys.readouterr()
    assert re.search(r"this toolbox feeds .*: nothing to do$", said.out, re.MULTILINE)
    assert said.err.count("assumed: ") == 1
    folder = ("--input", faces, "--output", tmp_path / "f.bin", "--device", "cpu")
    assert status_of(gen_image_feature, "--model", tmp_path / "f.onnx", *folder) == 0
    assert capsys.readouterr().err.count("assumed: ") == 1
    assert status_of(export_command, "--model", tmp_path / "f.onnx", "--output", tmp_path / "same.onnx") == 0
    assert capsys.readouterr().err.count("assumed: ") == 1


def test_nothing_better_than_chance_is_an_answer_of_its_own(faces, tmp_path, capsys):
    lost = [op("Mul", "data s", "y"), op("Sub", "y m", "z")]  # whatever comes in, all is at the lower limit
    onnx.save(model(lost, 0), tmp_path / "f.onnx")
    for more in ((), ("--pairs", 12)):
        assert status_of(check_model, "--model", tmp_path / "f.onnx", "--pack", faces / "pack.bin", *more) == 1
        said = capsys.readouterr().out
        assert "nothing is better than chance" in said
        assert "--layer" in said
        assert "trained with" not in said


UNSTEADY = {
    "dropout": ([op("Dropout", "p r on", "embedding")], "dropout is left on"),
    "dynamic int8": (
        [
            op("DynamicQuantizeLinear", "p", "q qs qz"),
            op("MatMulInteger", "q V qz", "i"),
            op("Cast", "i", "f", to=TensorProto.FLOAT),
            op("Mul", "f qs", "embedding"),
        ],
        r"export\.py --precision int8",
    ),
    "the batch's maximum": (
        [op("ReduceMax", "p", "top", keepdims=0), op("Sub", "p top", "embedding")],
        "its rows see each other",
    ),
}


@pytest.mark.parametrize("how", UNSTEADY)
def test_every_door_refuses_a_model_that_looks_at_more_than_the_image(how, faces, tmp_path, capsys):
    tail, reason = UNSTEADY[how]
    path, output = tmp_path / "f.onnx", tmp_path / "f.bin"
    onnx.save(model([op("Sub", "data m", "y"), op("Mul", "y s", "z")], 0, tail), path)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "filelist.txt").write_text("person")
    (tmp_path / "videos" / "person").symlink_to(faces / "person")
    doors = {
        gen_image_feature: ("--input", faces, "--output", output),
        gen_video_feature: ("--input", tmp_path / "videos", "--output", output),
        train_quality: ("--input", faces, "--output", tmp_path / "q.safetensors"),
        check_model: ("--pack", faces / "pack.bin"),
        export_command: ("--output", tmp_path / "again.onnx"),
    }
    for door, flags in doors.items():
        assert status_of(door, "--model", path, *flags) == 2
        said = capsys.readouterr()
        assert "complete and checked" not in said.out
        error = [line for line in said.err.splitlines() if line.startswith("error: ")]
        assert len(error) == 1
        assert re.search(rf"another feature .* \(worst cosine -?\d\.\d+\): .*{reason}", error[0])
    with pytest.raises(lwface.UserError, match=reason):
        lwface.load_model(path, device="cpu")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["f.onnx", "videos"]
