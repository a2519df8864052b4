import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import singulab as sl
from networks import Bigram, filled, integers, normal, perceptron
from singulab import losses
from singulab.losses import (
    CrossEntropy,
    Gaussian,
    ModelLoss,
    NextToken,
    NextTokenFromHidden,
    OutputLoss,
    as_loss,
    output_tensor,
    split,
    token_nll,
)

X = normal(6, 3)
LOGITS = 2 * normal(6, 4, seed=3)
CLASSES = integers(4, 6)
PIXELS = 2 * normal(3, 4, 2, 2, seed=4)
LABELS = integers(4, 3, 2, 2)
LABELS[0, 0, 1] = LABELS[2, 1] = -100
IDS = integers(7, 4, 6)
LENGTHS = torch.tensor([6, 4, 2, 5])
RIGHT = (torch.arange(6) < LENGTHS[:, None]).long()
LEFT = RIGHT.flip(1)


def values(loss, output, target, teacher=None) -> Tensor:
    return as_loss(loss).values(output, (X[: len(output)], target), teacher)


def softmax(*shape, seed=6) -> Tensor:
    return (2 * normal(*shape, seed=seed)).softmax(1)


# ── values against hand-unrolled sums ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "sigma", [1.0, 0.5, torch.tensor([0.5, 1.0, 2.0, 4.0])], ids=["1", "half", "tensor"]
)
def test_gaussian_is_half_the_squared_error_in_units_of_sigma_summed_over_outputs(sigma):
    target = normal(6, 4, seed=8)
    spread = torch.as_tensor(sigma).expand(4)
    expected = [
        sum(0.5 * float((target[i, k] - LOGITS[i, k]) / spread[k]) ** 2 for k in range(4))
        for i in range(6)
    ]
    assert values(sl.gaussian(sigma), LOGITS, target).tolist() == pytest.approx(expected)


def test_gaussian_sums_over_all_axes_of_a_datum():
    target = normal(3, 4, 2, 2, seed=8)
    expected = 0.5 * (PIXELS - target).square().flatten(1).sum(1)
    assert torch.allclose(values("gaussian", PIXELS, target), expected)


def test_gaussian_residuals_of_half_precision_are_summed_in_float32():
    output = normal(5, 400).bfloat16()
    target = normal(5, 400, seed=3).bfloat16()
    expected = 0.5 * (output.double() - target.double()).square().sum(1)
    assert torch.allclose(values("gaussian", output, target).double(), expected, rtol=1e-6)


def test_cross_entropy_is_minus_log_probability_of_the_class():
    p = LOGITS.softmax(1)
    expected = [-math.log(float(p[i, CLASSES[i]])) for i in range(6)]
    assert values("cross_entropy", LOGITS, CLASSES).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy_takes_class_probabilities(dtype):
    soft = softmax(6, 4).to(dtype)
    expected = -(soft * LOGITS.log_softmax(1)).sum(1).float()
    assert torch.allclose(values("cross_entropy", LOGITS, soft).float(), expected)


def test_cross_entropy_averages_the_pixels_of_a_datum_that_are_not_ignored():
    p = PIXELS.softmax(1)
    expected = []
    for i in range(3):
        counted = [
            -math.log(float(p[i, LABELS[i, a, b], a, b]))
            for a in range(2)
            for b in range(2)
            if LABELS[i, a, b] != -100
        ]
        expected.append(sum(counted) / len(counted))
    assert values("cross_entropy", PIXELS, LABELS).tolist() == pytest.approx(expected)
    soft = softmax(3, 4, 2, 2)
    mean = -(soft * PIXELS.log_softmax(1)).sum(1).flatten(1).mean(1)
    assert torch.allclose(values("cross_entropy", PIXELS, soft), mean)


def test_an_ignored_datum_has_no_loss():
    target = CLASSES.clone()
    target[2] = -100
    plain = values("cross_entropy", LOGITS, CLASSES)
    plain[2] = 0
    assert torch.equal(values("cross_entropy", LOGITS, target), plain)


def nll_of_tokens(logits: Tensor, targets: Tensor, counted: Tensor) -> list[list[float]]:
    """−log p(next token) of every counted position, sequence by sequence."""
    p = logits.softmax(-1)
    return [
        [
            -math.log(float(p[i, t, targets[i, t + 1]]))
            for t in range(targets.shape[1] - 1)
            if counted[i, t]
        ]
        for i in range(len(targets))
    ]


LABELLED = IDS.clone()
LABELLED[0, :3] = LABELLED[2, 4:] = -100
TOKENS = {
    # batch, targets, which predictions count
    "ids": (IDS, IDS, torch.ones(4, 5)),
    "tuple of ids": ((IDS,), IDS, torch.ones(4, 5)),
    "ids and labels": ((IDS, LABELLED), LABELLED, LABELLED[:, 1:] != -100),
    "dict": ({"input_ids": IDS}, IDS, torch.ones(4, 5)),
    "padded right": ({"input_ids": IDS, "attention_mask": RIGHT}, IDS, RIGHT[:, 1:]),
    "padded left": ({"input_ids": IDS, "attention_mask": LEFT}, IDS, LEFT[:, :-1]),
    "labels and mask": (
        {"input_ids": IDS, "attention_mask": RIGHT, "labels": LABELLED},
        LABELLED,
        LABELLED[:, 1:] != -100,
    ),
}


@pytest.mark.parametrize("name", TOKENS)
def test_next_token_averages_the_predictions_of_a_sequence_that_count(name):
    batch, targets, counted = TOKENS[name]
    logits = normal(4, 6, 7, seed=8)
    expected = [sum(n) / len(n) for n in nll_of_tokens(logits, targets, counted)]
    got = NextToken().values(logits, batch, None)
    assert got.tolist() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(NextToken().count(batch), (counted != 0).sum(1))


def test_next_token_by_tokens_weighs_every_token_alike():
    batch, targets, counted = TOKENS["padded right"]
    logits = normal(4, 6, 7, seed=8)
    each = nll_of_tokens(logits, targets, counted)
    mean_length = sum(map(len, each)) / len(each)
    expected = [sum(n) / mean_length for n in each]
    of_all = NextToken(unit="token", tokens_per_sequence=mean_length)
    assert of_all.values(logits, batch, None).tolist() == pytest.approx(expected, rel=1e-5)
    by_batch = sl.next_token(unit="token").values(logits, batch, None)
    flat = [number for sequence in each for number in sequence]
    assert float(by_batch.mean()) == pytest.approx(sum(flat) / len(flat), rel=1e-5)


def test_a_sequence_without_a_counted_token_has_no_loss():
    labels = torch.full_like(IDS, -100)
    labels[0] = IDS[0]
    got = NextToken().values(normal(4, 6, 7), (IDS, labels), None)
    assert got[1:].tolist() == [0, 0, 0]
    assert float(got[0]) > 0


def test_a_function_of_output_and_target_is_called_as_it_is():
    for function in (
        functools.partial(F.cross_entropy, reduction="none"),
        nn.CrossEntropyLoss(reduction="none"),
        lambda output, target: F.cross_entropy(output, target, reduction="none"),
    ):
        loss = as_loss(function)
        assert isinstance(loss, OutputLoss)
        expected = values("cross_entropy", LOGITS, CLASSES)
        assert torch.equal(loss.values(LOGITS, (X, CLASSES), None), expected)


def test_a_function_of_model_and_batch_computes_its_own_loss():
    model = perceptron(outputs=4)

    def own(model, batch):
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    for function in (
        own,
        lambda network, batch: own(network, batch),
        lambda model, b: own(model, b),
    ):
        loss = as_loss(function)
        assert isinstance(loss, ModelLoss)
        output = loss.run(model, (X, CLASSES))
        expected = values("cross_entropy", model(X), CLASSES)
        assert torch.equal(loss.values(output, (X, CLASSES), None), expected)


def test_losses_by_token_are_averaged_where_they_count():
    each, mask = normal(4, 5).abs(), RIGHT[:, 1:].bool()
    masked = as_loss(lambda model, batch: sl.Losses(each, mask))
    expected = [float(row[keep].mean()) for row, keep in zip(each, mask, strict=True)]
    assert masked.values(masked.run(perceptron(), IDS), IDS, None).tolist() == pytest.approx(
        expected
    )
    plain = as_loss(lambda model, batch: sl.Losses(values=each))
    assert torch.allclose(plain.values(plain.run(perceptron(), IDS), IDS, None), each.mean(1))


# ── against a teacher ─────────────────────────────────────────────────────────────────────────


def kl(teacher: Tensor, output: Tensor) -> Tensor:
    """KL(p_teacher ‖ p_output) over the last axis, by probabilities in float64."""
    p, q = teacher.double().softmax(-1), output.double().softmax(-1)
    return (p * (p / q).log()).sum(-1)


def test_the_behavioural_gaussian_loss_is_the_squared_change_of_the_output():
    teacher = normal(6, 4, seed=8)
    expected = 0.5 * ((LOGITS - teacher) / 0.5).square().sum(1)
    assert torch.allclose(values(sl.gaussian(0.5), LOGITS, None, teacher), expected)


def test_the_behavioural_cross_entropy_is_the_full_divergence():
    teacher = normal(6, 4, seed=8)
    got = values("cross_entropy", LOGITS, CLASSES, teacher)
    assert torch.allclose(got.double(), kl(teacher, LOGITS), atol=1e-6)
    teacher = normal(3, 4, 2, 2, seed=8)
    got = values("cross_entropy", PIXELS, LABELS, teacher)
    by_pixel = kl(teacher.movedim(1, -1), PIXELS.movedim(1, -1))
    assert torch.allclose(got.double(), by_pixel.flatten(1).mean(1), atol=1e-6)


@pytest.mark.parametrize("unit", ["sequence", "token"])
def test_the_behavioural_next_token_loss_is_the_divergence_where_tokens_count(unit):
    batch, _, counted = TOKENS["padded right"]
    logits, teacher = normal(4, 6, 7, seed=8), normal(4, 6, 7, seed=9)
    each = kl(teacher, logits)[:, :-1] * counted
    per = counted.sum(1) if unit == "sequence" else 3.25
    loss = NextToken(unit=unit, tokens_per_sequence=3.25)
    assert torch.allclose(
        loss.values(logits, batch, teacher).double(), each.sum(1) / per, atol=1e-6
    )


@pytest.mark.parametrize("loss", ["gaussian", "cross_entropy"])
def test_a_model_does_not_diverge_from_itself(loss):
    assert bool((values(loss, LOGITS, None, LOGITS).abs() < 1e-6).all())


def test_a_function_gets_the_models_output_as_its_target():
    got = values(lambda output, target: (output - target).abs().sum(1), LOGITS, None, LOGITS + 1)
    assert torch.allclose(got, torch.full((6,), 4.0))
    with pytest.raises(TypeError, match=r"which this loss does not accept \(\w+: .*class indices"):
        values(_only_indices, LOGITS, CLASSES, LOGITS)
    own = ModelLoss(function=lambda model, batch: None)
    with pytest.raises(TypeError, match=r"hides it; pass loss\(output, target\)"):
        own.values(None, (X, CLASSES), LOGITS)


def _only_indices(output, target):
    if target.is_floating_point():
        raise RuntimeError("expected class indices")
    return F.cross_entropy(output, target, reduction="none")


# ── in chunks ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("numbers", [1, 60, 10_000])
def test_token_losses_in_chunks_are_those_at_once(monkeypatch, numbers):
    logits = normal(4, 6, 7, dtype=torch.float64).requires_grad_()
    targets, weight = integers(7, 4, 6), normal(4, 6, seed=3)
    monkeypatch.setattr(losses, "_CHUNK_NUMBERS", numbers)
    got = token_nll(logits, targets)
    expected = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    assert torch.allclose(got, expected)
    slopes = [torch.autograd.grad((v * weight).sum(), logits)[0] for v in (got, expected)]
    assert torch.allclose(*slopes)


def test_divergences_in_chunks_are_those_at_once(monkeypatch):
    logits, teacher = normal(4, 6, 7, seed=8), normal(4, 6, 7, seed=9)
    at_once = NextToken().values(logits, IDS, teacher)
    monkeypatch.setattr(losses, "_CHUNK_NUMBERS", 50)
    assert torch.allclose(NextToken().values(logits, IDS, teacher), at_once)


class Headed(nn.Module):
    """A body and an output embedding, as causal models have them."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.body = Body()
        self.head = nn.Linear(4, 7, bias=bias)

    def forward(self, input_ids, attention_mask=None):
        return self.head(self.body(input_ids, attention_mask)[0])


class Body(Bigram):
    def forward(self, input_ids, attention_mask=None):
        return (torch.tanh(self.mix(self.embed(input_ids))),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["ids", "ids and labels", "padded right"])
def test_a_head_applied_to_chunks_gives_the_losses_and_gradients_of_the_whole(
    monkeypatch, name, bias, dtype
):
    model, batch = filled(Headed(bias=bias).to(dtype)), TOKENS[name][0]
    monkeypatch.setattr(losses, "_CHUNK_NUMBERS", 60)
    plain, apart = NextToken(), NextTokenFromHidden(head="head", body="body")
    other = filled(Headed(bias=bias).to(dtype), 1)
    for teacher in (False, True):
        results = []
        for loss in (plain, apart):
            held = loss.teacher(loss.run(other, batch)) if teacher else None
            per_datum = loss.values(loss.run(model, batch), batch, held)
            parts = [model.head.weight, model.body.embed.weight]
            results.append((per_datum, *torch.autograd.grad(per_datum.sum(), parts)))
        tolerance = 1e-6 if dtype == torch.float32 else 1e-13
        for one, whole in zip(*results, strict=True):
            assert torch.allclose(one, whole, rtol=tolerance, atol=tolerance)


# ── scores ────────────────────────────────────────────────────────────────────────────────────

SCORED = {
    "gaussian": (sl.gaussian(0.5), LOGITS, normal(6, 4)),
    "gaussian by output": (sl.gaussian(torch.tensor([0.5, 1.0, 2.0, 4.0])), LOGITS, normal(6, 4)),
    "cross_entropy": (CrossEntropy(), LOGITS, CLASSES),
    "class probabilities": (CrossEntropy(), LOGITS, softmax(6, 4)),
    "an ignored datum": (CrossEntropy(), LOGITS, torch.full((6,), -100)),
    "pixels": (CrossEntropy(), PIXELS, LABELS.clamp(min=0)),
    "pixel probabilities": (CrossEntropy(), PIXELS, softmax(3, 4, 2, 2)),
    "ignored pixels": (CrossEntropy(), PIXELS, LABELS),
    "next_token": (NextToken(), normal(4, 3, 3), integers(3, 4, 3)),
    "tokens": (
        NextToken(unit="token", tokens_per_sequence=1.5),
        normal(4, 3, 3),
        integers(3, 4, 3),
    ),
}


@pytest.mark.parametrize("name", SCORED)
def test_the_second_moment_of_scores_is_the_hessian_in_the_outputs(name):
    # at most 256 entries at 5 standard errors: a false alarm once in 7 000 choices of the seed
    loss, outputs, target = SCORED[name]
    many = 20_000
    output = outputs[:1].double()

    def of_one(f):
        batch = target[:1] if isinstance(loss, NextToken) else (None, target[:1])
        return loss.values(f, batch, None).sum()

    hessian = torch.autograd.functional.hessian(of_one, output).reshape(2 * [output.numel()])
    repeated = target[:1].expand(many, *target.shape[1:])
    batch = repeated if isinstance(loss, NextToken) else (None, repeated)
    wide = output.expand(many, *output.shape[1:])
    generator = np.random.default_rng(0)
    scores = loss.score(
        wide, batch, lambda like: torch.from_numpy(generator.standard_normal(like.shape))
    )
    assert scores.shape == wide.shape
    products = torch.einsum("ki,kj->kij", *(2 * [scores.reshape(many, -1).double()]))
    error = products.std(0) / many**0.5
    assert bool(((products.mean(0) - hessian).abs() <= 5 * error + 1e-6).all())
    assert float(error.max()) < 0.03 * max(float(hessian.abs().max()), 1e-9)


def test_scores_of_padded_sequences_are_those_of_their_tokens():
    batch, _, counted = TOKENS["padded right"]
    logits = normal(4, 6, 7)
    score = NextToken().score(logits, batch, torch.ones_like)
    assert bool((score[:, -1] == 0).all())
    silent = ~(score != 0).any(-1)[:, :-1]
    assert torch.equal(silent, counted == 0)
    alone = NextToken().score(logits[2:3, :2], IDS[2:3, :2], torch.ones_like)
    assert torch.allclose(score[2, 0], alone[0, 0])


def test_functions_have_no_score():
    for loss in (OutputLoss(function=min), ModelLoss(function=min)):
        assert not loss.has_score
        with pytest.raises(TypeError, match="has no score"):
            loss.score(LOGITS, (X, CLASSES), torch.ones_like)


# ── what is refused ───────────────────────────────────────────────────────────────────────────


def test_outputs_are_found_in_what_models_return():
    named = SimpleNamespace(logits=LOGITS)
    for output in (LOGITS, named, {"logits": LOGITS}, (LOGITS, None), [LOGITS]):
        assert output_tensor(output) is LOGITS


@pytest.mark.parametrize("output", [None, {"scores": LOGITS}, (), ("text",), 3.0])
def test_an_output_without_a_prediction_is_named(output):
    with pytest.raises(
        TypeError, match=rf"the model returned {type(output).__name__}; wanted a tensor"
    ):
        output_tensor(output)


@pytest.mark.parametrize("key", ["labels", "label", "targets", "target"])
def test_targets_are_found_under_their_usual_names(key):
    inputs, target = split({"x": X, key: CLASSES})
    assert list(inputs) == ["x"]
    assert target is CLASSES


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda: as_loss("mse"), ValueError, r"unknown loss 'mse'; choose from \['cross_entropy'"),
        (lambda: as_loss(3), TypeError, "loss must be a name or a function, got int"),
        (lambda: as_loss(lambda output: output), TypeError, r"must take \(output, target\) or"),
        (lambda: sl.gaussian(0.0), ValueError, "sigma must be positive, got 0.0"),
        (lambda: sl.gaussian(torch.tensor([1.0, -1.0])), ValueError, "sigma must be positive"),
        (
            lambda: sl.gaussian("std"),
            ValueError,
            "a positive number, a tensor or 'residual', got 'std'",
        ),
        (
            lambda: sl.next_token("word"),
            ValueError,
            "unit must be 'sequence' or 'token', got 'word'",
        ),
        (lambda: Gaussian("residual").scale(), ValueError, "is resolved from the data first"),
        (
            lambda: values("gaussian", LOGITS[:, :1], CLASSES.float()),
            ValueError,
            r"needs targets of the outputs' shape \(6, 1\), got \(6,\)",
        ),
        (
            lambda: values("cross_entropy", LOGITS, CLASSES[:, None]),
            ValueError,
            r"class indices of shape \(6,\) or class probabilities of shape \(6, 4\), "
            r"got torch.int64 of \(6, 1\)",
        ),
        (
            lambda: values("cross_entropy", LOGITS, CLASSES.float()),
            ValueError,
            r"got torch.float32 of \(6,\)",
        ),
        (lambda: split((X, X, CLASSES)), ValueError, r"\(inputs, targets\), got tuple of 3"),
        (lambda: split(X), ValueError, r"\(inputs, targets\), got Tensor"),
        (lambda: split({"x": X}), ValueError, r"a mapping needs 'labels', got the keys \['x'\]"),
        (
            lambda: NextToken().values(normal(4, 7), IDS, None),
            ValueError,
            r"logits of shape \(batch, token, vocabulary\) = \(4, 6, …\), got \(4, 7\)",
        ),
        (
            lambda: NextToken().count({"ids": IDS}),
            ValueError,
            r"needs 'input_ids' in a batch, got .*'ids'",
        ),
        (lambda: NextToken().count((IDS, IDS, IDS)), ValueError, "got 3 parts"),
        (
            lambda: values(lambda f, y: F.mse_loss(f, f), LOGITS, CLASSES),
            ValueError,
            r"the loss returned a scalar; wanted one value per datum, shape \[6\]",
        ),
        (
            lambda: values(lambda f, y: f, LOGITS, CLASSES),
            ValueError,
            r"the loss returned shape \(6, 4\); wanted one value per datum, \[6\]",
        ),
        (
            lambda: values(lambda f, y: 3.0, LOGITS, CLASSES),
            TypeError,
            r"the loss must return a tensor of shape \[6\], got float",
        ),
    ],
)
def test_a_wrong_loss_says_what_is_wrong(unchecked, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
