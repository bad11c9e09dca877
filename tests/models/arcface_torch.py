"""arcface_torch's ``iresnet`` written naively, as its authors have it: the oracle of models to start from."""

import numpy as np
import torch
from torch import nn

IMAGES = torch.randint(0, 256, (2, 3, 112, 112), generator=torch.Generator().manual_seed(1)).float()


class Unit(nn.Module):
    """arcface_torch's IBasicBlock, under its names."""

    def __init__(self, inputs, outputs, stride, eps=1e-5):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=eps)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=eps)
        shortcut = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=eps))
        self.downsample = nn.Sequential(*shortcut) if stride > 1 else None

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """The whole network, of pixels that ``prepare`` makes of RGB 0..255."""

    def __init__(self, units=(2, 2, 2, 2), emb_size=512, eps=1e-5, prepare=lambda x: (x - 127.5) / 127.5):
        super().__init__()
        self.prepare = prepare
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=eps)
        self.prelu = nn.PReLU(64)
        for i, (inputs, outputs) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512))):
            stage = [Unit(inputs if k == 0 else outputs, outputs, 2 if k == 0 else 1, eps) for k in range(units[i])]
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.bn2 = nn.BatchNorm2d(512, eps=eps)
        self.fc = nn.Linear(512 * 49, emb_size)
        self.features = nn.BatchNorm1d(emb_size, eps=eps)

    def forward(self, images):
        x = self.prelu(self.bn1(self.conv1(self.prepare(images))))
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def make_iresnet(seed=0, **options):
    """One with lively statistics, in evaluation mode; the last scale is 1, as arcface_torch fixes it."""
    torch.manual_seed(seed)
    network = IResNet(**options).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "running_var" in name:
                tensor.uniform_(0.1, 2.0)
            elif "running_mean" in name or name.endswith("bias"):
                tensor.normal_(0, 0.1)
            elif tensor.ndim == 1 and name != "features.weight":
                tensor.uniform_(0.5, 1.5)
    return network


def embed(network, images=IMAGES):
    with torch.inference_mode():
        return network(images)


def apart(found, expected):
    """How far two sets of embeddings are apart, in shares of their norm; float32's rounding leaves some 1e-6."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
