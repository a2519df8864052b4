"""An attention-only transformer: the smallest language model with an interesting training history."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from singulab.zoo.initial import initialised


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a transformer; 3.1 million weights by default."""

    vocabulary: int = 5_000  # tokens
    context: int = 128  # longest sequence, tokens
    width: int = 256  # of the residual stream
    num_layers: int = 2
    num_heads: int = 8  # per layer; each has width/num_heads dimensions

    def __post_init__(self) -> None:
        if min(self.vocabulary, self.context, self.width, self.num_layers, self.num_heads) < 1:
            raise ValueError("All sizes of a transformer must be positive.")
        if self.width % self.num_heads:
            raise ValueError(
                f"width must be a multiple of num_heads, got {self.width} and {self.num_heads}."
            )


class Attention(nn.Module):
    """Causal self-attention. The fused projection holds queries, keys and values, each head by head."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, stream: Float[Tensor, "batch token width"]
    ) -> Float[Tensor, "batch token width"]:
        batch, tokens, width = stream.shape
        fused = self.query_key_value(stream).view(batch, tokens, 3, self.num_heads, -1)
        queries, keys, values = fused.permute(2, 0, 3, 1, 4).unbind(0)
        scores = queries @ keys.mT / math.sqrt(width // self.num_heads)
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=stream.device).triu(1)
        pattern = scores.masked_fill(future, -math.inf).softmax(dim=-1)
        mixed = (pattern @ values).transpose(1, 2).reshape(batch, tokens, width)
        return self.output(mixed)


class Block(nn.Module):
    """Layer norm and attention, added to the residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.num_heads)

    def forward(
        self, stream: Float[Tensor, "batch token width"]
    ) -> Float[Tensor, "batch token width"]:
        return stream + self.attention(self.norm(stream))


class AttentionOnlyTransformer(nn.Module):
    """Token and learned position embeddings, attention layers, layer norm, unembedding; no MLP."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.unembedding = nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(
        self, tokens: Int[Tensor, "batch token"]
    ) -> Float[Tensor, "batch token vocabulary"]:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        stream = self.token_embedding(tokens) + self.position_embedding(positions)
        for block in self.blocks:
            stream = block(stream)
        return self.unembedding(self.norm(stream))


def attention_only_transformer(
    config: TransformerConfig | None = None, *, seed: int = 0
) -> AttentionOnlyTransformer:
    """An attention-only transformer with initial weights drawn from ``seed``."""
    wanted = config or TransformerConfig()
    return initialised(lambda: AttentionOnlyTransformer(wanted), seed)
