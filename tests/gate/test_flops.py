import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops, flops_text


class Function(nn.Module):
    """A network whose forward pass is ``function(x, *weights)``; the weights are parameters."""

    def __init__(self, function, *shapes, **buffers):
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(shape)) for shape in shapes)
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x):
        return self.function(x, *self.weights)


def flops_of(function, *shapes, input_shape=(1, 6, 10, 9)):
    return count_flops(Function(function, *shapes), input_shape).flops


# --- convolution ---------------------------------------------------------------------------------------------------


def official_convolution(cin, cout, kernel, size, groups, bias):
    """The formula as the official program's arithmetic does it: one float division at the end, then truncation."""
    per_output = 2 * cin * kernel[0] * kernel[1] - (0 if bias else 1)
    return int(per_output * size[0] * size[1] * cout / groups)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("groups", "cout", "kernel", "stride", "padding"),
    [(1, 8, (3, 3), 1, 1), (6, 6, (3, 3), 2, 1), (3, 9, (1, 5), 1, 0), (2, 4, (7, 7), (2, 1), 3), (1, 5, (1, 1), 3, 0)],
)
def test_convolution_is_the_official_formula(groups, cout, kernel, stride, padding, bias):
    layer = nn.Conv2d(6, cout, kernel, stride, padding, groups=groups, bias=bias)
    size = layer(torch.zeros(1, 6, 10, 9)).shape[2:]
    report = count_flops(layer, (1, 6, 10, 9))
    assert report.flops == official_convolution(6, cout, kernel, size, groups, bias)
    cell = report.layers[0]
    assert (cell.kernel, cell.groups, cell.bias) == (kernel, groups, bias)
    assert (cell.input_shape, cell.output_shape) == ((6, 10, 9), (cout, *size))
    assert report.macs == (6 // groups) * kernel[0] * kernel[1] * size[0] * size[1] * cout


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: F.conv2d(x, w),
        lambda x, w: torch.conv2d(x, w),
        lambda x, w: torch.convolution(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        lambda x, w: torch.ops.aten.conv2d(x, w),
        lambda x, w: F.conv2d(x, w * 2.0),  # computed weights
        lambda x, w: F.conv3d(x[:, :, None], w[:, :, None]),
        lambda x, w: F.conv2d(torch.cat(x.split(1)), w),
    ],
)
def test_a_convolution_cannot_hide_in_a_functional_call(function):
    assert flops_of(function, (4, 6, 3, 3)) == (2 * 6 * 9 - 1) * 8 * 7 * 4


def test_same_padding_and_one_dimension():
    layer = nn.Conv1d(6, 4, 5, padding="same", bias=False)
    assert count_flops(layer, (1, 6, 11)).flops == (2 * 6 * 5 - 1) * 11 * 4


def test_images_folded_into_the_batch_are_counted():
    quarters = Function(lambda x, w: F.conv2d(x.reshape(4, 6, 5, 4), w), (4, 6, 1, 1))
    assert count_flops(quarters, (1, 6, 10, 8)).flops == (2 * 6 - 1) * 80 * 4


def test_a_layer_that_runs_twice_counts_twice():
    shared = nn.Conv2d(3, 3, 3, padding=1)
    report = count_flops(nn.Sequential(shared, nn.ReLU(), shared), (1, 3, 8, 8))
    assert report.flops == 2 * (2 * 3 * 9 * 64 * 3)
    assert report.params == 3 * 3 * 9 + 3


# --- linear layers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
def test_linear_on_a_flattened_map(bias):
    network = nn.Sequential(nn.Flatten(), nn.Linear(6 * 10 * 9, 7, bias=bias))
    report = count_flops(network, (1, 6, 10, 9))
    assert report.flops == 2 * 540 * 7 - (0 if bias else 7)
    assert report.macs == 540 * 7
    assert report.layers[0].path == "1"


@pytest.mark.parametrize("bias", [False, True])
def test_linear_on_tokens_counts_as_a_1x1_convolution(bias):
    tokens = nn.Sequential(nn.Flatten(2), nn.Linear(90, 7, bias=bias))  # (1, 6, 90): 6 tokens
    pixels = nn.Conv2d(90, 7, 1, bias=bias)
    assert count_flops(tokens, (1, 6, 10, 9)).flops == count_flops(pixels, (1, 90, 6, 1)).flops


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: F.linear(x, w.T),
        lambda x, w: x @ w,
        lambda x, w: torch.matmul(x, w.clone() * 1.0),
        lambda x, w: torch.einsum("bi,io->bo", x, w),
        lambda x, w: torch.tensordot(x, w, 1),
        lambda x, w: (w.T @ x.T).T,
        lambda x, w: torch.bmm(x[None], w[None])[0],
        lambda x, w: torch.mv(w.T, x[0])[None],
        lambda x, w: torch.empty(1, 7).copy_(torch.mm(x, w)),
        lambda x, w: x @ torch.empty_like(w).copy_(w),
        lambda x, w: torch.mm(torch.zeros(3, 90).index_copy_(0, torch.tensor([1]), x)[1:2], w),
        lambda x, w: F.linear(x, w.T + x.mean()),  # a fully connected layer is one whatever its weights come from
    ],
)
def test_a_linear_layer_cannot_hide(function):
    flat = Function(lambda x, w: function(x.reshape(1, 90), w), (90, 7))
    report = count_flops(flat, (1, 1, 10, 9))
    assert report.flops == 2 * 90 * 7 - 7
    assert report.uncounted == {}


def test_bias_of_functional_forms():
    def bias_first(x, weight, bias):
        return torch.addmm(bias, x.flatten(1), weight)

    assert flops_of(bias_first, (540, 7), (7,)) == 2 * 540 * 7

    def transposed_tokens(x, weight, bias):  # reaches the kernels as a product and an addition
        return F.linear(x.flatten(2).transpose(0, 1), weight, bias)

    assert flops_of(transposed_tokens, (7, 90), (7,)) == 6 * 2 * 90 * 7


# --- what the official program does not see ------------------------------------------------------------------------


def test_deconvolution_is_reported_but_not_counted():
    report = count_flops(nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), (1, 6, 5, 5))
    assert report.flops == 0
    assert report.uncounted == {"deconvolution": 6 * 25 * 9 * 2}
    assert report.macs == 6 * 25 * 9 * 2


def test_product_of_activations_is_reported_but_not_counted():
    def gram(x):
        maps = x.flatten(2)
        return maps @ maps.transpose(1, 2)

    report = count_flops(Function(gram), (1, 6, 10, 9))
    assert (report.flops, report.uncounted) == (0, {"matrix product": 6 * 6 * 90})


def test_an_activation_written_into_a_buffer_stays_one():
    def gram(x):
        copy = torch.zeros(1, 6, 90)
        copy[:, :3] = x.flatten(2)[:, :3]
        return copy @ x.flatten(2).transpose(1, 2)

    assert count_flops(Function(gram), (1, 6, 10, 9)).uncounted == {"matrix product": 6 * 6 * 90}


def test_attention_is_reported_but_not_counted():
    def attend(x):
        heads = x.flatten(2).reshape(1, 2, 45, 6)
        return F.scaled_dot_product_attention(heads, heads[:, :, :9], heads[:, :, :9])

    report = count_flops(Function(attend), (1, 6, 10, 9))
    assert (report.flops, report.uncounted) == (0, {"attention": 2 * 45 * 9 * (6 + 6)})


def test_fused_transformer_layer_is_counted_through_its_parts():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    report = count_flops(nn.Sequential(nn.Flatten(2), layer), (1, 5, 2, 4))  # 5 tokens of 8
    per_token = 2 * 8 * 24 + 2 * 8 * 8 + 2 * 8 * 16 + 2 * 16 * 8
    assert report.flops == 5 * per_token
    assert report.uncounted == {"attention": 2 * 5 * 5 * (4 + 4)}
    assert torch.backends.mha.get_fastpath_enabled()


def test_everything_else_counts_nothing():
    network = nn.Sequential(nn.BatchNorm2d(6), nn.PReLU(6), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Sigmoid())
    report = count_flops(network, (1, 6, 8, 8))
    assert (report.flops, report.macs, report.uncounted, report.layers) == (0, 0, {}, [])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: nn.LSTM(9, 4, batch_first=True)(x[0])[0],
        lambda x: torch.conv_tbc(x[0], torch.zeros(3, 9, 4), torch.zeros(4)),
        lambda x: F.bilinear(x, x, torch.zeros(4, 9, 9)),
    ],
)
def test_an_operator_that_hides_its_work_is_refused(function):
    with pytest.raises(UserError, match="cannot count operator aten"):
        count_flops(Function(function), (1, 6, 10, 9))


def test_a_third_party_operator_is_refused():
    @torch.library.custom_op("test_flops::hidden", mutates_args=())
    def hidden(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    with pytest.raises(UserError, match=r"test_flops\.hidden.* in module '1'"):
        count_flops(nn.Sequential(nn.ReLU(), Function(hidden)), (1, 4, 4))


def test_a_compiled_network_is_counted_as_written():
    def refuse(graph, inputs):
        raise AssertionError("was compiled")

    network = torch.compile(nn.Linear(4, 5), backend=refuse)
    assert count_flops(network, (1, 4)).flops == 2 * 4 * 5


# --- the report ----------------------------------------------------------------------------------------------------


def test_figures_of_the_model():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 10))
    report = count_flops(network, (1, 3, 4, 4))
    assert report.params == (3 * 4 + 4) + (4 + 4) + (64 * 10 + 10)
    assert report.aux == 8
    assert report.model_bytes == 4 * (report.params + report.aux) + 8  # BatchNorm2d also stores one int64
    assert (report.embedding, report.number_type) == (10, "float32")
    assert [layer.path for layer in report.layers] == ["0", "3"]


def test_shared_weights_weigh_once():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    assert count_flops(nn.Sequential(first, second), (1, 4)).model_bytes == 4 * (16 + 4 + 4)


def test_number_types_are_named():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    assert count_flops(network.to(torch.bfloat16), (1, 4)).number_type == "bfloat16"
    quantised = Function(lambda x: x, codes=torch.zeros(8, dtype=torch.int8))
    quantised.scale = nn.Parameter(torch.ones(1))
    assert count_flops(quantised, (1, 4)).number_type == "float32+int8"


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 5))
    network.train()
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random_state = torch.get_rng_state()
    count_flops(network, (1, 3, 8, 8))
    assert [module.training for module in network] == [True, False, True, True, True]
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and not parameter.is_inference() for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not network[0]._forward_hooks
    network(torch.randn(2, 3, 8, 8)).sum().backward()  # still trains


def test_the_network_is_left_as_it_was_when_it_fails():
    network = nn.Linear(4, 4).train()
    with pytest.raises(UserError):
        count_flops(network, (1, 5))
    assert network.training
    assert count_flops(network, (1, 4)).layers[0].path == ""


def test_meta_weights_are_enough():
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))
    assert count_flops(network, (1, 3, 8, 8)).flops == (2 * 27 - 1) * 36 * 4 + 2 * 144 * 5


def test_a_batch_is_refused():
    with pytest.raises(UserError, match="counted for one image"):
        count_flops(nn.Linear(4, 4), (2, 4))


def test_several_outputs_are_refused():
    with pytest.raises(UserError, match="puts out a tuple"):
        count_flops(Function(lambda x: (x, x)), (1, 4))


@pytest.mark.parametrize(
    ("flops", "text"),
    [(933336950, "933.3M"), (24169929728, "24.2G"), (1132662629, "1.1G"), (10**12, "1.0T"), (999, "999.0"), (0, "0.0")],
)
def test_text_is_the_official_programs(flops, text):
    assert flops_text(flops) == text


class Announcing(nn.Sequential):
    embedding_size = 7


def test_layers_that_do_not_fit_are_one_line_that_says_where():
    body, head = nn.Conv2d(3, 4, 16, stride=16), nn.Sequential(nn.Flatten(), nn.Linear(100, 8))
    with pytest.raises(
        UserError, match=r"cannot be run on an image of 1x3x112x112: mat1 and mat2 .* after its 0 gave 1x4x7x7"
    ):
        count_flops(nn.Sequential(body, head))
    with pytest.raises(UserError, match="says that its embedding has 7 numbers and puts out 196"):
        count_flops(Announcing(body, nn.Flatten()))
