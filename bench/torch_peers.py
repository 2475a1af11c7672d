"""λ_max by lyapunov and by the other packages for PyTorch: what it costs, and what each gives on models that break
things.

    pip install --no-deps pyhessian curvlinops-for-pytorch hessian-eigenthings backpack-for-pytorch
    pip install einops einconv unfoldNd
    pip install crates/lyapunov-python numpy scipy
    python bench/torch_peers.py [--cost] [--breaks] [--models NAME …] [--cifar FOLDER] [--rounds 3]

Models of the table of costs are trained for a while first (--train). Costs are seconds of the processor on one thread
over those of one forward and backward pass of the same 128 images, the least of a few rounds in which all tools take
turns; errors are against double backward and `eigsh` in double precision. Where lyapunov chooses another matrix than
the Hessian, its kind is shown: Gauss–Newton leaves the second derivative of the network out. A package that is not
installed is left out.
"""

import argparse
import contextlib
import copy
import importlib
import io
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.utils.checkpoint import checkpoint

import lyapunov

warnings.simplefilter("ignore")
torch.set_num_threads(1)


# ---- models
# ------------------------------------------------------------------------------------------------------------------


def mlp(activation=nn.ReLU, dropout=0.0):
    layers = [
        nn.Flatten(),
        nn.Linear(3072, 200),
        activation(),
        nn.Dropout(dropout),
        nn.Linear(200, 200),
        activation(),
        nn.Linear(200, 10),
    ]
    return nn.Sequential(*layers)


def cnn():
    convolution = lambda a, b: [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()]
    return nn.Sequential(
        *convolution(3, 16),
        nn.MaxPool2d(2),
        *convolution(16, 32),
        nn.MaxPool2d(2),
        *convolution(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a, self.na = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.b, self.nb = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.short = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x):
        return F.relu(self.short(x) + self.nb(self.b(F.relu(self.na(self.a(x))))))


def resnet18():
    """ResNet-18 with the stem of ImageNet: 11.2 million weights."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks = [
        Residual(a, b, s)
        for a, b, s in (
            (64, 64, 1),
            (64, 64, 1),
            (64, 128, 2),
            (128, 128, 1),
            (128, 256, 2),
            (256, 256, 1),
            (256, 512, 2),
            (512, 512, 1),
        )
    ]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(48, 32)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True), 2, enable_nested_tensor=False
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(len(x), 64, 48)
        return self.head(self.encoder(self.embed(patches)).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(96, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.lstm(x.permute(0, 2, 1, 3).reshape(len(x), 32, 96))[0][:, -1])


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


class Square(nn.Module):
    def __init__(self, once):
        super().__init__()
        self.once, self.a, self.b = once, nn.Linear(3072, 32), nn.Linear(32, 10)

    def forward(self, x):
        z = self.a(x.flatten(1))
        return self.b(Once.apply(z) if self.once else z * z)


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.reentrant, self.b = reentrant, nn.Linear(64, 10)
        self.a = nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())

    def forward(self, x):
        if self.reentrant is None:
            return self.b(self.a(x))
        return self.b(checkpoint(self.a, x.detach().requires_grad_(True), use_reentrant=self.reentrant))


def normalized():
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


# ---- tools: (model, batch) → (value, products), and the kind of products where the tool says it
# ------------------------------------------------------------------------------------------


def ours(tolerance):
    def run(model, batch):
        found = lyapunov.hessian(model, F.cross_entropy, batch).lambda_max(tolerance)
        return found.value, found.products, found.kind

    return run


def pyhessian(model, batch):
    counted = importlib.import_module("pyhessian.hessian")
    products, plain = [0], counted.hessian_vector_product

    def count(*a):
        products[0] += 1
        return plain(*a)

    counted.hessian_vector_product = count
    try:
        return counted.hessian(model, nn.CrossEntropyLoss(), data=batch, cuda=False).eigenvalues()[0][0], products[0]
    finally:
        counted.hessian_vector_product = plain


def by_eigsh(product, n, tolerance=1e-3):
    products = [0]

    def matvec(v):
        products[0] += 1
        return product(torch.from_numpy(np.asarray(v, dtype=np.float32).reshape(-1).copy()))

    operator = LinearOperator((n, n), matvec=matvec, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    return float(eigsh(operator, k=1, which="LA", tol=tolerance, v0=start, return_eigenvectors=False)[0]), products[0]


def curvlinops(model, batch):
    made = importlib.import_module("curvlinops").HessianLinearOperator(
        model, nn.CrossEntropyLoss(), list(model.parameters()), [batch]
    )
    return by_eigsh(lambda v: (made @ v).detach().numpy(), sum(p.numel() for p in model.parameters()))


def eigenthings(model, batch):
    package = importlib.import_module("hessian_eigenthings")
    operator = package.HessianOperator(model, [batch], package.supervised_loss(F.cross_entropy))
    found = package.lanczos(operator, k=1, max_iter=20, which="LA", seed=0)
    return float(found.eigenvalues[0]), 20


def backpack(model, batch):
    hvp = importlib.import_module("backpack.hessianfree.hvp").hessian_vector_product
    params = list(model.parameters())
    shapes = [p.shape for p in params]

    def product(v):
        parts = [x.view(s) for x, s in zip(torch.split(v, [p.numel() for p in params]), shapes)]
        return (
            torch.cat([h.reshape(-1) for h in hvp(F.cross_entropy(model(batch[0]), batch[1]), params, parts)])
            .detach()
            .numpy()
        )

    return by_eigsh(product, sum(p.numel() for p in params))


TOOLS = {
    "lyapunov .05": ours(0.05),
    "lyapunov 1e-3": ours(1e-3),
    "PyHessian": pyhessian,
    "curvlinops + eigsh": curvlinops,
    "hessian-eigenthings 20": eigenthings,
    "BackPACK + eigsh": backpack,
}
PACKAGES = {
    "PyHessian": "pyhessian",
    "curvlinops + eigsh": "curvlinops",
    "hessian-eigenthings 20": "hessian_eigenthings",
    "BackPACK + eigsh": "backpack",
}


# ---- measuring
# ------------------------------------------------------------------------------------------------------------------


def truth(model, batch):
    """By double backward and a Lanczos of another kind, in double precision; attention and compilation by their plain
    forms.
    """
    twin = copy.deepcopy(getattr(model, "_orig_mod", model)).double()
    params = [p for p in twin.parameters() if p.requires_grad]
    n = sum(p.numel() for p in params)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = F.cross_entropy(twin(batch[0].double()), batch[1])
        gradients = torch.autograd.grad(loss, params, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in gradients])

    def product(v):
        image = torch.autograd.grad(flat, params, torch.from_numpy(np.asarray(v).reshape(-1).copy()), retain_graph=True)
        return torch.cat([h.reshape(-1) for h in image]).numpy()

    return float(
        eigsh(
            LinearOperator((n, n), matvec=product, dtype=np.float64),
            k=1,
            which="LA",
            tol=1e-9,
            v0=flat.detach().numpy(),
            return_eigenvectors=False,
        )[0]
    )


def one_gradient(model, batch):
    for p in model.parameters():
        p.grad = None
    begun = time.process_time()
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    return time.process_time() - begun


@contextlib.contextmanager
def put_back(model):
    """Modes, buffers, gradients and the generator as they were; says what the tool had left behind."""
    training, buffers, drawn = model.training, [b.clone() for b in model.buffers()], torch.get_rng_state()
    left = []
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield left
    finally:
        if model.training != training:
            left.append("mode left changed")
        if not torch.equal(torch.get_rng_state(), drawn):
            left.append("generator moved")
        if not all(torch.equal(a, b) for a, b in zip(model.buffers(), buffers)):
            left.append("buffers moved")
        model.train(training)
        torch.set_rng_state(drawn)
        for b, saved in zip(model.buffers(), buffers):
            b.data.copy_(saved)
        for p in model.parameters():
            p.grad = None


def installed():
    def there(name):
        try:
            importlib.import_module(PACKAGES[name])
        except ImportError:
            return False
        return True

    return {name: tool for name, tool in TOOLS.items() if name not in PACKAGES or there(name)}


def batch_of(n, folder):
    if folder is None:
        g = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 10, (n,), generator=g)
        return torch.randn(10, 3, 32, 32, generator=g)[labels] + torch.randn(n, 3, 32, 32, generator=g), labels
    raw = np.fromfile(f"{folder}/data_batch_1.bin", dtype=np.uint8).reshape(-1, 3073)[:n]
    x = torch.from_numpy(raw[:, 1:].astype(np.float32) / 255).view(-1, 3, 32, 32)
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])
    return (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1), torch.from_numpy(raw[:, 0].astype(np.int64))


def cost(name, make, images, rounds, steps):
    torch.manual_seed(0)
    model, batch = make().train(), tuple(t[:128] for t in images)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        i = torch.randint(0, len(images[1]), (128,))
        optimizer.zero_grad()
        F.cross_entropy(model(images[0][i]), images[1][i]).backward()
        optimizer.step()
    exact = truth(model, batch)
    found, seconds, unit = {}, {}, float("inf")
    tools = installed()
    for _ in range(rounds):
        for tool, run in tools.items():
            unit = min(unit, one_gradient(model, batch))
            if isinstance(found.get(tool), str):
                continue
            with put_back(model):
                begun = time.process_time()
                try:
                    found[tool] = run(model, batch)
                except Exception as error:
                    found[tool] = f"{type(error).__name__}"
                    continue
                seconds[tool] = min(seconds.get(tool, float("inf")), time.process_time() - begun)
    for tool in tools:
        result = found[tool]
        shown = (
            result
            if isinstance(result, str)
            else f"{seconds[tool] / unit:.1f}, {result[0] / exact - 1:+.0e} ({result[1]})"
        )
        print(f"| {name} | {tool} | {shown} |", flush=True)


def breaks(name, make, plain, batch):
    torch.manual_seed(0)
    model = make().train()
    torch.manual_seed(0)
    reference = (plain or make)().train()
    torch.manual_seed(9)
    exact = truth(reference, batch)
    for tool, run in installed().items():
        if tool == "lyapunov .05":
            continue
        torch.manual_seed(9)
        with put_back(model) as left:
            try:
                value, _, *kind = run(model, batch)
                shown = f"{value / exact - 1:+.0e}" + "".join(f", {k}" for k in kind if k != "exact")
            except Exception as error:
                shown = (
                    f"{type(error).__name__}: {str(error).strip().splitlines()[0][:70] if str(error).strip() else ''}"
                )
        print(f"| {name} | {tool} | {shown}{'; ' + ', '.join(left) if left else ''} |", flush=True)


def tracking(name, make, images, steps, every):
    """λ_max of the batch followed along gradient descent: what it costs per step, and how far it is off."""
    torch.manual_seed(0)
    model = make().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = lyapunov.Monitor(model, F.cross_entropy, optimizer, every=every, what=["lambda_max"])
    first, seconds, units, errors = 0.0, 0.0, [], []
    for step in range(steps):
        i = torch.randint(0, len(images[1]), (128,))
        batch = (images[0][i], images[1][i])
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        begun = time.process_time()
        row = monitor.step(batch)
        spent = time.process_time() - begun
        first, seconds = (spent, 0.0) if step == 0 else (first, seconds + spent)
        if row is not None:
            exact = lyapunov.hessian(model, F.cross_entropy, batch).lambda_max(1e-4).value
            errors.append(abs(row["lambda_max"].value / exact - 1))
            units.append(one_gradient(model, batch))
        optimizer.step()
    unit = np.median(units)
    middle, high = np.quantile(errors[1:], [0.5, 0.9])
    print(
        f"| {name} | {every} | {seconds / unit / (steps - 1):.3f} | {first / unit:.0f} | {100 * middle:.2g} | "
        f"{100 * high:.2g} | {len(errors) - 1} |",
        flush=True,
    )


COSTS = {"MLP relu": mlp, "MLP tanh": lambda: mlp(nn.Tanh), "CNN": cnn, "ResNet-18 BN": resnet18}
BREAKS = {
    "batch norm in train mode": (normalized, None),
    "dropout": (lambda: mlp(nn.Tanh, 0.2), None),
    "SDPA encoder": (Encoder, None),
    "LSTM": (Recurrent, None),
    "compiled": (lambda: torch.compile(mlp(nn.Tanh)), None),
    "once_differentiable": (lambda: Square(True), lambda: Square(False)),
    "reentrant checkpointing": (lambda: Checkpointed(True), lambda: Checkpointed(None)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", action="store_true", help="only the table of costs")
    parser.add_argument("--tracking", action="store_true", help="only the table of λ_max along a run")
    parser.add_argument("--breaks", action="store_true", help="only the table of models that break things")
    parser.add_argument("--models", nargs="*", help="only these")
    parser.add_argument("--tools", nargs="*", help="only these")
    parser.add_argument("--cifar", help="the folder of data_batch_1.bin; made-up images without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", type=int, default=200, help="steps of gradient descent before costs are measured")
    arguments = parser.parse_args()
    for name in [name for name in TOOLS if arguments.tools and name not in arguments.tools]:
        del TOOLS[name]
    wanted = lambda table: {k: v for k, v in table.items() if not arguments.models or k in arguments.models}
    every_table = not (arguments.cost or arguments.breaks or arguments.tracking)
    if arguments.cost or every_table:
        print("| model | tool | cost in gradients, error in λ_max (products) |\n|---|---|---|")
        for name, make in wanted(COSTS).items():
            cost(name, make, batch_of(5000, arguments.cifar), arguments.rounds, arguments.train)
    if arguments.tracking or every_table:
        print("\n| model | every | gradients per step | first reading | median error, % | 90th percentile | readings |")
        print("|---|---|---|---|---|---|---|")
        for name, make in wanted(COSTS).items():
            for every, steps in ((100, 1501), (20, 601)):
                if name != "ResNet-18 BN":
                    tracking(name, make, batch_of(5000, arguments.cifar), steps, every)
    if arguments.breaks or every_table:
        print("\n| model | tool | error in λ_max |\n|---|---|---|")
        for name, (make, plain) in wanted(BREAKS).items():
            breaks(name, make, plain, batch_of(64, arguments.cifar))


if __name__ == "__main__":
    main()
