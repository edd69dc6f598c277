"""Small networks with everything that a recorder could disturb."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset

from conftest import SmallNet, batches


class Restless(SmallNet):
    """A net with everything a probe could disturb: BatchNorm, Dropout, a buffer of its own,
    a module frozen in eval mode, and random numbers of three kinds in its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.frozen = nn.BatchNorm2d(2)
        self.frozen.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        noise = torch.rand(()) + random.random() + np.random.rand()
        return super().forward(self.frozen(x) + 0.01 * noise)

    def train(self, mode: bool = True) -> "Restless":
        super().train(mode)
        self.frozen.eval()
        return self


class Augmented(Dataset):
    """Items that draw from all three generators."""

    def __init__(self, n: int, seed: int) -> None:
        self.inputs, self.labels = batches(n, seed=seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        jitter = torch.rand(()) * 0.1 + random.random() * 0.1 + np.random.rand() * 0.1
        return self.inputs[i] + jitter, int(self.labels[i])


class Functional(nn.Module):
    """Activation functions in every spelling, some in place, and a residual join."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.again = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        x = (x + self.again(x)).relu_()
        x = torch.tanh(F.gelu(x)).mean((2, 3))
        return self.head(F.dropout(F.silu(self.fc(x), inplace=True), 0.2, self.training))


class Checkpointed(SmallNet):
    """Its middle, dropout and BatchNorm included, is run again in the backward."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant

    def middle(self, x: Tensor) -> Tensor:
        return self.drop(self.relu1(self.norm(self.conv(x))).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.reentrant:
            x = x.requires_grad_()
        x = checkpoint(self.middle, x, use_reentrant=self.reentrant)
        x = checkpoint(lambda x: self.relu2(self.fc(x)), x, use_reentrant=self.reentrant)
        return self.head(x)


class Recurrent(nn.Module):
    """Tokens [sample, time, 5] through an LSTM."""

    def __init__(self, *, packed: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, num_layers=2, batch_first=True, dropout=0.2)
        self.relu, self.head = nn.ReLU(), nn.Linear(6, 3)
        self.packed = packed

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.packed:
            if lengths is None:
                lengths = torch.full((len(x),), x.shape[1])
            given, _ = self.lstm(pack_padded_sequence(x, lengths, True, enforce_sorted=False))
            x, _ = pad_packed_sequence(given, batch_first=True)
        else:
            x, _ = self.lstm(x)
        return self.head(self.relu(x).mean(1))


class Reader(nn.Module):
    """Token ids under an attention mask → nn.TransformerEncoder → logits in a dict."""

    def __init__(self, *, max_norm: float | None = None) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8, padding_idx=0, max_norm=max_norm)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.tanh, self.head = nn.Tanh(), nn.Linear(8, 3)

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        x = self.encoder(self.words(tokens), src_key_padding_mask=attention_mask == 0)
        weights = attention_mask[:, :, None].float()
        x = (self.tanh(x) * weights).sum(1) / weights.sum(1)
        return {"logits": self.head(x), "hidden": x}


class Attentive(nn.Module):
    """Own transformer block: nn.MultiheadAttention beside functional activations."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, 8, 2, 2)
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.head((x + F.gelu(self.fc(x))).mean(1))


class Heads(nn.Module):
    """Two labels' worth of logits: several classes per sample; and parts in a tuple."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Linear(4, outputs)

    def forward(self, x: Tensor) -> Any:
        x = self.relu(self.conv(x)).mean((2, 3))
        return self.head(x).squeeze(1)


def tokens(n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Ids [n, 7], mask [n, 7] with paddings of every length, labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    ids = torch.randint(1, 20, (n, 7), generator=generator)
    ids[:, 0] = labels + 1
    mask = (torch.arange(7)[None] < 2 + (torch.arange(n) % 6)[:, None]).long()
    return ids * mask, mask, labels


def sequences(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """[n, 4, 5] that carry their labels, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    return torch.randn(n, 4, 5, generator=generator) + labels[:, None, None] * 0.5, labels
