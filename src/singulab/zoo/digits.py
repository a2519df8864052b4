"""Handwritten digits that ship with scikit-learn: 1 797 images of 8×8 pixels, ten classes."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from singulab.errors import MissingExtraError
from singulab.zoo.initial import initialised

_TEST_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Digits:
    """A fixed split; pixels are standardised by the training images."""

    train_inputs: Float[Tensor, "train 64"]
    train_labels: Int[Tensor, " train"]
    test_inputs: Float[Tensor, "test 64"]
    test_labels: Int[Tensor, " test"]

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """What ``measure(data=…)`` takes."""
        return self.train_inputs, self.train_labels

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """Held out."""
        return self.test_inputs, self.test_labels


def digits(*, shuffled_labels: bool = False, seed: int = 0) -> Digits:
    """The digits with 1 438 training and 359 test images.

    Shuffling permutes the training labels among the training images: each class keeps its share, and all that
    can be learned is by heart. Test labels stay true.

    Args:
        shuffled_labels: memorise instead of generalise.
        seed: of the split and of the permutation.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", extra="demo") from error
    pixels, classes = load_digits(return_X_y=True)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(pixels))
    pixels, classes = pixels[order], classes[order]
    num_train = len(pixels) - int(_TEST_SHARE * len(pixels))
    mean, deviation = pixels[:num_train].mean(axis=0), pixels[:num_train].std(axis=0)
    # Pixels at the rim are always white: their deviation is 0.
    inputs = torch.from_numpy((pixels - mean) / np.where(deviation > 0, deviation, 1.0)).float()
    inputs = inputs.clamp(-5.0, 5.0)
    labels = torch.from_numpy(classes.astype(np.int64))
    train_labels = labels[:num_train]
    if shuffled_labels:
        train_labels = train_labels[torch.from_numpy(generator.permutation(num_train))]
    return Digits(
        train_inputs=inputs[:num_train],
        train_labels=train_labels,
        test_inputs=inputs[num_train:],
        test_labels=labels[num_train:],
    )


def multilayer_perceptron(
    widths: Sequence[int] = (64, 64, 32, 10), *, seed: int = 0
) -> nn.Sequential:
    """Linear layers with tanh between them; 6 570 weights at the default widths.

    Args:
        widths: from the inputs to the logits, at least two.
        seed: of the initial weights.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths needs two or more positive numbers, got {tuple(widths)}.")

    def build() -> nn.Sequential:
        layers: list[tuple[str, nn.Module]] = []
        for index, (below, above) in enumerate(pairwise(widths)):
            if index > 0:
                layers.append((f"tanh{index}", nn.Tanh()))
            layers.append((f"linear{index + 1}", nn.Linear(below, above)))
        return nn.Sequential(OrderedDict(layers))

    return initialised(build, seed)
