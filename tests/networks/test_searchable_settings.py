"""The settings a search varies: each changes what it names and nothing else, and impossible ones are named."""

import pytest
import torch

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.networks import create_network, mxnet_names
from lwface.networks.layers import EPS, MXNET_EPS, InstanceBatchNorm, InstanceNorm

MOBILE = {"net_name": "fmobilefacenet", "net_blocks": [2, 1, 1, 1], "net_widths": [16, 24, 32, 48, 64], "emb_size": 32}
RESIDUAL = {"net_name": "fresnet", "net_units": [1, 2, 1, 1], "net_widths": [16, 16, 24, 32, 48], "emb_size": 32}
EPS_OF = {(2, 3): MXNET_EPS, (0, 2, 3): EPS}  # of the instance norm and of the batch norm


def on_meta(settings, **changes):
    with torch.device("meta"):
        return create_network({**settings, **changes})


def shapes(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def conv_flops(channels_in, channels_out, kernel, side, groups=1):
    """The official count of a convolution without bias, from its formula."""
    return (2 * channels_in * kernel**2 - 1) * side**2 * channels_out // groups


def test_mobile_widths_and_expansions_are_where_they_say():
    network = on_meta(MOBILE, net_expansions=[1, 3, 2, 4, 1.5, 5, 0.5])
    found = shapes(network)
    assert found["body.conv_1.conv2d.weight"] == (16, 3, 3, 3)
    assert found["body.res_2.block1.conv_sep.conv2d.weight"] == (16, 16, 1, 1)
    assert found["body.dconv_23.conv_dw.conv2d.weight"] == (48, 1, 3, 3)  # 16 x 3
    assert found["body.res_3.block0.conv_sep.conv2d.weight"] == (48, 24, 1, 1)  # 24 x 2
    assert found["body.dconv_34.conv_proj.conv2d.weight"] == (32, 96, 1, 1)  # 24 x 4 -> 32
    assert found["body.res_4.block0.conv_dw.conv2d.weight"] == (48, 1, 3, 3)  # 32 x 1.5
    assert found["body.dconv_45.conv_sep.conv2d.weight"] == (160, 32, 1, 1)  # 32 x 5
    assert found["body.res_5.block0.conv_proj.conv2d.weight"] == (48, 24, 1, 1)  # 48 x 0.5
    assert found["body.conv_6sep.conv2d.weight"] == (64, 48, 1, 1)
    assert found["head.conv_6dw7_7.conv2d.weight"] == (64, 1, 7, 7)


def test_mobile_kernels_change_depthwise_convolutions_of_their_stage_only():
    before, after = shapes(on_meta(MOBILE)), shapes(on_meta(MOBILE, net_kernels=[3, 5, 3, 7]))
    changed = {name: shape for name, shape in after.items() if shape != before[name]}
    assert set(changed) == {
        f"body.{block}.conv_dw.conv2d.weight" for block in ("dconv_23", "res_3.block0", "dconv_45", "res_5.block0")
    }
    assert {shape[2:] for shape in changed.values()} == {(5, 5), (7, 7)}
    plain = shapes(on_meta(MOBILE, net_blocks=[1, 1, 1, 1], net_kernels=[5, 3, 3, 3]))
    assert plain["body.conv_2_dw.conv2d.weight"] == (16, 1, 5, 5)


def test_residual_widths_expansions_and_kernels_are_where_they_say():
    network = on_meta(RESIDUAL, net_expansions=[1, 0.5, 1.5, 2], net_kernels=[3, 5, 7, 3])
    found = shapes(network)
    assert found["body.conv0.weight"] == (16, 3, 3, 3)
    assert found["body.stage2_unit1.conv1.weight"] == (12, 16, 3, 3)  # 24 x 0.5 inside
    assert found["body.stage2_unit2.conv2.weight"] == (24, 12, 5, 5)
    assert found["body.stage3_unit1.conv1.weight"] == (48, 24, 3, 3)
    assert found["body.stage3_unit1.conv2.weight"] == (32, 48, 7, 7)
    assert found["body.stage4_unit1.conv1sc.weight"] == (48, 32, 1, 1)
    flops = {layer.path: layer.flops for layer in count_flops(network).layers}
    assert flops["body.stage2_unit2.conv2"] == conv_flops(12, 24, 5, 28)
    assert flops["body.stage3_unit1.conv2"] == conv_flops(48, 32, 7, 14)  # a kernel keeps the map's size


def test_units_replace_num_layers():
    assert shapes(on_meta({"net_name": "fresnet", "num_layers": 50})) == shapes(
        on_meta({"net_name": "fresnet", "net_units": (3, 4, 14, 3)})
    )


@pytest.mark.parametrize("settings", [MOBILE, RESIDUAL], ids=["mobile", "residual"])
@pytest.mark.parametrize("attention", ["se", "cbam"])
def test_attention_adds_its_tensors_to_every_block(settings, attention):
    plain, attended = on_meta(settings), on_meta(settings, net_attention=attention)
    before, after = shapes(plain), shapes(attended)
    added = after.keys() - before.keys()
    assert before.items() <= after.items()
    assert added
    assert all(f".{attention}." in name for name in added)
    blocks = {name.split(f".{attention}.")[0] for name in added}
    assert len(blocks) == (8 if settings is MOBILE else 5)
    assert len(set(mxnet_names(attended).values())) == len(after)


@pytest.mark.parametrize("unit", [1, 2, 3])
def test_net_se_is_attention_by_the_originals_name(unit):
    old, new = ({"net_se": 1}, {"net_attention": "se"})
    assert shapes(on_meta(RESIDUAL, net_unit=unit, **old)) == shapes(on_meta(RESIDUAL, net_unit=unit, **new))
    assert "body.stage1_unit1.se.conv1.weight" in shapes(on_meta(RESIDUAL, net_unit=unit, **old))


@pytest.mark.parametrize("unit", [1, 2, 3])
@pytest.mark.parametrize("attention", ["none", "cbam"])
def test_every_tensor_of_a_varied_residual_network_learns(unit, attention):
    torch.manual_seed(0)
    changes = {"net_unit": unit, "net_attention": attention, "net_expansions": [0.5, 1, 1.5, 1], "net_input": 0}
    check_learning(create_network({**RESIDUAL, "net_kernels": [5, 3, 7, 3], **changes}))


@pytest.mark.parametrize("unit", [1, 2, 3])
def test_a_small_stem_halves_like_the_large_one(unit):
    large, small = (on_meta(RESIDUAL, net_unit=unit, net_input=stem) for stem in (0, 3))
    assert shapes(small).keys() == shapes(large).keys()
    differing = [name for name, shape in shapes(small).items() if shape != shapes(large)[name]]
    assert differing == ["body.conv0.weight"]
    assert shapes(small)["body.conv0.weight"] == (*shapes(large)["body.conv0.weight"][:2], 3, 3)
    width = shapes(small)["body.conv0.weight"][0]
    assert count_flops(large).flops - count_flops(small).flops == 2 * 56 * 56 * width * 3 * (7 * 7 - 3 * 3)
    torch.manual_seed(0)
    check_learning(create_network({**RESIDUAL, "net_unit": unit, "net_input": 3}))


@pytest.mark.parametrize(
    ("unit", "norms"),
    [(1, ["stage1_unit1.bn1", "stage2_unit1.bn1", "stage2_unit2.bn1", "stage3_unit1.bn1"])]
    + [(unit, ["stage1_unit1.bn2", "stage2_unit1.bn2", "stage2_unit2.bn2", "stage3_unit1.bn2"]) for unit in (2, 3)],
)
def test_instance_norms_are_where_they_say(unit, norms):
    def places(where):
        network = on_meta(RESIDUAL, net_unit=unit, net_ibn=where)
        found = [
            name for name, module in network.named_modules() if isinstance(module, InstanceBatchNorm | InstanceNorm)
        ]
        return [name for name in found if not name.endswith(".instance")]

    assert places("none") == []
    assert places("stem") == ["body.bn0"]
    assert places("stages") == ["body.bn0", *(f"body.{name}" for name in norms)]
    changed = shapes(on_meta(RESIDUAL, net_unit=unit, net_ibn="stages"))
    assert changed["body.bn0.weight"] == (16,)
    assert "body.bn0.running_var" not in changed
    assert changed[f"body.{norms[0]}.instance.weight"] == (8,)
    assert changed[f"body.{norms[0]}.batch.running_var"] == (8,)
    torch.manual_seed(0)
    check_learning(create_network({**RESIDUAL, "net_unit": unit, "net_ibn": "stages", "net_input": 0}))


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_half_of_the_channels_are_normalised_a_picture_and_half_by_the_batch(form):
    random = torch.Generator().manual_seed(0)
    norm = InstanceBatchNorm(7)
    for parameter in norm.parameters():
        parameter.data.normal_(generator=random)
    x = (3 * torch.randn(4, 7, 6, 5, generator=random) + 2).contiguous(memory_format=form)
    wide = x.double()

    def normal(values, axes):
        middle = values.mean(axes, keepdim=True)
        return (values - middle) / ((values - middle).square().mean(axes, keepdim=True) + EPS_OF[axes]).sqrt()

    def scaled(values, part):
        return values * part.weight.double()[:, None, None] + part.bias.double()[:, None, None]

    ours = norm.train()(x)
    expected = torch.cat(
        [scaled(normal(wide[:, :3], (2, 3)), norm.instance), scaled(normal(wide[:, 3:], (0, 2, 3)), norm.batch)], dim=1
    )
    torch.testing.assert_close(ours.double(), expected, atol=1e-5, rtol=1e-5)
    assert ours.is_contiguous(memory_format=form)
    quiet = norm.eval()(x)
    torch.testing.assert_close(quiet[:, :3], ours[:, :3])  # the same in evaluation
    kept = (wide[:, 3:] - norm.batch.running_mean.double()[:, None, None]) / (
        norm.batch.running_var.double()[:, None, None] + norm.batch.eps
    ).sqrt()
    torch.testing.assert_close(quiet[:, 3:].double(), scaled(kept, norm.batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["se", "cbam"])
def test_every_tensor_of_a_varied_mobile_network_learns(attention):
    torch.manual_seed(0)
    check_learning(create_network({**MOBILE, "net_kernels": [5, 3, 7, 3], "net_attention": attention}))


def check_learning(network):
    images = torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8)
    output = network.train()(images)
    assert output.shape == (2, 32)
    assert output.isfinite().all()
    (output * torch.randn_like(output)).sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (MOBILE, {"net_widths": [16, 24, 32, 48]}, "net_widths is .* expected 5 whole numbers"),
        (MOBILE, {"net_widths": [16, 24, 32.5, 48, 64]}, "net_widths is .* expected 5 whole numbers"),
        (MOBILE, {"net_widths": [16, 24, 0, 48, 64]}, "net_widths is .* of at least 1"),
        (MOBILE, {"net_expansions": [1, 2, 3]}, "net_expansions is .* expected 7 numbers"),
        (MOBILE, {"net_expansions": [1, 2, 2, 4, 2, 4, 0]}, "net_expansions is .* of at least 0.1"),
        (MOBILE, {"net_kernels": [3, 3, 4, 3]}, "net_kernels is .* out of 3, 5, 7"),
        (MOBILE, {"net_attention": "cbma"}, "attention .* 'cbma': did you mean 'cbam'"),
        (RESIDUAL, {"net_units": [1, 2, 0, 1]}, "net_units is .*: expected units in the first stages"),
        (RESIDUAL, {"net_units": [1, 2, -1, 1]}, "net_units is .* of at least 0"),
        (RESIDUAL, {"net_units": [1, 2]}, "net_units is .* expected 4 whole numbers"),
        (RESIDUAL, {"net_widths": "64"}, "net_widths is '64'"),
        (RESIDUAL, {"net_kernels": [3, 3, 3]}, "net_kernels is .* expected 4 numbers"),
        (RESIDUAL, {"net_se": 1, "net_attention": "cbam"}, "net_attention is 'cbam': expected 'se', which net_se = 1"),
        (RESIDUAL, {"net_ibn": "stems"}, "net_ibn is 'stems': expected"),
        (RESIDUAL, {"net_attention": "both"}, "attention .* 'both'"),
    ],
)
def test_impossible_settings_are_named(settings, changes, message):
    with pytest.raises(UserError, match=message):
        on_meta(settings, **changes)
