"""Commands that take a state dict: what it does not say is said by flags, and what is assumed is printed."""

import pytest
import torch

from lwface.base.errors import UserError
from lwface.commands import check_model, convert_model
from lwface.commands import train as train_command
from lwface.deploy import input_check
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import write_pack
from lwface.models.store import load_model
from lwface.networks import create_network
from tests.documented_programs import pictures
from tests.models.arcface_torch import apart, embed, make_iresnet

SMALL = {"units": (1, 1, 1, 1), "emb_size": 16}


@pytest.fixture
def magface(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    theirs = make_iresnet(**SMALL, eps=2e-5, prepare=lambda x: x.flip(1) / 255)
    torch.save({f"features.module.{k}": v for k, v in theirs.state_dict().items()}, "magface.pth")
    return theirs


@pytest.mark.parametrize("said", [True, False])
def test_a_state_dict_becomes_a_model_for_every_command(magface, capsys, said):
    flags = ["--pixels=0/255,BGR", "--epsilon=2e-5"] if said else []
    convert_model.main(["--model=magface.pth", "--output=models/m,1", *flags])
    assert ("assumed pixels 127.5/127.5 (RGB) and epsilon 1e-05" in capsys.readouterr().err) == (not said)
    assert (apart(embed(load_model("models/m,1")[0]), embed(magface)) < 2e-5) == said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=magface.pth"], r"--model magface\.pth: say what to write, --output PREFIX,EPOCH"),
        (["--model=magface.pth", "--output=m,1", "--pixels=BGR"], r"pixels BGR: expected MEAN/DIVISOR\[,BGR\]"),
        (["--model=magface.onnx"], "an ONNX model's graph is not PyTorch's"),
        (["--model=other.pth", "--output=m,1"], r"other\.pth: a state dict does not say which network"),
        (["--model=other.pth", "--output=m,1", "--network=m025"], "no tensor fits the network"),
    ],
)
def test_what_cannot_be_converted_is_one_line(magface, flags, message):
    torch.save(create_network({"net_name": "fmobilenet"}).state_dict(), "other.pth")
    with pytest.raises(UserError, match=message) as caught:
        convert_model.main(flags)
    assert "\n" not in str(caught.value)


def test_training_takes_what_is_said(tmp_path):
    (tmp_path / "datasets" / "synthetic").mkdir(parents=True)
    (tmp_path / "datasets" / "synthetic" / "train.rec").touch()
    flags = [f"--root={tmp_path}", "--network=r50", "--dataset=synthetic", "--pretrained-pixels=0/255,BGR"]
    wish = train_command.parse_arguments([*flags, "--pretrained-epsilon=2e-5"])
    assert wish.overrides["pretrained_pixels"] == "0/255,BGR"
    assert wish.overrides["pretrained_epsilon"] == 2e-5


def test_the_check_of_the_input_feeds_what_is_said(magface, capsys, monkeypatch):
    write_pack("p.bin", [encode_jpeg(image) for image in pictures(20)], [True, False] * 5)
    command = ["magface.pth", "--pack=p.bin", "--device=cpu", "--batch-size=20"]
    scored, score = [], input_check.score_inputs

    def once(*arguments):  # every input, one time: what is said of the file does not depend on it
        scored.append(arguments[0])
        return known if scored[1:] else known.extend(score(*arguments)) or known

    known = []
    monkeypatch.setattr(input_check, "score_inputs", once)
    for flags in ([], ["--pixels=0/255,BGR", "--epsilon=2e-5"], ["--pixels=0/255,BGR"]):
        assert check_model.main([*command, *flags]) in (0, 1)
        assert ("assumed" in capsys.readouterr().err) == (len(flags) < 2)
    apart_from_theirs = [apart(embed(network), embed(magface)) < 2e-5 for network in scored]
    assert apart_from_theirs == [False, True, False]
    with pytest.raises(UserError, match="expected MEAN/DIVISOR"):
        check_model.main(["magface.pth", "--pack=p.bin", "--pixels=1"])
