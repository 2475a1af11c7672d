"""Loss and gradient, products with the Hessian and tracked steps of every network against PyTorch, as a table in Markdown.

    python bench/networks.py [--rounds 10] [--batch 128] [--threads 1] [--products] [--tracked] [NETWORK ...]

The contenders take turns: one gradient of ours, one of PyTorch in channels-last order, one in its default order, again
and again. What is compared is processor time (all threads together) and time on the wall; a number is the median over
the rounds. PyTorch's exact product is its double backward pass; its tracked steps are twenty of SGD, and five products
through one recorded gradient.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

import models  # beside this file

NETWORKS = {
    "cnn": {"name": "cnn", "widths": [16, 32, 64]},
    "vgg11": {"name": "vgg11", "widths": [32, 64, 128, 128, 128]},
    "resnet20": {"name": "resnet20", "widths": [16, 32, 64], "normalization": "batch"},
    "resnet18": {"name": "resnet18", "widths": [64, 128, 256, 512], "shortcut": "projected", "normalization": "batch"},
    "wide-resnet": {"name": "wide-resnet", "depth": 16, "widths": [16, 64, 128, 256], "normalization": "batch"},
    "densenet": {"name": "densenet", "depth": 40, "widths": [16, 12], "normalization": "batch"},
    "vit-tiny": {"name": "vit-tiny", "depth": 12, "heads": 3, "patch": 4, "widths": [192, 768]},
    "mlp-mixer": {"name": "mlp-mixer", "depth": 8, "patch": 4, "widths": [128, 64, 512]},
    "mlp": {"name": "mlp", "widths": [512, 512]},
}
# As in benches/networks.rs.
TRACKED_STEPS, RATE = 20, 1e-4
TOKENS = ("vit-tiny", "mlp-mixer")


class Contender:
    """A process that computes what it is told, line by line: `bench/benches/networks.rs`, or PyTorch in this file."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # The clock of a process's processor time, see clock_getcpuclockid(3).
        self.clock = (~self.process.pid << 3) | 2

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def compute(self, what):
        answer = self.ask(what)
        assert answer == "done", f"{self.process.args} answered {answer!r}"

    def processor_time(self):
        return time.clock_gettime(self.clock)

    def peak_memory(self):
        return memory(self.process.pid, "VmHWM")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def memory(process, which):
    """Megabytes of a process: VmHWM at its peak, VmRSS now."""
    status = open(f"/proc/{process}/status").read()
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


class Theirs:
    """The same network in PyTorch, eager."""

    def __init__(self, name, batch, channels_last):
        torch.manual_seed(0)
        model = {"activation": "gelu" if name in TOKENS else "relu"} | NETWORKS[name]
        self.network = models.build(model)
        self.images, self.labels = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
        if channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)
            self.images = self.images.to(memory_format=torch.channels_last)
        self.parameters = list(self.network.parameters())
        self.direction = [torch.randn_like(parameter) for parameter in self.parameters]

    def loss(self):
        return torch.nn.functional.cross_entropy(self.network(self.images), self.labels)

    def compute(self, what):
        if what == "gradient":
            torch.autograd.grad(self.loss(), self.parameters)
            return
        if what == "tracked":
            for step in range(TRACKED_STEPS):
                gradient = torch.autograd.grad(self.loss(), self.parameters)
                if step == 0:
                    self.products(5)
                with torch.no_grad():
                    torch._foreach_add_(self.parameters, gradient, alpha=-RATE)
            return
        self.products(1)

    def products(self, count):
        # Fused attention has no second derivative.
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            loss = self.loss()
        gradient = torch.autograd.grad(loss, self.parameters, create_graph=True)
        for left in reversed(range(count)):
            slope = sum((part * along).sum() for part, along in zip(gradient, self.direction))
            torch.autograd.grad(slope, self.parameters, retain_graph=left > 0)


def serve(name, batch, threads, layout):
    """PyTorch's side: the answers of `Contender`."""
    torch.set_num_threads(int(threads))
    # What PyTorch itself takes is no network's.
    before = memory("self", "VmRSS")
    network = Theirs(name, int(batch), layout == "channels-last")
    for line in sys.stdin:
        if line.strip() == "memory":
            print(memory("self", "VmHWM") - before, flush=True)
            continue
        network.compute(line.strip())
        print("done", flush=True)


def measure(contenders, what, rounds):
    """Medians of (processor, wall) milliseconds by contender; the first round is not counted."""
    times = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, contender in contenders.items():
            before = contender.processor_time(), time.perf_counter()
            contender.compute(what)
            after = contender.processor_time(), time.perf_counter()
            times[name].append([1e3 * (b - a) for a, b in zip(before, after)])
    return {name: [statistics.median(column) for column in zip(*rows[1:])] for name, rows in times.items()}


def program():
    """Builds the benchmark and says where it is."""
    command = ["cargo", "bench", "-p", "lyapunov-bench", "--bench", "networks", "--no-run", "--message-format=json"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "networks" and m["executable"])


def processor():
    """The name of the processor and its widest vectors."""
    information = open("/proc/cpuinfo").read()
    name = information.split("model name\t: ")[1].split("\n")[0]
    flags = information.split("flags\t\t: ")[1].split("\n")[0].split()
    level = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "neither AVX2 nor AVX-512"
    return f"{name}, {level}"


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--products", action="store_true", help="exact and Gauss-Newton products as well")
    parser.add_argument("--tracked", action="store_true", help="twenty steps as well, with one measurement of λ_max")
    parser.add_argument("--program", help="the benchmark, where it is built already")
    options = parser.parse_args()
    path = options.program or program()
    torch_version = torch.__version__.split("+")[0]
    print(f"{processor()}; PyTorch {torch_version}; batch {options.batch}; {options.threads} thread(s);", end=" ")
    print(f"medians of {options.rounds}, processor time in ms (wall time)\n")
    print("| network | | ours | channels-last | default | ratio to channels-last | ratio to the better one | MB | PyTorch's MB |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.networks:
        sizes = [name, str(options.batch), str(options.threads)]
        contenders = {"ours": Contender(path, *sizes)}
        for layout in ("channels-last", "default"):
            contenders[layout] = Contender(sys.executable, __file__, "--serve", *sizes, layout)
        gradient = None
        asked = [
            "gradient",
            *(["product", "gauss-newton"] if options.products else []),
            *(["tracked"] if options.tracked else []),
        ]
        for what in asked:
            rivals = {"ours": contenders["ours"]} if what == "gauss-newton" else contenders
            times = measure(rivals, what, options.rounds)
            ours = times["ours"][0]
            gradient = gradient or ours
            label = what if what == "gradient" else f"{what}, {ours / gradient:.2f} gradients"
            cells = [f"{times[c][0]:.1f} ({times[c][1]:.1f})" if c in times else "" for c in contenders]
            ratios = ["", ""]
            if len(times) > 1:
                other = [times[c][0] for c in ("channels-last", "default")]
                ratios = [f"{ours / other[0]:.2f}", f"{ours / min(other):.2f}"]
            peaks = [contenders["ours"].peak_memory()]
            peaks.append(min(float(contenders[layout].ask("memory")) for layout in ("channels-last", "default")))
            print("| " + " | ".join([name, label, *cells, *ratios, *(f"{mb:.0f}" for mb in peaks)]) + " |", flush=True)
        for contender in contenders.values():
            contender.close()
    print("\nMB: the most that a process held so far; of PyTorch, of the smaller layout, beyond what it holds before there")
    print("is a network.")


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    main()
