"""Small models of many kinds, whose layer graphs are written out by hand in test_graph.py."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    """A basic block with module activations and `out += identity`."""

    def __init__(self, wide_in: int, wide: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide_in, wide, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.downsample: nn.Module | None = None
        if stride != 1 or wide_in != wide:
            self.downsample = nn.Sequential(
                nn.Conv2d(wide_in, wide, 1, stride, bias=False), nn.BatchNorm2d(wide)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class FunctionalBlock(Block):
    """The same with functional activations and `a + b`."""

    def __init__(self, wide_in: int, wide: int, stride: int = 1) -> None:
        super().__init__(wide_in, wide, stride)
        del self.relu

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Stem, one plain block, one with downsampling."""

    def __init__(self, block: type[Block] = Block, depth: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(*(block(4, 4) for _ in range(depth)))
        self.layer2 = nn.Sequential(block(4, 8, 2), *(block(8, 8) for _ in range(depth - 1)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.pool(x), 1))


class Attention(nn.Module):
    """Attention written by hand, with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / (d // self.heads) ** 0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, t, d))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class ViTBlock(nn.Module):
    def __init__(self, width: int, own: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = (
            Attention(width, 2) if own else nn.MultiheadAttention(width, 2, batch_first=True)
        )
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        h = self.attn(h) if isinstance(self.attn, Attention) else self.attn(h, h, h)[0]
        x = x + self.scale * h
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Pre-norm, with a class token, position embeddings that broadcast, and layer scale."""

    def __init__(self, depth: int = 2, own: bool = True, width: int = 8) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.pos = nn.Parameter(torch.zeros(1, 5, width))
        self.blocks = nn.ModuleList(ViTBlock(width, own) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class LSTMClassifier(nn.Module):
    """Embedding, two LSTMs, attention pooling over time with the padding masked out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.position = nn.Embedding(7, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=True)
        self.upper = nn.LSTM(16, 8, batch_first=True)
        self.score = nn.Linear(8, 1)
        self.fc = nn.Linear(16, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        where = torch.arange(ids.shape[1], device=ids.device)
        x = self.embed(ids) + self.position(where)
        x, _ = self.lstm(x)
        x, (state, _) = self.upper(x)
        scores = torch.tanh(self.score(x)).squeeze(-1).masked_fill(ids == 0, -1e9)
        pooled = (scores.softmax(1).unsqueeze(-1) * x).sum(1)
        return self.out(F.relu(self.fc(torch.cat([pooled, state[-1]], 1))))


class Branching(nn.Module):
    """Which way it takes depends on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.left = nn.Linear(6, 6)
        self.right = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.stem(x))
        if x.sum() > 0:
            h = h + torch.tanh(self.left(h))
        else:
            for _ in range(2):
                h = F.silu(self.right(h))
        return self.head(h)


class DenseLayer(nn.Module):
    def __init__(self, wide_in: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(wide_in)
        self.conv = nn.Conv2d(wide_in, 3, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.conv(F.relu(self.norm(torch.cat(features, 1)), inplace=True))


class DenseNet(nn.Module):
    """Each layer sees all before it, in a list that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleList(DenseLayer(4 + 3 * i) for i in range(3))
        self.relu = nn.ReLU()
        self.fc = nn.Linear(13, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        return self.fc(self.relu(torch.cat(features, 1)).mean((2, 3)))


class UNet(nn.Module):
    """Skips by concatenation, and one around everything; the pooled map gives the class."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 4, 3, padding=1)
        self.down2 = nn.Conv2d(4, 6, 3, padding=1)
        self.middle = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 6, 2, 2)
        self.up2 = nn.Conv2d(12, 4, 3, padding=1)
        self.up1 = nn.Conv2d(8, 4, 3, padding=1)
        self.last = nn.Conv2d(7, 5, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(self.pool(a)))
        c = F.relu(self.middle(self.pool(b)))
        d = F.relu(self.up2(torch.cat((b, self.up(c)), dim=1)))
        up = F.interpolate(d, scale_factor=2.0, mode="bilinear", align_corners=False)
        e = F.relu(self.up1(torch.cat((a, up), dim=1)))
        return self.last(torch.cat([e, x], 1)).amax((2, 3))


class SqueezeExcite(nn.Module):
    """A gate made from the channels' means."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(wide, 2, 1)
        self.act = nn.SiLU(inplace=True)
        self.fc2 = nn.Conv2d(2, wide, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.act(self.fc1(self.pool(x)))))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.se = SqueezeExcite(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.conv1(x))
        z = self.conv2(self.se(y))
        return self.fc((y + z).mean((2, 3)))


class Encoder(nn.Module):
    """nn.TransformerEncoder, whose layers have a fused path that hooks turn off."""

    def __init__(self, norm_first: bool = False, depth: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, batch_first=True, norm_first=norm_first, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=not norm_first)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        return self.head(self.encoder(self.embed(x), src_key_padding_mask=padding).mean(1))


class Forward(nn.Module):
    """A model whose forward is a function of the model and its input."""

    def __init__(self, function: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


class Checkpointed(nn.Module):
    """A residual block under activation checkpointing."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.stem = nn.Linear(4, 6)
        self.inner = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def block(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.inner(x))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        return self.head(checkpoint(self.block, x, use_reentrant=self.reentrant))
