"""Heads and options of the original's networks: what MXNet 1.9.1 counts and computes from the original's definitions.

The golden numbers were made by building each symbol from the original's code with these settings. FLOPs are the
official program's; where it stops, at the flat input of GAP's linear layer, they are by its rule. The networks
themselves are in test_networks.py; a comparison with a living MXNet is make parity.
"""

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.networks import create_network, mxnet_names
from lwface.networks.heads import NormWeighting
from lwface.settings.resolve import network_settings

# Family member and settings: (head, width): (FLOPs, learnable numbers, running statistics).
HEADS = {
    ("r50", "num_layers=18 net_input=0"): {
        ("E", 96): (1401402880, 11973408, 13888),
        ("GAP", 96): (1399928320, 11236640, 13888),
        ("GNAP", 64): (1399895552, 11220672, 14848),
        ("GNAP", 512): (1399830016, 11187712, 14720),
        ("GNAP", 600): (1409650816, 11497064, 16272),
        ("SFC", 96): (1402357244, 11653920, 15936),
    },
    ("y1", ""): {
        ("E", 96): (444456705, 3320992, 19520),
        ("F", 96): (444456705, 3320800, 19328),
        ("FC", 96): (444456705, 3320992, 19520),
        ("G", 96): (444456705, 3320800, 19328),
        ("GAP", 96): (439738113, 962208, 19520),
        ("GDC", 96): (439788288, 986784, 19520),
        ("GNAP", 64): (439705345, 946240, 20480),
        ("GNAP", 512): (439639809, 913280, 20352),
        ("GNAP", 600): (469716009, 1222632, 21904),
        ("H", 96): (444456705, 3319776, 18304),
        ("I", 96): (444456705, 3320992, 19520),
        ("J", 96): (444456705, 3319968, 18496),
        ("SFC", 96): (449748721, 1969312, 21568),
    },
    ("m05", ""): {
        ("E", 96): (301209958, 3233824, 12160),
        ("GDC", 96): (296541541, 899616, 12160),
        ("GNAP", 600): (326469262, 1135464, 14544),
    },
    ("m1", ""): {
        ("GDC", 96): (1132498789, 3318560, 23104),
        ("GNAP", 600): (1192481934, 3836520, 25488),
        ("SFC", 96): (1142556502, 4281632, 26176),
    },
    ("mnas025", ""): {
        ("E", 96): (50473479, 1412446, 10056),
        ("GAP", 96): (48114183, 233054, 10056),
        ("GDC", 96): (48139270, 245342, 10056),
        ("GNAP", 600): (63088431, 365222, 12952),
        ("J", 96): (50473479, 1411934, 9544),
        ("SFC", 96): (51022327, 671070, 11080),
    },
    ("d169", "num_layers=121"): {("GDC", 96): (5466898943, 7046935, 84864)},
    ("vargfacenet", "net_multiplier=0.5"): {
        ("E", 96): (260460632, 1870320, 20576),
        ("GAP", 96): (260460632, 1870832, 20576),
        ("GNAP", 64): (260427864, 1854864, 21536),
        ("GNAP", 512): (260362328, 1821904, 21408),
        ("GNAP", 600): (260976128, 2131256, 22960),
        ("J", 96): (260460632, 1869296, 19552),
        ("SFC", 96): (260994135, 2140656, 22624),
    },
}
# The same for options, of residual networks at 64 numbers a face.
R18 = "num_layers=18 emb_size=64"
OPTIONS = {
    ("r50", f"{R18} net_unit=1 net_input=0"): (976485632, 11710144, 10880),
    ("r50", f"{R18} net_unit=1 net_input=1"): (5193617408, 12783808, 10880),
    ("r50", f"{R18} net_unit=1 net_input=2 net_se=1"): (5193791488, 12873014, 10886),
    ("r50", f"{R18} net_unit=2 net_input=0 net_se=1"): (976659712, 11796080, 8064),
    ("r50", f"{R18} net_unit=2 net_input=1"): (3460663808, 12780544, 8064),
    ("r50", f"{R18} net_unit=2 net_input=2"): (3460663808, 12780550, 8070),
    ("r50", f"{R18} net_unit=3 net_input=0 net_se=1"): (1401052672, 11800368, 13824),
    ("r50", f"{R18} net_unit=3 net_input=2 net_se=1"): (5193791488, 12874038, 13830),
    ("r50", f"{R18} net_input=0 net_act=relu"): (1400878592, 11709184, 13824),
    ("m05", "net_input=0 net_output=E"): (81289682, 2923008, 12480),
    ("m05", "net_input=2 net_output=E"): (309238118, 7248384, 12480),
    ("m1", "net_multiplier=0.3 net_output=E"): (107554118, 3884394, 7244),
    ("m1", "net_multiplier=1.3 net_output=E"): (1872494918, 21715434, 31180),
    ("m1", "net_multiplier=0.25 net_output=E net_act=tanh"): (87171686, 3425616, 6496),
    ("mnas", "net_multiplier=0.3"): (63310833, 381081, 12222),
    ("mnas", "net_multiplier=0.75"): (347174790, 1916658, 30104),
    ("mnas", "net_multiplier=1.3"): (978556145, 5317849, 51678),
    ("mnas", "net_multiplier=0.25 net_act=softsign"): (48221190, 286746, 10376),
    ("d169", "num_layers=121"): (5518080512, 32639991, 86720),
    ("d169", "num_layers=121 net_act=relu net_output=GAP"): (5467748864, 7474048, 86720),
    ("d169", "num_layers=161"): (15262109184, 81860895, 225376),
    ("vargfacenet", "net_multiplier=0.25"): (106601688, 1536936, 13264),
    ("vargfacenet", "net_multiplier=1.5"): (1375772248, 6326896, 48864),
    ("vargfacenet", "net_se=1"): (1022864152, 5198292, 41744),
    ("vargfacenet", "net_multiplier=0.5 net_se=1 net_act=relu"): (260962648, 2114420, 20384),
    ("y1", "net_blocks=[0,1,1,1]"): (214957557, 529408, 9856),
    ("y1", "net_blocks=[3,0,0,0]"): (318230202, 399552, 7808),
    ("y1", "net_blocks=[1,0,2,5]"): (244257597, 859904, 15744),
    ("y1", "net_act=sigmoid"): (439821056, 995712, 19584),
}
# Learnable numbers and running statistics of the residual networks with head E and 512 numbers a face.
DEPTHS = {
    18: (24025600, 14720),
    34: (34139328, 25856),
    49: (43590848, 38144),
    74: (55996864, 55040),
    90: (63677120, 65792),
    98: (71945408, 75008),
    99: (69584320, 73472),
    101: (54223808, 51968),
    124: (86414912, 91136),
    134: (87897536, 98048),
    136: (86422080, 97280),
    140: (87013696, 98816),
    152: (70765760, 75008),
    160: (90857408, 107264),
    200: (75498688, 87296),
    269: (115061696, 125696),
}
# Norm and first numbers of the embedding from the tensors of `fill`, and the tolerance: the small variances make the
# deep networks amplify rounding.
SMALL = "net_multiplier=0.25 emb_size=64 net_input=0 net_output=GAP"
EMBEDDINGS = [
    ("y1", "", 246.914, [14.65576, -16.21954, 15.57291, -20.1184], 1e-4),
    ("y1", "net_blocks=[2,1,1,1] net_output=GNAP", 13018.32, [2038.579, -1884.031, 1671.25], 1e-4),
    ("y1", "net_blocks=[0,1,2,0] net_output=GNAP emb_size=64", 10124.08, [1762.261, -1657.688, 1497.062], 1e-4),
    ("y1", "net_blocks=[2,1,0,1] net_output=GNAP emb_size=512", 9084.224, [293.2612, -5.489333, -83.88268], 1e-4),
    ("mnas025", "", 1.1678815e8, [3460842.0, -7305257.0, -3549168.0, 8490001.0], 1e-4),
    ("mnas025", "net_output=E emb_size=64", 559237890.0, [18811990.0, 49975110.0, -76152420.0], 1e-4),
    ("mnas025", "net_output=F emb_size=64", 3635122.3, [-609163.4, 199435.0, 372295.7], 1e-4),
    ("mnas025", "net_output=GAP emb_size=64", 4918445100.0, [-216881900.0, -648875800.0, 220706800.0], 1e-4),
    ("mnas025", "net_output=GNAP emb_size=600", 47046132000.0, [1842631000.0, -36911510.0, -679937200.0], 1e-4),
    ("mnas025", "net_output=H emb_size=64", 1666755.7, [-292975.6, 151572.7, 112953.7], 1e-4),
    ("mnas025", "net_output=J emb_size=64", 46737115.0, [-4766060.0, 8231509.0, -5035502.0], 1e-4),
    ("mnas025", "net_output=SFC emb_size=64", 636797790.0, [122478300.0, 116211200.0, 105846700.0], 1e-4),
    ("m05", "", 8660.848, [-217.7097, 189.6723, -165.7188, 149.1404], 1e-4),
    ("m05", f"{SMALL} net_act=relu", 2797.007, [472.3352, 277.9169, -569.35], 1e-4),
    ("m05", f"{SMALL} net_act=sigmoid", 15.426109, [0.6073403, -1.884359, -2.656878], 1e-4),
    ("m05", f"{SMALL} net_act=tanh", 16.735926, [0.8817468, -2.064513, -2.977082], 1e-4),
    ("m05", f"{SMALL} net_act=softrelu", 2692.4766, [456.1644, 264.1654, -549.8092], 1e-4),
    ("m05", f"{SMALL} net_act=softsign", 17.035798, [0.8868794, -2.242667, -2.978259], 1e-4),
    ("d169", "num_layers=121 emb_size=64 net_output=GAP", 275198.8, [-23866.61, -25004.78], 1e-4),
    ("vargfacenet", "", 608963755012.6, [-18096180000.0, 17214010000.0, -16837310000.0], 1e-4),
    ("vargfacenet", "net_multiplier=0.5 net_se=1 emb_size=64", 1475115.1, [-217896.8, 208375.3], 1e-3),
    ("vargfacenet", "net_multiplier=0.25 net_output=GNAP emb_size=64", 124521800.0, [-2088988.0, 1735928.0], 1e-4),
    ("r50", f"{R18} net_input=0 net_output=FC", 2883.742, [468.6712, 271.7932, 73.41388, -103.1504], 1e-3),
    ("r50", f"{R18} net_input=0 net_output=SFC net_unit=1", 1093.577, [22.31499, 51.39268, 77.26486], 1e-3),
    ("r50", f"{R18} net_input=0 net_output=GAP net_unit=1 net_se=1", 5967.4624, [-786.3842, 668.9119, -571.4934], 1e-3),
    ("r50", f"{R18} net_input=0 net_output=GAP net_unit=2 net_se=1", 2830.2328, [-533.6958, 477.9475, -429.2499], 1e-3),
    ("r50", f"{R18} net_input=2 net_output=GAP net_se=1", 321903.91, [65427.52, -72152.57, 78114.99], 1e-3),
]


@pytest.fixture(autouse=True)
def _on_one_thread():  # threads of test processes that run side by side wait for each other
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings(name: str, options: str) -> dict:
    """Settings of a network of the sample, with ``options`` such as ``net_act=relu emb_size=64``."""
    overrides = dict(option.split("=") for option in options.split())
    numbers = ("num_layers", "emb_size", "net_multiplier", "net_unit", "net_input", "net_se", "net_blocks")
    values = {key: eval(value) if key in numbers else value for key, value in overrides.items()}
    return {**network_settings(name), **values}


def counts(network: torch.nn.Module) -> tuple[int, int, int]:
    report = count_flops(network)
    assert report.uncounted == {}
    return report.flops, report.params, report.aux


@pytest.mark.parametrize(
    ("name", "options", "head", "width"), [(*member, *head) for member, heads in HEADS.items() for head in heads]
)
def test_counts_of_heads_are_the_originals(name, options, head, width):
    with torch.device("meta"):
        network = create_network({**settings(name, options), "net_output": head, "emb_size": width})
    assert counts(network) == HEADS[name, options][head, width]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_counts_of_options_are_the_originals(name, options):
    with torch.device("meta"):
        network = create_network(settings(name, options))
    assert counts(network) == OPTIONS[name, options]


@pytest.mark.parametrize("num_layers", DEPTHS)
def test_every_depth_has_the_originals_tensors(num_layers):
    with torch.device("meta"):
        network = create_network(settings("r50", f"num_layers={num_layers}"))
    learnable = sum(parameter.numel() for parameter in network.parameters())
    assert (learnable, sum(buffer.numel() for buffer in network.buffers())) == DEPTHS[num_layers]


def fill(name: str, shape: tuple[int, ...], number: int) -> np.ndarray:
    """Values anyone can make: sines of the index. Variances are small, so that each epsilon shows in the result."""
    base = np.sin(np.arange(int(np.prod(shape))) * 12.9898 + number).reshape(shape)
    if name.endswith("_weight"):
        return 0.1 * base * np.sqrt(4 / np.prod(shape[1:]))
    if name.endswith("_var"):
        return 0.01 * (1 + 0.5 * base)
    if name.endswith("_alpha") or (name.endswith("_gamma") and ("relu" in name or "_act" in name)):
        return 0.25 + 0.1 * base
    if name.endswith("_gamma"):
        return 1 + 0.2 * base  # of a fixed gamma too: MXNet ignores it there
    return 0.1 * base


@pytest.mark.parametrize(("name", "options", "norm", "first", "tolerance"), EMBEDDINGS)
def test_embedding_is_mxnets(name, options, norm, first, tolerance):
    network = create_network(settings(name, options)).eval()
    names = mxnet_names(network)
    numbers = {mxnet: number for number, mxnet in enumerate(sorted(names.values()))}
    tensors = {
        key: torch.from_numpy(fill(names[key], tuple(tensor.shape), numbers[names[key]]).astype(np.float32))
        for key, tensor in network.state_dict().items()
    }
    network.load_state_dict(tensors)
    pattern = torch.arange(3 * 112 * 112).mul(7919).remainder(256).reshape(1, 3, 112, 112).to(torch.uint8)
    with torch.no_grad():
        embedding = network(pattern)[0].double().numpy()
    assert np.linalg.norm(embedding) == pytest.approx(norm, rel=tolerance)
    assert np.linalg.norm(embedding[: len(first)] - first) < tolerance * np.linalg.norm(first)


def test_norm_weighting_mixes_the_batch_in_training_and_never_after():
    x = torch.randn(3, 8, 7, 7, generator=torch.Generator().manual_seed(0))
    norms = x.double().pow(2).sum(1).sqrt()  # (3, 7, 7)
    weighting = NormWeighting()
    by_batch = x * (norms.mean() / norms)[:, None]
    torch.testing.assert_close(weighting(x), by_batch.float())
    weighting.eval()
    by_image = x * (norms.mean((1, 2))[:, None, None] / norms)[:, None]
    torch.testing.assert_close(weighting(x), by_image.float())
    for row in range(3):  # a batch of one is the same in both
        torch.testing.assert_close(weighting.train()(x[row : row + 1]), by_image[row : row + 1].float())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("net_output=Z", "'Z'"),  # the original's Z has no output that its programs could read
        ("net_unit=4", "net_unit is 4"),  # and its 4 calls a function that is not there
        ("net_act=mish", "'mish'"),
    ],
)
def test_what_the_original_cannot_run_is_refused(options, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        create_network(settings("r50", options))
