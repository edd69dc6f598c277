"""The demo's network: two residual blocks with BatchNorm, two linear layers. Nothing of huelapse."""

from torch import Tensor, nn


class Block(nn.Module):
    """conv - norm - relu - conv - norm, joined with a 1×1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.join = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        return self.join(self.norm2(self.conv2(y)) + self.shortcut(x))


class FashionNet(nn.Module):
    """[B, 1, 28, 28] → logits [B, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(2)
        self.block1 = Block(16, 24)
        self.block2 = Block(24, 48)
        self.conv3 = nn.Sequential(
            nn.Conv2d(48, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.fc1 = nn.Sequential(nn.Linear(64 * 9, 128), nn.ReLU())
        self.fc2 = nn.Sequential(nn.Linear(128, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.stem(x))
        x = self.pool(self.block1(x))
        x = self.conv3(self.pool(self.block2(x)))
        return self.head(self.fc2(self.fc1(x.flatten(1))))
