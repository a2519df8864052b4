"""Networks without a known coefficient: transformer, convolutional network, digits and their perceptron."""

import builtins

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from singulab.errors import MissingExtraError
from singulab.zoo import (
    ConvolutionalConfig,
    TransformerConfig,
    attention_only_transformer,
    convolutional_network,
    digits,
    multilayer_perceptron,
)
from singulab.zoo.initial import initialised

SMALL = TransformerConfig(vocabulary=17, context=9, width=12, num_layers=2, num_heads=3)


def count(model):
    return sum(weight.numel() for weight in model.parameters())


def test_the_default_transformer_has_three_million_weights():
    assert 3.0e6 < count(attention_only_transformer()) < 3.3e6


def test_logits_of_a_token_do_not_see_later_tokens():
    model = attention_only_transformer(SMALL, seed=1)
    tokens = torch.randint(17, (3, 9), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 17
    before, after = model(tokens), model(changed)
    assert before.shape == (3, 9, 17)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_heads_attend_separately():
    # With values of all heads but one at zero, the output is that head's attention pattern on its values.
    model = attention_only_transformer(SMALL, seed=1)
    attention = model.blocks[0].attention
    with torch.no_grad():
        attention.query_key_value.weight[24 + 4 :] = 0
        attention.query_key_value.bias[24 + 4 :] = 0
        attention.output.weight.copy_(torch.eye(12))
        attention.output.bias.zero_()
        stream = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(0))
        fused = attention.query_key_value(stream)
        query, key, value = fused[..., 0:4], fused[..., 12:16], fused[..., 24:28]
        expected = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        found = attention(stream)
    torch.testing.assert_close(found[..., :4], expected)
    assert float(found[..., 4:].abs().max()) == 0.0


def test_images_may_come_flat_or_folded():
    for side in (8, 16):
        config = ConvolutionalConfig(image_size=side, num_channels=1)
        model = convolutional_network(config)
        images = torch.randn(5, side * side, generator=torch.Generator().manual_seed(0))
        assert model(images).shape == (5, 10)
        assert torch.equal(model(images), model(images.view(5, 1, side, side)))


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: attention_only_transformer(SMALL, seed=seed),
        lambda seed: convolutional_network(seed=seed),
        lambda seed: multilayer_perceptron(seed=seed),
    ],
)
def test_weights_are_a_function_of_the_seed_and_leave_the_global_generator_alone(build):
    before = torch.random.get_rng_state()
    first, again, other = (list(build(seed).parameters()) for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert all(weight.isfinite().all() and weight.device.type == "cpu" for weight in first)


@pytest.mark.parametrize(
    "model, inputs",
    [
        (attention_only_transformer(SMALL), torch.arange(9)[None]),
        (convolutional_network(), torch.ones(2, 64)),
        (multilayer_perceptron(), torch.ones(2, 64)),
    ],
    ids=["transformer", "convolutional", "perceptron"],
)
def test_models_run_stacked(model, inputs):
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    stacked = {name: torch.stack([weight, weight]) for name, weight in weights.items()}
    outputs = vmap(lambda part: functional_call(model, part, (inputs,)))(stacked)
    torch.testing.assert_close(outputs[1], model(inputs).detach(), rtol=1e-4, atol=1e-5)


def test_a_layer_without_an_initial_law_is_refused():
    with pytest.raises(TypeError, match="GRU"):
        initialised(lambda: nn.GRU(2, 3), 0)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of num_heads"):
        TransformerConfig(width=10, num_heads=3)
    with pytest.raises(ValueError, match="multiple of 4"):
        ConvolutionalConfig(image_size=10)
    with pytest.raises(ValueError, match="widths"):
        multilayer_perceptron((64,))


def test_the_perceptron_has_more_than_five_thousand_weights():
    assert count(multilayer_perceptron()) == 6570


def test_digits_are_split_and_standardised():
    found = digits()
    assert found.train_inputs.shape == (1438, 64)
    assert found.test_inputs.shape == (359, 64)
    mean, deviation = found.train_inputs.mean(0), found.train_inputs.std(0)
    assert float(mean.abs().max()) < 0.1
    assert float(deviation.max()) < 1.1
    assert set(found.train_labels.tolist()) == set(range(10))
    other = digits(seed=1)
    assert not torch.equal(found.train_labels, other.train_labels)


def test_shuffling_changes_training_labels_alone_and_keeps_their_counts():
    true, shuffled = digits(), digits(shuffled_labels=True)
    assert torch.equal(true.train_inputs, shuffled.train_inputs)
    assert torch.equal(true.test_labels, shuffled.test_labels)
    assert torch.equal(true.train_labels.bincount(), shuffled.train_labels.bincount())
    agreement = (true.train_labels == shuffled.train_labels).float().mean()
    assert 0.05 < float(agreement) < 0.15


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"singulab\[demo\]") as caught:
        digits()
    assert caught.value.extra == "demo"
