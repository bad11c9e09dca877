"""The models inside the package: their digests, and that float16 on disk changes nothing that counts."""

import hashlib
import json

import pytest
import torch

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.models import shipped
from lwface.models.card import card_of_use, card_text, model_card, read_card, write_card
from lwface.models.names import PACKAGE, model_file, names_epoch
from lwface.models.shipped import DIGESTS, WEIGHTS, digests, shipped_path
from lwface.models.shipping import package_model, ship, write_notes
from lwface.models.sources import read_source
from lwface.models.store import load_model, save_model
from lwface.networks import create_network
from lwface.settings.resolve import network_settings

TRAINED = {"step": 7, "data": [], "verification": [], "start": None}
POINT = {"far": 0.1, "threshold": 0.3, "tar": 0.7, "tar_interval": [0.65, 0.75], "achieved_far": 0.1}
SCORES = {"set": "57 people", "dim": 256, "genuine_pairs": 10, "impostor_pairs": 90, "results": [POINT]}
USE = {
    "quality": "seven of ten",
    "not_for": "not to decide who somebody is",
    "better": "any other",
    "licence": "the package's",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A model in place of the package's own, as if it had come with it."""
    torch.manual_seed(0)
    settings = network_settings("mnas025")
    network = create_network(settings).eval()
    file = save_model(str(tmp_path / "face"), 1, network, settings, half=True)
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    (tmp_path / DIGESTS).write_text(json.dumps({"face": hashlib.sha256(file.read_bytes()).hexdigest()}))
    for kept in (digests, shipped_path):
        kept.cache_clear()
    yield network, file
    for kept in (digests, shipped_path):
        kept.cache_clear()


def test_each_file_is_the_one_that_was_shipped():
    for name, digest in digests().items():
        assert shipped_path(name).parent == WEIGHTS
        assert hashlib.sha256(shipped_path(name).read_bytes()).hexdigest() == digest


def test_nothing_else_lies_there():
    files = {f"{name}-0001{end}" for name in digests() for end in (".safetensors", ".card.json")}
    assert {path.name for path in WEIGHTS.glob("*")} == {DIGESTS, *files}


def test_default_is_a_model_like_any_other(own):
    network, file = own
    images = torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    loaded, _ = load_model("default")
    assert model_file("default") == file == shipped_path("face")
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    cosines = torch.nn.functional.cosine_similarity(loaded(images), network(images))
    assert cosines.min() > 0.9999
    torch.testing.assert_close(loaded(images), read_source("default", 1).network(images))


def test_half_of_the_bytes(own, tmp_path):
    network, file = own
    whole = save_model(str(tmp_path / "whole"), 1, network, {})
    assert file.stat().st_size < 0.6 * whole.stat().st_size


def test_what_float16_cannot_hold_is_refused(tmp_path):
    network = torch.nn.Linear(2, 2)
    network.weight.data.fill_(1e5)
    with pytest.raises(UserError, match=r"weight holds 100000, more than float16 does"):
        save_model(str(tmp_path / "model"), 1, network, {}, half=True)


def test_damaged_missing_and_unknown(own):
    _, file = own
    with pytest.raises(UserError, match=r"unknown model of the package 'fase': did you mean 'face'\?"):
        shipped_path("fase")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"face-0001.safetensors: damaged, .*: install the package again"):
        shipped_path("face")
    file.unlink()
    with pytest.raises(UserError, match=r"face-0001.safetensors: missing, .*: install the package again"):
        shipped_path("face")
    file.with_name(DIGESTS).write_text("{")
    digests.cache_clear()
    with pytest.raises(UserError, match=r"sha256.json: missing or damaged, .*: install the package again"):
        shipped_path("face")


def test_what_does_something_else_with_faces_gives_no_features():
    """Cosines of points are 0.999 of anybody with anybody."""
    points = load_model("default-landmarks")[0]
    with pytest.raises(UserError, match="puts 68 points on a face and gives no features of whose it is"):
        Embedder(points, device=torch.device("cpu"), batch_size=1)
    with pytest.raises(UserError, match=r"detector-0001\.safetensors: finds faces and gives no embedding"):
        load_model("default-detector")


def test_a_model_made_one_of_the_package(own, tmp_path):
    """As ship writes it, beside what training wrote: half of the bytes, a card of its own, a line in the list."""
    network, _ = own
    settings = network_settings("mnas025")
    whole = save_model(str(tmp_path / "trained" / "model"), 1, network, settings)
    write_card(whole, model_card({**settings, "network": "mnas025", "loss": "arcface", "dataset": "faces"}, **TRAINED))
    file = ship("face", whole, tmp_path / "new")
    assert file.stat().st_size < 0.6 * whole.stat().st_size
    assert json.loads((tmp_path / "new" / DIGESTS).read_text()) == {
        "face": hashlib.sha256(file.read_bytes()).hexdigest()
    }
    card = read_card(str(file))
    own_file = shipped_path("face")
    for card_of_own in (None, "{", json.dumps({**card, "sha256": "0"})):
        if card_of_own is not None:
            own_file.with_name("face-0001.card.json").write_text(card_of_own)
        with pytest.raises(
            UserError, match=r"face-0001\.card\.json: missing or damaged, .*: install the package again"
        ):
            card_of_use("default")
    assert (card["name"], card["step"], card["settings"]["network"]) == ("face", 7, "mnas025")
    assert card_of_use(str(file)) is None
    write_notes(file, {"use": USE, "scores": SCORES, "other": 1})
    found = card_of_use(str(file))
    assert found is not None
    assert "other" not in found
    text = card_text(found)
    assert "| 0.1 | 0.3000 | 0.700 | 0.650 to 0.750 |" in text
    assert "* not to decide who somebody is" in text
    assert ship("face", whole, tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_model_made_again_is_held_against_the_weights_of_the_package(own, tmp_path):
    """Its bytes are another question: one more setting of training changes them."""
    network, file = own
    settings = network_settings("mnas025")
    write_card(file, model_card({"network": "a", "loss": "b", "dataset": "c"}, **TRAINED))
    write_notes(file, {"use": USE, "scores": SCORES})
    shipped_one = package_model("face")
    assert shipped_one is not None
    assert shipped_one.notes == {"use": USE, "scores": SCORES, "data": []}
    assert package_model("landmarks") is None

    def again(settings):
        return shipped_one.likeness(save_model(str(tmp_path / "again"), 1, network, settings, half=True))

    assert again(settings) == (True, "the package's own, byte for byte")
    same, told = again({**settings, "emb_size": 7, "newer": None})
    assert same
    assert told.endswith("to the bit; other settings in it: emb_size, newer")
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1
    same, told = again(settings)
    assert not same
    assert "not the package's weights" in told
    other = save_model(str(tmp_path / "other"), 1, torch.nn.Linear(2, 2), {})
    assert shipped_one.likeness(other) == (same, told)


def test_the_models_of_the_package_have_names():
    for text, name in PACKAGE.items():
        if name in digests():
            assert model_file(text) == shipped_path(name)
            assert names_epoch(text)
            assert read_card(text)["name"] == name
