import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import singulab as sl
from networks import Bigram, filled, integers, normal, perceptron, regression
from singulab.params import Selection, named_parameters


def selection(model: nn.Module, weights=None) -> Selection:
    return Selection(named_parameters(model), weights)


def labels(model: nn.Module, weights) -> tuple[str, ...]:
    return selection(model, weights).names


@pytest.mark.parametrize(
    "weights, names",
    [
        (None, ("0.weight", "0.bias", "2.weight", "2.bias")),
        ("*", ("0.weight", "0.bias", "2.weight", "2.bias")),
        ("2.*", ("2.weight", "2.bias")),
        ("*.bias", ("0.bias", "2.bias")),
        (["2.weight", "0.*"], ("0.weight", "0.bias", "2.weight")),
        (("?.bias", "2.bias"), ("0.bias", "2.bias")),
    ],
)
def test_globs_select_by_name_in_the_order_of_the_model(weights, names):
    chosen = selection(perceptron(), weights)
    assert chosen.names == names
    assert chosen.size == sum(dict(perceptron().named_parameters())[n].numel() for n in names)


def test_the_center_is_a_copy_of_the_selected_weights_in_order():
    model = perceptron()
    chosen = selection(model, "2.*")
    assert torch.equal(chosen.center(), torch.cat([model[2].weight.reshape(-1), model[2].bias]))
    chosen.center().zero_()
    assert bool((model[2].weight != 0).all())


@given(st.data())
def test_any_selection_comes_back_from_a_flat_vector(data):
    model = perceptron()
    parameters = named_parameters(model)
    chance = st.sampled_from(["whole", "mask", "none"])
    kinds = {name: data.draw(chance, label=name) for name in parameters}
    masks = {}
    for index, (name, tensor) in enumerate(parameters.items()):
        if kinds[name] != "none":
            keep = torch.ones_like(tensor, dtype=torch.bool)
            masks[name] = keep if kinds[name] == "whole" else normal(*tensor.shape, seed=index) > 0
    if not any(bool(mask.any()) for mask in masks.values()):
        return
    chosen = selection(model, masks)
    assert chosen.size == sum(int(mask.sum()) for mask in masks.values())
    new = normal(chosen.size, seed=7)
    params = chosen.unflatten(new)
    assert set(params) == set(parameters)
    seen = []
    for name, tensor in parameters.items():
        mask = masks.get(name, torch.zeros_like(tensor, dtype=torch.bool))
        assert params[name].shape == tensor.shape
        assert torch.equal(params[name][~mask], tensor[~mask])
        seen.append(params[name][mask])
    assert torch.equal(torch.cat(seen), new)
    back = chosen.unflatten(chosen.center())
    assert all(torch.equal(back[name], tensor) for name, tensor in parameters.items())


def test_components_tile_the_flat_vector():
    heads = [sl.head("in_proj_weight", i, num_heads=2, block=1, num_blocks=3) for i in (1, 0)]
    chosen = selection(nn.MultiheadAttention(4, 2), [*heads, "out_proj.*"])
    ends = [c.start + c.size for c in chosen.components]
    assert [c.start for c in chosen.components] == [0, *ends[:-1]]
    assert ends[-1] == chosen.size == 2 * 2 * 4 + 4 * 4 + 4
    assert chosen.names[:2] == ("in_proj_weight[0:4:6]", "in_proj_weight[0:6:8]")


@pytest.mark.parametrize("block", [0, 1, 2])
@pytest.mark.parametrize("index", [0, 3])
def test_a_head_of_multihead_attention_is_its_rows_of_the_fused_tensor(block, index):
    attention = nn.MultiheadAttention(12, 4, batch_first=True)
    x = normal(2, 5, 12)
    chosen = selection(
        attention, sl.head("in_proj_weight", index, num_heads=4, block=block, num_blocks=3)
    )
    assert chosen.components[0].shape == (3, 12)
    rows = slice(12 * block + 3 * index, 12 * block + 3 * index + 3)
    assert torch.equal(chosen.center(), attention.in_proj_weight[rows].reshape(-1))
    if block < 2:  # without its queries or keys, this head alone attends uniformly
        params = chosen.unflatten(torch.zeros(chosen.size))
        attention.in_proj_bias.data.zero_()
        _, pattern = torch.func.functional_call(
            attention, params, (x, x, x), {"average_attn_weights": False}
        )
        uniform = (pattern - 1 / 5).abs().amax(dim=(0, 2, 3)) < 1e-6
        assert uniform.tolist() == [head == index for head in range(4)]


def test_a_head_of_gpt2_is_its_columns_of_the_fused_tensor():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=1, n_head=2, n_embd=8, vocab_size=11, n_positions=6, attn_implementation="eager"
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    name = "transformer.h.0.attn.c_attn.weight"
    weight = dict(model.named_parameters())[name]
    assert weight.shape == (8, 24)  # inputs × outputs
    chosen = selection(model, sl.head(name, 1, num_heads=2, axis=1, block=0, num_blocks=3))
    assert torch.equal(chosen.center().view(8, 4), weight[:, 4:8])
    params = chosen.unflatten(torch.zeros(chosen.size))
    arguments = {"input_ids": integers(11, 1, 5), "output_attentions": True}
    pattern = torch.func.functional_call(model, params, (), arguments).attentions[0][0]
    plain = model(**arguments).attentions[0][0]
    future = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
    assert torch.allclose(pattern[1], future, atol=1e-6)  # uniform over the past
    assert torch.allclose(pattern[0], plain[0], atol=1e-6)
    assert not torch.allclose(plain[1], future, atol=1e-6)


def test_heads_of_grouped_queries_have_the_size_that_the_tensor_says():
    # 6 query heads and 2 key-value heads of size 5 on a stream of width 8
    model = nn.ModuleDict({"q": nn.Linear(8, 30), "k": nn.Linear(8, 10), "o": nn.Linear(30, 8)})
    pick = [
        sl.head("q.weight", 4, num_heads=6),
        sl.head("k.weight", 1, num_heads=2),
        sl.head("o.weight", 4, num_heads=6, axis=1),
        sl.head("q.bias", 4, num_heads=6),
    ]
    shapes = {c.parameter: tuple(c.shape) for c in selection(model, pick).components}
    assert shapes == {"q.weight": (5, 8), "k.weight": (5, 8), "o.weight": (8, 5), "q.bias": (5,)}


def test_a_negative_axis_counts_from_the_end():
    model = nn.Linear(6, 4)
    last, named = (sl.head("weight", 1, num_heads=3, axis=axis) for axis in (-1, 1))
    assert labels(model, last) == labels(model, named) == ("weight[1:2:4]",)


@pytest.mark.parametrize(
    "weights",
    [
        "2.*",
        {"0.weight": normal(4, 3) > 0, "2.bias": torch.tensor([True, False])},
        [sl.head("0.weight", 1, num_heads=2), sl.head("2.weight", 0, num_heads=2, axis=1)],
    ],
    ids=["glob", "mask", "heads"],
)
@pytest.mark.parametrize("stacked", [False, True])
def test_the_gradient_of_a_selection_is_the_slice_of_the_full_gradient(weights, stacked):
    model, data = perceptron(), regression()
    whole = sl.LocalPotential.of(model, data, "gaussian", localization=1.0)
    part = sl.LocalPotential.of(model, data, "gaussian", weights=weights, localization=1.0)
    parameters = named_parameters(model)
    empty = Selection({name: torch.zeros_like(t) for name, t in parameters.items()}, weights)

    def flat(params: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([params.get(name, t).reshape(-1) for name, t in parameters.items()])

    moving = flat({**empty.parameters, **empty.unflatten(torch.ones(part.dim))}) == 1
    position = part.center + 0.3 * normal(2, part.dim)
    everywhere = torch.stack([flat(part.landscape.selection.unflatten(row)) for row in position])
    rows = torch.arange(len(data[0])).repeat(2, 1)
    batch = tuple(tensor[rows] for tensor in data), rows
    whole.landscape.stacked = part.landscape.stacked = stacked
    full, cut = whole.evaluate(everywhere, batch), part.evaluate(position, batch)
    back = torch.stack([flat({**empty.parameters, **empty.unflatten(row)}) for row in cut.gradient])
    assert torch.allclose(back, full.gradient * moving, rtol=1e-5, atol=1e-5)
    assert torch.allclose(cut.excess, full.excess, rtol=1e-5, atol=1e-6)


def test_tied_weights_count_once_and_move_together():
    model = filled(Bigram(tied=True))
    chosen = selection(model)
    assert chosen.names == ("embed.weight", "mix.weight", "mix.bias")
    params = chosen.unflatten(chosen.center() + 1)
    ids = integers(7, 2, 5)
    moved = torch.func.functional_call(model, params, (ids,))
    twin = filled(Bigram(tied=False))
    twin.load_state_dict({**params, "head.weight": params["embed.weight"]})
    assert torch.equal(moved, twin(ids))


def test_masters_of_half_precision_are_float32_and_models_get_their_own_dtype_back():
    model = perceptron(dtype=torch.bfloat16)
    chosen = selection(model, "2.*")
    assert chosen.center().dtype == torch.float32
    assert {p.dtype for p in chosen.unflatten(chosen.center()).values()} == {torch.bfloat16}


def test_one_float64_weight_makes_the_masters_float64():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double())
    chosen = selection(model)
    assert chosen.center().dtype == torch.float64
    params = chosen.unflatten(chosen.center())
    assert [params[n].dtype for n in ("0.weight", "1.weight")] == [torch.float32, torch.float64]


def test_integer_parameters_stay_where_they_are():
    model = nn.Linear(2, 2)
    model.steps = nn.Parameter(torch.arange(3), requires_grad=False)
    assert labels(model, None) == ("weight", "bias")
    with pytest.raises(ValueError, match="steps has dtype torch.int64; only floating-point"):
        selection(model, "steps")


@pytest.mark.parametrize(
    "weights, error, sentence",
    [
        ("3.*", ValueError, r"no weights selected: '3\.\*' matches none of 0\.weight, 0\.bias"),
        (["0.*", "x"], ValueError, r"no weights selected: 'x' matches none of"),
        ([], ValueError, r"no weights selected: \[\] matches none"),
        ({}, ValueError, r"no weights selected"),
        ({"0.bias": torch.zeros(4, dtype=torch.bool)}, ValueError, "no weights selected"),
        ({"9.bias": torch.ones(4, dtype=torch.bool)}, ValueError, r"unknown parameter '9\.bias'"),
        (
            {"0.weight": torch.ones(3, 4, dtype=torch.bool)},
            ValueError,
            r"mask of 0\.weight has shape \(3, 4\), the parameter \(4, 3\)",
        ),
        (
            {"0.weight": torch.ones(4, 3)},
            TypeError,
            r"mask of 0\.weight must be a boolean tensor, got torch\.float32",
        ),
        ({"0.bias": [True] * 4}, TypeError, "mask of 0.bias must be a boolean tensor, got .*list"),
        (sl.head("q.weight", 0, num_heads=2), ValueError, r"unknown parameter 'q\.weight'"),
        (
            sl.head("0.weight", 0, num_heads=3),
            ValueError,
            "4 entries along axis 0, which 1 blocks of 3 heads do not divide",
        ),
        (
            sl.head("0.bias", 0, num_heads=2, axis=1),
            ValueError,
            r"axis 1 does not exist in 0\.bias of shape \(4,\)",
        ),
        (
            ["0.*", sl.head("0.weight", 0, num_heads=2)],
            ValueError,
            r"0\.weight is selected whole and by head",
        ),
        (
            [sl.head("0.weight", 0, num_heads=2), sl.head("0.weight", 0, num_heads=4)],
            ValueError,
            r"two selected heads of 0\.weight overlap",
        ),
        (
            [sl.head("0.weight", 0, num_heads=2), sl.head("0.weight", 0, num_heads=3, axis=1)],
            ValueError,
            r"two selected heads of 0\.weight overlap",
        ),
        ([7], TypeError, r"weights must be globs, masks or heads, got \[7\]"),
        (7, TypeError, "weights must be globs, masks or heads, got 7"),
    ],
)
def test_a_wrong_selection_says_what_is_wrong(unchecked, weights, error, sentence):
    with pytest.raises(error, match=sentence):
        Selection(named_parameters(perceptron()), weights)


@pytest.mark.parametrize(
    "index, knobs, sentence",
    [
        (4, {}, "head index must lie in 0…3, got 4"),
        (-1, {}, "head index must lie in 0…3, got -1"),
        (0, {"block": 3, "num_blocks": 3}, "block must lie in 0…2, got 3"),
    ],
)
def test_a_head_that_does_not_exist_is_refused(index, knobs, sentence):
    with pytest.raises(ValueError, match=sentence):
        sl.head("w", index, num_heads=4, **knobs)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(number):
    model = perceptron()
    model[2].bias.data[1] = number
    with pytest.raises(ValueError, match=r"2\.bias holds NaN or infinite weights"):
        selection(model)
    assert labels(model, "0.*") == ("0.weight", "0.bias")


def test_units_rescale_the_flat_vector_and_not_the_model() -> None:
    parameters = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([[3.0]])}
    selection = Selection(parameters, units={"a": 0.5})
    assert selection.center().tolist() == [4.0, 8.0, 3.0]
    params = selection.unflatten(selection.center() + torch.tensor([1.0, 0.0, 1.0]))
    assert params["a"].tolist() == [2.5, 4.0]
    assert params["b"].tolist() == [[4.0]]


@pytest.mark.parametrize(
    "units, told",
    [
        ({"c": 1.0}, "'c' matches none"),
        ({"a": 0.0}, "positive and finite, got 0.0"),
        ({"a": float("nan")}, "positive and finite"),
        ({"a": 1.0, "*": 2.0}, "a is given 2 units"),
    ],
)
def test_wrong_units_are_refused(units: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("*", r"\*")):
        Selection({"a": torch.ones(2)}, units=units)
