import torch
from torch.nn import functional as F

from singulab.zoo import CASES
from singulab.zoo.relu_network import RELU_NETWORKS


def test_the_architecture_is_that_of_the_published_table():
    case = CASES["relu-100"]
    assert case.num_weights == 850 == sum(p.numel() for p in case.model().parameters())
    assert [p.shape[0] for p in case.model().parameters()] == [20, 20, 20, 20, 10, 10]


def test_smaller_data_sets_are_the_beginning_of_larger_ones():
    largest = CASES["relu-10000"].data()
    for case in RELU_NETWORKS[:4]:
        for part, whole in zip(case.data(), largest, strict=True):
            assert torch.equal(part, whole[: case.num_data])


def test_the_exact_loss_is_that_of_the_module_on_the_data():
    case = CASES["relu-316"]
    inputs, targets = (part.double() for part in case.data())
    function, center = case.exact_loss()
    at_center = function({name: weight[None] for name, weight in center.items()})
    assert 0.0 <= float(at_center[0]) < 1e-25
    moved = {name: weight + 0.05 for name, weight in center.items()}
    model = case.model(torch.float64)
    model.load_state_dict(moved)
    expected = F.mse_loss(model(inputs), targets, reduction="none").sum(1).mean() / 2
    found = function({name: weight[None] for name, weight in moved.items()})
    torch.testing.assert_close(found[0], expected.detach(), rtol=1e-5, atol=0)


def test_the_gradient_of_the_exact_loss_is_that_of_the_module_for_every_chain():
    case = CASES["relu-1000"]
    inputs, targets = (part.double() for part in case.data())
    function, center = case.exact_loss()
    shifts = (0.02, -0.05)
    stacked = {
        name: torch.stack([weight + shift for shift in shifts]).requires_grad_()
        for name, weight in center.items()
    }
    factors = torch.tensor([1.0, 3.0], dtype=torch.float64)
    (factors * function(stacked)).sum().backward()
    for chain, shift in enumerate(shifts):
        model = case.model(torch.float64)
        model.load_state_dict({name: weight + shift for name, weight in center.items()})
        loss = F.mse_loss(model(inputs), targets, reduction="none").sum(1).mean() / 2
        (factors[chain] * loss).backward()
        for name, parameter in model.named_parameters():
            found = stacked[name].grad[chain]
            torch.testing.assert_close(found, parameter.grad, rtol=1e-5, atol=1e-8)
