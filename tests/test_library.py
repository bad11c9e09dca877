"""The front door for programs: what ``import lwface`` offers, and the programs of the README and docs/library.md."""

import ast
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import lwface
from lwface.base.errors import UserError
from lwface.commands import gen_image_feature
from lwface.detection.base import SIDE
from lwface.detection.own import OwnDetector
from lwface.formats.feature_file import read_features
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.models.store import save_model
from lwface.mxnet.export import save_mxnet
from lwface.networks import create_network
from lwface.onnx.export import export_onnx
from tests.documented_programs import SETTINGS, make_world, pictures, program_of, write_iresnet

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create_network(SETTINGS).eval()


class Tiny(nn.Module):
    """Any module will do; it sees each pixel's place and colour."""

    embedding_size = 4

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8 * 6 * 3, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        return self.linear(self.drop(images.float().flatten(1)))


def naive(model, images, flip=False):
    """Unit rows in float64, image by image."""
    rows = []
    with torch.no_grad():
        for image in images:
            views = [image, image[:, ::-1]] if flip else [image]
            both = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)
            row = model(both).double().numpy().sum(0)
            rows.append(row / math.sqrt((row**2).sum()))
    return np.array(rows)


def test_importing_it_imports_nothing_heavy(tmp_path):
    program = (
        "import sys, lwface; dir(lwface); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'numpy', 'cv2', 'easydict'}), "
        "[name for name in sys.modules if name.startswith('lwface.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


@pytest.mark.parametrize("name", lwface.__all__)
def test_every_name_is_there_and_listed(name):
    assert name in dir(lwface)
    assert getattr(lwface, name) is getattr(lwface, name)
    assert getattr(lwface, name) is not None


def test_editors_are_told_the_homes_that_python_goes_by():
    tree = ast.parse(Path(lwface.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {a.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert told == lwface._HOMES
    assert {*told, "__version__"} == {*lwface.__all__}


def test_the_page_has_the_defaults_of_detect():
    said = f"`detect(image, *, min_score={OwnDetector.min_score:g}, side={SIDE})`"
    assert said in (ROOT / "docs" / "library.md").read_text(encoding="utf-8")


def test_type_checkers_know_the_names_and_no_others(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import lwface\nreveal_type(lwface.__version__)\nlwface.embed\nlwface.tar_at_fra\n")
    alone = ("--config-file=", f"--cache-dir={tmp_path}", "--follow-imports=skip", "--explicit-package-bases")
    shown = subprocess.run(
        [sys.executable, "-m", "mypy", *alone, lwface.__file__, str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert 'program.py:2: note: Revealed type is "str"' in shown
    assert re.search(r'program\.py:4: error: .*"tar_at_fra"', shown), shown
    assert shown.count("error:") == 1, shown


def test_other_names_are_no_attributes_but_rooms_can_be_imported():
    with pytest.raises(AttributeError, match="module 'lwface' has no attribute 'tar_at_fra'"):
        lwface.tar_at_fra  # noqa: B018
    from lwface import scoring

    assert scoring.__name__ == "lwface.scoring"


def test_the_version_is_the_projects_and_sources_alone_have_none(tmp_path):
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert lwface.__version__ in (version, "0+unknown")
    (tmp_path / "lwface").mkdir()
    shutil.copy(lwface.__file__, tmp_path / "lwface")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lwface; print(lwface.__version__)"
    alone = [sys.executable, "-S", "-I", "-c", program]  # without the packages that are installed
    assert subprocess.run(alone, capture_output=True, text=True, check=True).stdout == "0+unknown\n"


def test_every_kind_of_model_is_opened(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = save_model("models/own", 3, network, SETTINGS)
    save_mxnet("models/theirs", 12, network)
    Path("model.onnx").write_bytes(export_onnx(network))
    images = pictures(3)
    expected = naive(network, images)
    for name in ("models/own,3", own, str(own), "models/theirs,12", "model.onnx", Path("model.onnx")):
        model = lwface.load_model(name, device="cpu")
        assert not model.training
        assert model.embedding_size == 16
        np.testing.assert_allclose(lwface.embed(model, images), expected, atol=2e-6)
    save_file(load_file(own), "weights.safetensors")
    with pytest.raises(UserError, match=r"weights\.safetensors: a state dict does not say .* network=NAME"):
        lwface.load_model("weights.safetensors")


@pytest.mark.parametrize("name", ["backbone.pt", "backbone.pth"])
def test_a_state_dict_of_arcface_torch_says_which_network_it_is(tmp_path, name):
    write_iresnet(tmp_path / name)
    with pytest.warns(UserWarning, match="assumed pixels 127.5/127.5"):
        assumed = lwface.load_model(tmp_path / name)
    model = lwface.load_model(tmp_path / name, pixels="127.5/127.5", epsilon=1e-5)  # said, so no warning
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in assumed.state_dict().items())
    assert model.embedding_size == 8
    assert sorted({name.split(".")[1] for name in model.state_dict() if name.startswith("body.stage3")}) == [
        f"stage3_unit{number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("model", {}, "model 'model': expected PREFIX,EPOCH such as models/y2-arcface-retina/model,1, a file .pth"),
        ("nowhere/model,1", {}, r"nowhere/model-0001.safetensors: no such model, and no model-0001.params either"),
        ("nowhere/model,x", {}, "expected PREFIX,EPOCH"),
        ("nowhere/model-0001.safetensors", {}, "no such model; expected PREFIX,EPOCH"),
        ("backbone.pt", {}, "backbone.pt: no such model; expected PREFIX,EPOCH"),
        ("model.onnx", {}, "model.onnx: no such model"),
        ("model,1", {"network": "r50"}, "network='r50': only a state dict needs it; model,1 says itself"),
        ("model,1", {"device": "gpu"}, "unknown device 'gpu'"),
        ("model,1", {"device": "cuda:99"}, "'cuda:99' asked for"),
    ],
)
def test_what_is_no_model_is_one_line(tmp_path, monkeypatch, name, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        lwface.load_model(name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flip", [False, True])
def test_features_are_the_rows_of_a_feature_file_bit_for_bit(network, tmp_path, monkeypatch, flip):
    monkeypatch.chdir(tmp_path)
    save_model("model", 1, network, SETTINGS)
    names = [f"{number}.jpg" for number in range(7)]
    for name, image in zip(names, pictures(7), strict=True):
        Path(name).write_bytes(encode_jpeg(image))
    Path("filelist.txt").write_text("\n".join(names) + "\n")
    images = [read_rgb(name) for name in names]
    for normalise in ("--normalise", "--no-normalise"):
        given = ["--input=.", "--output=f.bin", "--model=model,1", "--backend=eager", "--device=cpu", "--batch_size=3"]
        monkeypatch.setattr(sys, "argv", ["gen_image_feature.py", *given, normalise, "--flip" if flip else "--no-flip"])
        gen_image_feature.main()
        model = lwface.load_model("model,1", device="cpu")
        found = lwface.embed(model, images, flip=flip, batch_size=3, normalise=normalise == "--normalise")
        assert found.tobytes() == read_features("f.bin").tobytes()


def test_a_batch_a_list_and_a_tensor_are_the_same_images(network):
    images = pictures(5)
    expected = lwface.embed(network, images)
    assert (expected.dtype, expected.shape) == (np.float32, (5, 16))
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-6)
    for same in (list(images), tuple(images), torch.from_numpy(images), images[:, :, ::-1][:, :, ::-1]):
        assert np.array_equal(lwface.embed(network, same), expected)
    np.testing.assert_allclose(lwface.embed(network, images, flip=True), naive(network, images, True), atol=2e-6)


@pytest.mark.parametrize("nothing", [[], (), np.zeros((0, 112, 112, 3), np.uint8), np.zeros(0), torch.zeros(0, 5)])
def test_no_images_have_no_features(network, nothing):
    assert lwface.embed(network, nothing).shape == (0, 16)
    assert lwface.embed(network, nothing, normalise=False, flip=True).dtype == np.float32


def test_any_module_will_do_and_keeps_its_modes():
    torch.manual_seed(0)
    model = Tiny().train()
    model.linear.eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), np.uint8)
    found = lwface.embed(model, images, batch_size=2)
    assert (model.training, model.drop.training, model.linear.training) == (True, True, False)
    np.testing.assert_allclose(found, naive(model.eval(), images), atol=1e-6)
    with pytest.raises(UserError, match="Identity has no embedding_size: set it"):
        lwface.embed(nn.Identity(), images)


def test_a_feature_without_direction_is_named():
    model = Tiny().eval()
    with torch.no_grad():
        model.linear.bias.zero_()
    images = np.ones((3, 8, 6, 3), np.uint8)
    images[1] = 0
    with pytest.raises(UserError, match="image 1: its feature is zero or not finite"):
        lwface.embed(model, images)


FACE = np.zeros((112, 112, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 112, 112, 3)), r"images of float64: expected uint8, .* \(images \* 255\)\.round\(\)"),
        ([FACE / np.float32(255)], "images of float32: expected uint8"),
        (torch.zeros(2, 3, 112, 112, dtype=torch.uint8), r"\(3, 112, 112\).* np\.moveaxis\(images, -3, -1\)"),
        (FACE, r"\(112, 112, 3\): expected \(N, H, W, 3\); one image alone is images\[None\]"),
        (FACE[..., 0], "shape .*expected"),
        (np.zeros((2, 112, 112), np.uint8), r"shape \(112, 112\): .* grey .* np\.dstack\(\[image\] \* 3\)"),
        ([FACE[..., :1]], r"shape \(112, 112, 1\): .* grey"),
        ([FACE, np.zeros((112, 112, 4), np.uint8)], r"images\[\.\.\., :3\]"),
        (np.zeros((2, 96, 112, 3), np.uint8), r"112x96 pixels: expected 112x112; align=True"),
        ([FACE, FACE[:96]], "112x96 pixels: expected 112x112"),
    ],
)
def test_what_is_no_face_is_refused_with_what_to_do(network, images, message):
    with pytest.raises(UserError, match=message) as caught:
        lwface.embed(network, images)
    assert "\n" not in str(caught.value)


def test_the_remedies_are_right():
    image = pictures(1)[0]
    floats, grey = np.stack([image / 255]), image[..., 0]
    assert np.array_equal((floats * 255).round().astype("uint8"), [image])
    assert np.dstack([grey] * 3).shape == image.shape
    assert np.array_equal(np.moveaxis(np.stack([image.transpose(2, 0, 1)]), -3, -1), [image])


def test_sizes_are_checked_for_models_of_other_programs(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_mxnet("theirs", 0, network)
    Path("model.onnx").write_bytes(export_onnx(network))
    for name in ("theirs,0", "model.onnx"):
        with pytest.raises(UserError, match="expected 112x112; align=True"):
            lwface.embed(lwface.load_model(name), np.zeros((1, 96, 96, 3), np.uint8))


@pytest.mark.parametrize("flip", [False, True])
def test_two_faces_compare_as_their_features_do(network, tmp_path, flip):
    a, b = pictures(2)
    left, right = naive(network, [a, b], flip)
    found = lwface.compare(network, a, b, flip=flip)
    assert type(found) is float
    assert found == pytest.approx(float(left @ right), abs=2e-6)
    assert found == lwface.compare(network, b, a, flip=flip)
    assert lwface.compare(network, a, a, flip=flip) == pytest.approx(1, abs=1e-15)
    for name, image in (("a.png", a), ("b.jpg", b)):
        (tmp_path / name).write_bytes(encode_jpeg(image, 100))
    decoded = [read_rgb(tmp_path / name) for name in ("a.png", "b.jpg")]
    assert lwface.compare(network, tmp_path / "a.png", str(tmp_path / "b.jpg")) == lwface.compare(network, *decoded)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png: cannot read this image"):
        lwface.compare(network, tmp_path / "a.png", b)
    with pytest.raises(FileNotFoundError):
        lwface.compare(network, tmp_path / "none.png", b)


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_programs_of_the_documentation_run_as_written(tmp_path, monkeypatch, page):
    make_world(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(program_of(ROOT / page), page, "exec"), {"__name__": "__main__"})
