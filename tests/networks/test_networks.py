import hashlib
import inspect
from pathlib import Path

import pytest
import torch
from network_table import Cost, cost_cells

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.networks import NETWORKS, create_network, mxnet_names
from lwface.networks.heads import HEADS, make_head
from lwface.networks.layers import BatchNorm
from lwface.settings import sample_config

# FLOPs by the official program, learnable numbers, running statistics, width; measured with MXNet 1.9.1.
OFFICIAL = {
    "r100": (24169929728, 65156160, 69632, 512),
    "r100fc": (24169929728, 65156160, 69632, 512),
    "r50": (12612791296, 43590848, 38144, 512),
    "r50v1": (12612791296, 43585920, 27392, 512),
    "d169": (6599875072, 54228263, 162752, 512),
    "d201": (8474701312, 66259783, 233920, 512),
    "y1": (439821056, 1003264, 19584, 128),
    "y2": (933336950, 1996288, 38400, 256),
    "m1": (1132662629, 3400960, 23424, 256),
    "m05": (296705381, 982016, 12480, 256),
    "mnas": (597881670, 3260556, 39968, 256),
    "mnas05": (163954630, 925400, 20240, 256),
    "mnas025": (48221190, 286782, 10376, 256),
    "vargfacenet": (1022388952, 4957512, 41744, 512),
}
# The same of later networks: this project's counter on the authors' own programs, where the comment says so.
MODERN = {
    "r18": (5216096256, 24025600, 14720, 512),  # arcface_torch's, to the unit
    "r34": (8914217984, 34139328, 25856, 512),  # likewise
    "r200": (46821634048, 118833920, 136064, 512),  # likewise
    "r10_s": (108702912, 710224, 2528, 128),  # this project's own, with instance norms
    "hrnet_w18": (8617972118, 70635860, 56336, 512),  # body: HRNet-W18-C's 19250004 parameters, without its classifier
    "hrnet_w44": (29806491652, 116401840, 99808, 512),  # body: HRNet-W44-C's 65015984
    "polyface": (28103954320, 119928064, 314016, 256),  # the authors', and 512 parameters of the embedding's norm
    "vit_t": (2753633536, 19137792, 1536, 512),  # arcface_torch's, to the unit
    "vit_s": (10980834304, 76023296, 2048, 512),  # likewise
    "vit_b": (21849816064, 113833472, 2048, 512),  # likewise
    "airface": (1053237493, 4334312, 53572, 512),
    "oct_y2": (691613041, 1996288, 38400, 256),  # y2's parameters
    "oct_r50": (9177961856, 43590848, 38144, 512),  # r50's
    "ghostfacenet": (421498892, 4060260, 28552, 512),  # the authors' parameters, to the unit
    "ghostfacenet_v2": (337087380, 4196608, 65328, 512),
    "edgeface": (301163272, 3652520, 0, 512),  # the authors' parameters, to the unit
    "edgeface_xs": (150340045, 1770492, 0, 512),  # likewise
    "mixfacenet": (603012431, 3953558, 43760, 512),  # the authors', and a bias of 512 in the GDC head
    "mixfacenet_s": (433275570, 3073622, 34240, 512),  # likewise
    "mixfacenet_xs": (151367794, 1041378, 18640, 512),  # likewise
}
UNCOUNTED = {  # multiply-adds; arcface_torch prints these as "Extra-GFLOPs"
    "vit_t": {"attention": 127401984},
    "vit_s": {"attention": 254803968},
    "vit_b": {"attention": 509607936},
    "edgeface": {"matrix product": 973120},
    "edgeface_xs": {"matrix product": 812296},
}
COUNTS = {**OFFICIAL, **MODERN}
# SHA-256 of the sorted lines "name 64x3x3x3\n" of all tensors of the original symbol, made with MXNet 1.9.1.
MXNET_TENSORS = {
    "r100": "0f2093050fce547a7705b369d2e83b77f7ee01022d7d3287c60ae3e682210e0c",
    "r100fc": "0f2093050fce547a7705b369d2e83b77f7ee01022d7d3287c60ae3e682210e0c",
    "r50": "973bb0926f33db0ff41246d5d2bb091be5ffa858b81ee92e1196812e497858a4",
    "r50v1": "03793758c8b0419284c471029dbeb538ab72896575db772ccffddf244c9c4da3",
    "d169": "9ea8f88a893f98fc45e284fa02c36c71eb071af3944328c42cd23a8ef39bce99",
    "d201": "5d2073973bc1e613547975791712efc06292d96d8ef946c479f3610b480b0437",
    "y1": "ce1a5fd640abed914d6095084c46296f26f2195f1292fdb518d03ce91acae168",
    "y2": "6bf48f28f62da84ea634150bd3bf3dc91286eb4ff5159c100d4dda5a0602ebaf",
    "m1": "8a7bc8717d55ae1d9619ef68c722090a67e30cddc2a174c55bf4011a088de9e3",
    "m05": "decb6b1bae714639a5751bda98d331be701bef57e8a4efba45658765992ae1c1",
    "mnas": "3d0299ba31a0680abc4d8c1bc5ec3be1a851b9a4e76f2853ef67d7a0552160d6",
    "mnas05": "741e541b3d49d9f72b8b98af1a95bfbc39d5fbdca7270db979bf64507795a2e6",
    "mnas025": "3bf0101a1a35280d37ef9818919c55d506f5f7354604a91f9a56ec7a820169ba",
    "vargfacenet": "7c1e3d8aa9379269609f07e032c9e78be8d1b85e3b83e4d1bd2d1552b573778f",
}
# Light members of families whose default is heavy: what is computed for real is computed on these.
LIGHT_MEMBERS = {
    "fmnasnet": {"net_multiplier": 0.3, "net_act": "relu"},
    "fmobilenet": {"net_multiplier": 0.25, "net_output": "GAP"},
    "fresnet": {"num_layers": 18, "net_input": 0, "net_se": 1},
    "vargfacenet": {"net_multiplier": 0.25, "net_se": 1},
    "hrnet": {"net_multiplier": 0.25, "net_units": [1, 1, 1], "net_output": "GAP"},
    "polyface": {"net_multiplier": 0.125, "net_units": [1, 1, 1], "net_drop_path": 0.0},
    "vit": {"num_layers": 2, "net_width": 32},
    "octresnet": {"num_layers": 18, "net_widths": [8, 8, 16, 32, 64]},
    "mixfacenet": {"net_size": "s", "net_multiplier": 0.5, "net_shuffle": 1},
}
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text()
COMPUTED_BELOW = 5e8  # FLOPs; heavier networks are run on the meta device only, which computes nothing


def settings(name: str) -> dict:
    """Settings of a network of the sample; a family of the registry is a network with its own defaults."""
    if name in sample_config.network:
        return {**sample_config.config, **sample_config.network[name]}
    return {"net_name": name}


def on_meta(name: str, **overrides) -> torch.nn.Module:
    with torch.device("meta"):
        return create_network({**settings(name), **overrides})


def light(name: str) -> torch.nn.Module:
    return create_network({**settings(name), **LIGHT_MEMBERS.get(name, {})})


def flops_of(name: str) -> int:
    """FLOPs of a network of the tables above; another one is counted, which takes longer."""
    return COUNTS[name][0] if name in COUNTS else count_flops(on_meta(name)).flops


NAMES = sorted({*sample_config.network, *NETWORKS})
LIGHT = [name for name in NAMES if name in LIGHT_MEMBERS or flops_of(name) < COMPUTED_BELOW]


@pytest.fixture(autouse=True)
def _seeded_on_one_thread():  # threads of test processes that run side by side wait for each other
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def images(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 112, 112), dtype=torch.uint8)


@pytest.mark.parametrize("name", sample_config.network)
def test_counts_are_the_official_ones_the_authors_and_the_documented_ones(name):
    report = count_flops(on_meta(name))
    if name in COUNTS:
        assert (report.flops, report.params, report.aux, report.embedding) == COUNTS[name]
        assert report.model_bytes == 4 * (report.params + report.aux)
        assert report.uncounted == UNCOUNTED.get(name, {})
    assert report.number_type == "float32"
    if f"| {name} | " in DOCUMENT:  # a network that is new comes in by make networks
        assert f"| {' | '.join(cost_cells(name, Cost.of(report)))} |" in DOCUMENT, "docs/networks.md: run make networks"
    docstring = inspect.getmodule(NETWORKS[settings(name)["net_name"]]).__doc__
    for row in (line.split() for line in docstring.splitlines() if line.startswith(f"{name}  ")):  # of a table
        assert {str(report.flops), str(report.macs), str(report.params)} <= set(row)


def test_every_counted_network_is_on_the_page():
    assert [name for name in COUNTS if f"| {name} | " not in DOCUMENT] == []


@pytest.mark.parametrize("name", MXNET_TENSORS)
def test_tensor_names_and_shapes_are_mxnets(name):
    network = on_meta(name)
    names = mxnet_names(network)
    tensors = network.state_dict()
    assert names.keys() == tensors.keys()
    lines = sorted(f"{names[key]} {'x'.join(map(str, tensor.shape))}\n" for key, tensor in tensors.items())
    assert len(set(lines)) == len(tensors)
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == MXNET_TENSORS[name]


def reached(output: torch.Tensor) -> set[int]:
    """Identities of the parameters to which backward from ``output`` would give a gradient; none is computed."""
    waiting, seen, found = [output.grad_fn], {output.grad_fn}, set()
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        following = {earlier for earlier, _ in node.next_functions if earlier is not None} - seen
        seen |= following
        waiting += following
    return found


@pytest.mark.parametrize("name", [name for name in sample_config.network if flops_of(name) >= COMPUTED_BELOW])
def test_every_trainable_parameter_gets_a_gradient(name):
    network = on_meta(name).train()
    output = network(torch.zeros(2, 3, 112, 112, device="meta"))
    assert output.shape == (2, network.embedding_size)
    learning = reached(output)
    for key, parameter in network.named_parameters():
        assert (id(parameter) in learning) == parameter.requires_grad, key


@pytest.mark.parametrize("name", LIGHT)
def test_training_step_is_finite_and_reaches_every_layer(name):
    network = light(name).train()
    output = network(images(3))
    assert output.shape == (3, network.embedding_size)
    assert output.isfinite().all()
    (output * torch.randn_like(output)).sum().backward()
    for key, parameter in network.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.any() or parameter.ndim == 1, key  # a bias before a batch norm has no effect
    assert all(buffer.isfinite().all() for buffer in network.buffers())


@pytest.mark.parametrize("name", LIGHT)
def test_saved_and_loaded_network_is_the_same(name):
    first, second = light(name).eval(), light(name).eval()
    batch = images(2)
    with torch.no_grad():
        for buffer in first.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
        before = first(batch)
        assert not torch.equal(before, second(batch))
        second.load_state_dict(first.state_dict())
        assert torch.equal(before, second(batch))
        assert torch.equal(before, first(batch.float()))  # uint8 and float images are the same images
        channels_last = second.to(memory_format=torch.channels_last)(batch)
    assert torch.linalg.vector_norm(channels_last - before) < 1e-5 * torch.linalg.vector_norm(before)


def test_pixels_are_normalised_in_float32_also_under_autocast():
    network = create_network(settings("mnas025")).eval()
    seen = []
    network.body.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    batch = images(1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(batch)
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], (batch.double() - 127.5).div(128).float())


def test_raw_pixels_reach_a_body_with_its_own_batch_norm():
    network = on_meta("fresnet", net_input=2)
    assert not network.normalise
    assert "bn_data_gamma" in mxnet_names(network).values()


def test_images_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"\(2, 3, 96, 112\).*\(N, 3, 112, 112\)"):
        on_meta("y1")(torch.zeros(2, 3, 96, 112, device="meta"))


def test_fixed_gamma_stays_one_and_counts():
    norm = BatchNorm(4, fix_gamma=True)
    norm.load_state_dict({**norm.state_dict(), "weight": torch.full((4,), 3.0)})
    assert torch.equal(norm.weight, torch.ones(4))
    norm(torch.randn(8, 4)).sum().backward()
    assert norm.weight.grad is None
    assert sum(p.numel() for p in norm.parameters()) == 8


def test_batch_norm_is_the_formula():
    norm = BatchNorm(3, eps=1e-3, bn_mom=0.8)
    x = torch.randn(5, 3, 4, 4) * 2 + 1
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    expected = (x - mean[:, None, None]) / (variance + 1e-3).sqrt()[:, None, None]
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm.running_mean, 0.2 * mean)


def test_start_values_are_the_originals():
    gaussian = create_network(settings("y1"))
    weight = gaussian.body.conv_6sep.conv2d.weight  # (512, 128, 1, 1): fan_out 512
    assert weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    depthwise = gaussian.head.conv_6dw7_7.conv2d.weight  # (512, 1, 7, 7): fan_out 512 * 49, of all channels together
    assert depthwise.std().item() == pytest.approx((2 / (512 * 49)) ** 0.5, rel=0.02)
    assert not gaussian.head.pre_fc1.bias.any()
    assert (gaussian.body.conv_1.relu.weight == 0.25).all()
    uniform = create_network(settings("mnas025"))
    weight = uniform.body.stage5_3.conv0.weight  # (256, 80, 1, 1): fan_in 80
    bound = (2 / 80) ** 0.5
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_gives_the_width_asked_for(head):
    for emb_size in (128, 512, 600):
        module = make_head(head, channels=512, size=7, emb_size=emb_size, act="relu", bn_mom=0.9)
        assert module(torch.rand(2, 512, 7, 7)).shape == (2, emb_size)
        last_is_linear = isinstance(module.fc1, torch.nn.Linear)
        assert last_is_linear == (head in ("F", "G", "H"))
        assert last_is_linear or module.fc1.fix_gamma


@pytest.mark.parametrize("unit", [1, 2, 3])
@pytest.mark.parametrize("stem", [0, 1, 2])
def test_residual_options_change_only_what_they_name(unit, stem):
    options = {"num_layers": 18, "net_unit": unit, "net_input": stem}
    names = set(mxnet_names(on_meta("fresnet", **options)).values())
    gated = set(mxnet_names(on_meta("fresnet", **options, net_se=1, net_act="relu")).values())
    assert all("_se_conv" in name for name in gated - names)
    assert all("relu" in name for name in names - gated)
    assert ("bn_data_beta" in names) == (stem == 2)
    assert ("stage1_unit1_bn3_beta" in names) == (unit == 3)


def test_every_setting_of_a_family_has_a_default_and_is_a_keyword():
    for name in NETWORKS:
        for parameter in inspect.signature(NETWORKS[name]).parameters.values():
            assert parameter.kind is parameter.KEYWORD_ONLY
            assert parameter.default is not parameter.empty


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("y1", {"net_name": "fmobilefacent"}, "did you mean 'fmobilefacenet'"),
        ("y1", {"net_output": "GDD"}, "output head .* 'GDD': did you mean 'GDC'"),
        ("y1", {"net_act": "rellu"}, "activation .* 'rellu': did you mean 'relu'"),
        ("y1", {"emb_size": 0}, "emb_size is 0"),
        ("y1", {"emb_size": "128"}, "emb_size is '128'"),
        ("y1", {"net_blocks": [1, 4, 6]}, "net_blocks is .* expected 4 numbers"),
        ("y1", {"net_blocks": [1, 4, -6, 2]}, "net_blocks is -6"),
        ("y1", {"bn_mom": 1.5}, "bn_mom is 1.5"),
        ("m1", {"net_multiplier": 0}, "net_multiplier is 0"),
        ("m1", {"net_multiplier": 0.01}, "net_multiplier is 0.01"),
        ("m1", {"net_multiplier": 0.3}, "'GDC' needs .* not 288 channels"),
        ("m1", {"net_input": 0}, "'GDC' needs .* 4x4"),
        ("m1", {"net_input": 3}, "net_input is 3"),
        ("mnas", {"net_multiplier": -1}, "net_multiplier is -1"),
        ("r50", {"num_layers": 51}, "num_layers is 51: choose from 18"),
        ("d169", {"num_layers": 100}, "num_layers is 100: choose from 121, 161"),
        ("d169", {"densenet_dropout": 1.0}, "densenet_dropout is 1.0"),
        ("d169", {"net_output": "GDC"}, "'GDC' needs .* not 1664 channels"),
        ("vargfacenet", {"net_multiplier": 1.3}, "net_multiplier is 1.3"),
        ("vargfacenet", {"net_output": "GDC"}, "'GDC' needs .* 1x1"),
        ("vargfacenet", {"net_se": 2}, "net_se is 2"),
        ("r50", {"net_unit": 4}, "net_unit is 4"),
        ("r50", {"net_se": 2}, "net_se is 2"),
        ("r50", {"net_input": 4}, "net_input is 4"),
    ],
)
def test_impossible_settings_are_named(name, overrides, message):
    with pytest.raises(UserError, match=message):
        on_meta(name, **overrides)
