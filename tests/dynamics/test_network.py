import pytest
import torch
from torch import nn

from singulab.dynamics import Network
from singulab.dynamics.replicas import Draws


def squared(output, target):
    return (output - target).square().sum(1) / 2


def perceptron(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))


def data(n=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 2, generator=generator), torch.randn(n, 2, generator=generator)


def by_autograd(model, x, y, weights):
    twin = perceptron().double()
    nn.utils.vector_to_parameters(weights, twin.parameters())
    loss = squared(twin(x.double()), y.double()).mean()
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, twin.parameters())])


def test_gradients_are_those_of_autograd_one_by_one():
    model, (x, y) = perceptron(), data()
    network = Network(model, x, y, squared, batch_size=3)
    w = torch.stack([network.weights, network.weights + 0.1])
    for row, mean in zip(w, network.mean_gradient(w), strict=True):
        torch.testing.assert_close(mean, by_autograd(model, x, y, row))
    each = network.datum_gradients(w[1])
    for k, gradient in enumerate(each):
        torch.testing.assert_close(gradient, by_autograd(model, x[k : k + 1], y[k : k + 1], w[1]))
    torch.testing.assert_close(network.datum_gradients(w[1], 2, 5), each[2:5])


@pytest.mark.parametrize("replacement", [True, False])
def test_every_replica_takes_the_gradient_of_its_own_minibatch(replacement):
    model, (x, y) = perceptron(), data()
    network = Network(model, x, y, squared, batch_size=3, replacement=replacement)
    w = network.weights + 0.1 * torch.randn(4, network.num_weights, dtype=torch.float64)
    chosen = Draws(5, 4).indices(2, num_data=7, batch_size=3, replacement=replacement)
    found = network.gradient(w, Draws(5, 4), 2)
    for k in range(4):
        wanted = by_autograd(model, x[chosen[k]], y[chosen[k]], w[k])
        torch.testing.assert_close(found[k], wanted)


def test_the_model_stays_as_it_is():
    model, (x, y) = perceptron(), data()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    network = Network(model, x, y, squared, batch_size=2)
    w = network.weights.expand(3, -1)
    network.gradient(w, Draws(0, 3), 0)
    network.loss(w + 1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None and p.dtype == torch.float32 for p in model.parameters())
    torch.testing.assert_close(
        network.loss(w)[0], squared(model(x), y).mean().double(), rtol=1e-5, atol=1e-6
    )


def test_classes_are_left_as_whole_numbers():
    x, _ = data()
    y = torch.tensor([0, 1, 0, 1, 1, 0, 1])

    def loss(output, target):
        return nn.functional.cross_entropy(output, target, reduction="none")

    network = Network(perceptron(), x, y, loss, batch_size=2)
    assert network.datum_gradients(network.weights).shape == (7, network.num_weights)
    assert torch.isfinite(network.gradient(network.weights[None], Draws(0, 1), 0)).all()


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"targets": torch.ones(6, 2)}, "7 inputs need as many targets"),
        ({"batch_size": 0}, "batch_size must lie between 1 and 7"),
        ({"batch_size": 8, "replacement": False}, "batch_size must lie between 1 and 7"),
        ({"loss": lambda f, y: (f - y).square().mean()}, "one number per datum"),
        (
            {"model": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))},
            "1 is a BatchNorm1d in training mode",
        ),
        ({"model": nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))}, "call model.eval"),
    ],
)
def test_bad_input_is_one_sentence(change, sentence, unchecked):
    x, y = data()
    given = {"model": perceptron(), "inputs": x, "targets": y, "loss": squared, **change}
    with pytest.raises(ValueError, match=sentence):
        Network(
            given.pop("model"),
            given.pop("inputs"),
            given.pop("targets"),
            given.pop("loss"),
            **given,
        )
