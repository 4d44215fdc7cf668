"""ShuffleNetV2 x1.0 in PyTorch, to compare trainings with: torchvision's network and names."""

from typing import Any

import numpy as np
import torch
from torch import nn

UNITS, CHANNELS, STEM, LAST = (4, 8, 4), (116, 232, 464), 24, 1024
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Unit(nn.Module):
    """A unit of ShuffleNetV2 with torchvision's names of parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.stride = stride

        def conv(a: int, b: int, size: int = 1, step: int = 1, groups: int = 1) -> list[nn.Module]:
            padding = size // 2
            layer = nn.Conv2d(a, b, size, step, padding, groups=groups, bias=False)
            return [layer, nn.BatchNorm2d(b)]

        def act() -> nn.Module:
            return nn.ReLU(inplace=True)

        if stride == 2:
            first = [*conv(inputs, inputs, 3, 2, inputs), *conv(inputs, half), act()]
            self.branch1 = nn.Sequential(*first)
        self.branch2 = nn.Sequential(
            *[*conv(inputs if stride == 2 else half, half), act()],
            *conv(half, half, 3, stride, half),
            *[*conv(half, half), act()],
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maps of (N, C, H, W)."""
        kept, y = (self.branch1(x), x) if self.stride == 2 else x.chunk(2, dim=1)
        x = torch.cat([kept, self.branch2(y)], dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 x1.0 with torchvision's names of parameters, from images 0..255 to logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)
        self.conv1 = nn.Sequential(*stem)
        inputs = STEM
        for number, (outputs, units) in enumerate(zip(CHANNELS, UNITS, strict=True), start=2):
            first = Unit(inputs, outputs, 2)
            rest = [Unit(outputs, outputs, 1) for _ in range(units - 1)]
            setattr(self, f"stage{number}", nn.Sequential(first, *rest))
            inputs = outputs
        last = nn.Conv2d(inputs, LAST, 1, bias=False), nn.BatchNorm2d(LAST), nn.ReLU(inplace=True)
        self.conv5 = nn.Sequential(*last)
        self.fc = nn.Linear(LAST, classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of (N, 3, H, W)."""
        x = self.conv1((x - self.mean) / self.std)
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean((2, 3)))


def as_torch(images: np.ndarray) -> torch.Tensor:
    """Return images (N, 3, H, W), channels last in memory, which are the array's."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def torch_step(
    network: nn.Module, optimizer: Any, images: torch.Tensor, true: torch.Tensor
) -> None:
    """Take a step of training."""
    optimizer.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(network(images), true).backward()
    optimizer.step()


def pretrained(state: dict[str, np.ndarray], classes: int) -> ShuffleNetV2:
    """Return the network with all weights but those of the classifier."""
    network = ShuffleNetV2(classes).to(memory_format=torch.channels_last)
    own = {name: torch.from_numpy(v) for name, v in state.items() if not name.startswith("fc.")}
    missing, unexpected = network.load_state_dict(own, strict=False)
    if unexpected or any("fc." not in name and "num_batches" not in name for name in missing):
        raise ValueError(f"The weights must be torchvision's. Received: {missing}, {unexpected}")
    return network
