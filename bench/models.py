"""The networks of lyapunov as PyTorch modules, built from the `[model]` table of a `config.toml`.

Parameters have the names and layouts of `weights.safetensors`, so `load_state_dict` takes that file as it is.
"""

import torch
from torch import nn

IMAGE_BYTES = 3 * 32 * 32
CLASSES = 10
RESIDUAL_BLOCKS = {"resnet18": 2, "resnet20": 3, "resnet32": 5, "resnet56": 9}
VGG_STAGES = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3)}


def build(model):
    """The network of a configuration, which takes images [examples, 3, 32, 32]."""
    assert model.get("dropout", 0) == 0, "PyTorch draws other dropout masks: compare a run without"
    name = model["name"]
    if name.startswith("resnet"):
        return ResNet(model)
    special = {"wide-resnet": WideResNet, "densenet": DenseNet, "vit-tiny": VisionTransformer, "mlp-mixer": Mixer}
    return special[name](model) if name in special else sequential(model)


def activation(model):
    names = {"leaky-relu": "LeakyReLU", "relu": "ReLU", "elu": "ELU", "gelu": "GELU", "silu": "SiLU"}
    return getattr(nn, names.get(model["activation"], model["activation"].capitalize()))()


def normalized(model, channels, batch_norm=nn.BatchNorm2d):
    """The normalisation of a configuration, or nothing."""
    kind = model.get("normalization", "none")
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return batch_norm(channels)
    return nn.GroupNorm({"layer": 1, "group": model.get("groups")}[kind], channels)


def convolution(model, inputs, outputs, kernel, stride=1):
    """A convolution of a residual or dense network: with a bias where nothing normalises."""
    bias = model.get("normalization", "none") == "none"
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


def mean(images):
    return torch.flatten(nn.functional.adaptive_avg_pool2d(images, 1), 1)


# Layers one after another.


def sequential(model):
    """Perceptrons, plain convolutional networks, VGG."""
    pooling = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[model.get("pooling", "max")]

    def activated(channels, batch_norm):
        norm = normalized(model, channels, batch_norm)
        return [activation(model)] if isinstance(norm, nn.Identity) else [norm, activation(model)]

    sizes = [IMAGE_BYTES, *model["widths"]]
    if model["name"] in ("linear", "deep-linear"):
        return Flat(*(nn.Linear(inputs, outputs) for inputs, outputs in zip(sizes, [*sizes[1:], CLASSES])))
    layers, inputs = [], 3
    if model["name"] == "mlp":
        for inputs, outputs in zip(sizes, sizes[1:]):
            layers += [nn.Linear(inputs, outputs), *activated(outputs, nn.BatchNorm1d)]
        return Flat(*layers, nn.Linear(sizes[-1], CLASSES))
    stages = VGG_STAGES.get(model["name"], [1] * len(model["widths"]))
    for count, outputs in zip(stages, model["widths"]):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), *activated(outputs, nn.BatchNorm2d)]
            inputs = outputs
        layers.append(pooling(2))
    pixels = (32 >> len(stages)) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * pixels, CLASSES))


class Flat(nn.Sequential):
    """Layers on images that are flat already."""

    def forward(self, images):
        return super().forward(images.flatten(1))


# Residual networks.


class Block(nn.Module):
    def __init__(self, model, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(model, inputs, outputs, 3, stride), normalized(model, outputs)
        self.conv2, self.bn2 = convolution(model, outputs, outputs, 3), normalized(model, outputs)
        self.activation, more = activation(model), outputs - inputs
        kind = model.get("shortcut", "projected" if model["name"] == "resnet18" else "padded")
        if kind == "projected":
            projection = convolution(model, inputs, outputs, 1, stride), normalized(model, outputs)
            self.shortcut = nn.Sequential(*projection) if stride > 1 or more else nn.Sequential()
        else:
            padding = (0, 0, 0, 0, more // 2, more - more // 2)
            self.shortcut = lambda x: nn.functional.pad(x[:, :, ::stride, ::stride], padding)

    def forward(self, x):
        body = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        return self.activation(body + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, model):
        super().__init__()
        widths, blocks = model["widths"], RESIDUAL_BLOCKS[model["name"]]
        self.conv1, self.bn1 = convolution(model, 3, widths[0], 3), normalized(model, widths[0])
        self.activation, self.stages = activation(model), len(widths)
        for stage, (inputs, outputs) in enumerate(zip([widths[0], *widths], widths), 1):
            first = Block(model, inputs, outputs, 1 if stage == 1 else 2)
            rest = (Block(model, outputs, outputs, 1) for _ in range(blocks - 1))
            setattr(self, f"layer{stage}", nn.Sequential(first, *rest))
        self.linear = nn.Linear(widths[-1], CLASSES)

    def forward(self, x):
        x = self.activation(self.bn1(self.conv1(x)))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.linear(mean(x))


class Layered(nn.Module):
    """Layers under the name `layer`, as the usual wide and dense networks have them."""

    def __init__(self, layers):
        super().__init__()
        self.layer = nn.Sequential(*layers)

    def forward(self, x):
        return self.layer(x)


class WideBlock(nn.Module):
    def __init__(self, model, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = normalized(model, inputs), convolution(model, inputs, outputs, 3, stride)
        self.bn2, self.conv2 = normalized(model, outputs), convolution(model, outputs, outputs, 3)
        self.activation, self.same = activation(model), stride == 1 and inputs == outputs
        if not self.same:
            self.convShortcut = convolution(model, inputs, outputs, 1, stride)

    def forward(self, x):
        before = self.activation(self.bn1(x))
        body = self.conv2(self.activation(self.bn2(self.conv1(before))))
        return body + (x if self.same else self.convShortcut(before))


class WideResNet(nn.Module):
    def __init__(self, model):
        super().__init__()
        first, *stages = model["widths"]
        blocks = (model["depth"] - 4) // 6
        self.conv1 = convolution(model, 3, first, 3)
        for stage, (inputs, outputs) in enumerate(zip([first, *stages], stages), 1):
            head = WideBlock(model, inputs, outputs, 1 if stage == 1 else 2)
            rest = (WideBlock(model, outputs, outputs, 1) for _ in range(blocks - 1))
            setattr(self, f"block{stage}", Layered([head, *rest]))
        self.bn1, self.activation = normalized(model, stages[-1]), activation(model)
        self.fc = nn.Linear(stages[-1], CLASSES)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(mean(self.activation(self.bn1(x))))


# Densely connected networks.


class Activated(nn.Module):
    """A convolution behind its normalisation and activation."""

    def __init__(self, model, inputs, outputs, kernel):
        super().__init__()
        self.bn1, self.activation = normalized(model, inputs), activation(model)
        self.conv1 = convolution(model, inputs, outputs, kernel)

    def forward(self, x):
        return self.conv1(self.activation(self.bn1(x)))


class DenseLayer(Activated):
    def forward(self, x):
        return torch.cat([x, super().forward(x)], 1)


class DenseNet(nn.Module):
    def __init__(self, model):
        super().__init__()
        channels, growth = model["widths"]
        self.conv1 = convolution(model, 3, channels, 3)
        for block in (1, 2, 3):
            layers = []
            for _ in range((model["depth"] - 4) // 3):
                layers.append(DenseLayer(model, channels, growth, 3))
                channels += growth
            setattr(self, f"block{block}", Layered(layers))
            if block < 3:
                setattr(self, f"trans{block}", Activated(model, channels, channels, 1))
        self.bn1, self.activation = normalized(model, channels), activation(model)
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = nn.functional.avg_pool2d(self.trans1(self.block1(self.conv1(x))), 2)
        x = nn.functional.avg_pool2d(self.trans2(self.block2(x)), 2)
        return self.fc(mean(self.activation(self.bn1(self.block3(x)))))


# Networks of tokens, with the names of the package timm.


class Embedding(nn.Module):
    def __init__(self, width, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images):
        return self.proj(images).flatten(2).transpose(1, 2)


class Perceptron(nn.Module):
    def __init__(self, model, width, hidden):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, hidden), activation(model), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x):
        examples, tokens, width = x.shape
        parts = self.qkv(x).reshape(examples, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(*parts)
        return self.proj(seen.transpose(1, 2).reshape(examples, tokens, width))


class TransformerBlock(nn.Module):
    def __init__(self, model, width, hidden):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, model["heads"])
        self.norm2, self.mlp = nn.LayerNorm(width), Perceptron(model, width, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, model):
        super().__init__()
        width, hidden = model["widths"]
        self.patch_embed = Embedding(width, model["patch"])
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (32 // model["patch"]) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(TransformerBlock(model, width, hidden) for _ in range(model["depth"])))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, images):
        tokens = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), tokens], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class MixerBlock(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, across_tokens, across_features = model["widths"]
        self.norm1, self.mlp_tokens = nn.LayerNorm(width), Perceptron(model, tokens, across_tokens)
        self.norm2, self.mlp_channels = nn.LayerNorm(width), Perceptron(model, width, across_features)

    def forward(self, x):
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, model):
        super().__init__()
        width, tokens = model["widths"][0], (32 // model["patch"]) ** 2
        self.stem = Embedding(width, model["patch"])
        self.blocks = nn.Sequential(*(MixerBlock(model, tokens) for _ in range(model["depth"])))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, images):
        return self.head(self.norm(self.blocks(self.stem(images))).mean(1))
