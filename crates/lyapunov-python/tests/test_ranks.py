"""Several processes: the values of one process, the same on every rank to the bit; a rank that is lost ends the others
with a message.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest
import torch
from models import build, data

import lyapunov

pytest.importorskip("torch.distributed")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("gloo is not part of this torch", allow_module_level=True)

HERE = pathlib.Path(__file__).parent


def torchrun(size, *command, wait=900):
    arguments = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(size),
        *map(str, command),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(arguments, cwd=HERE, env=environment, capture_output=True, text=True, timeout=wait)


def ended_well(done):
    """Whether a script came to its end: PyTorch may abort after it, while Python ends (pytorch/pytorch#190489)."""
    return done.returncode == 0 or "terminate called without an active exception" in done.stderr


def launch(size, scene, folder):
    done = torchrun(size, HERE / "ranks.py", scene, folder)
    return done, [json.loads(f.read_text()) for f in sorted(folder.glob("*.json"))]


@pytest.fixture(scope="module")
def alone():
    import ranks

    x, y = data()
    found = {name: ranks.measured(build(make).double(), (x.double(), y)) for name, make in ranks.MODELS.items()}
    found["run rule"] = ranks.run(build(ranks.MODELS["mlp"]).double(), (x.double(), y), "rule", float)
    return found


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_agree_with_each_other_to_the_bit_and_with_one_process(size, alone, tmp_path):
    done, found = launch(size, "alike", tmp_path)
    assert done.returncode == 0 and len(found) == size, done.stderr[-3000:]
    first = found[0]
    for other in found[1:]:
        for key, value in other.items():
            if key == "refused":
                continue
            parts = {k: v for k, v in value.items() if k != "logged"}
            assert parts == {k: v for k, v in first[key].items() if k != "logged"}, key
    for name in ("mlp", "cnn"):
        for quantity, values in first[name].items():
            expected = alone[name][quantity]
            scale = max(map(abs, expected))
            # A trace of random vectors in f64 and f32 has another rounding; all else is the same sum in another order.
            assert values == pytest.approx(expected, abs=1e-6 * scale), (name, quantity)
    # DistributedDataParallel averages gradients over ranks, whatever their examples: weights differ from one process's,
    # and are the same with and without a monitor.
    assert first["run "]["weights"] == first["run plain"]["weights"]
    assert [f["run plain"]["logged"] for f in found] == [[0, 2, 4]] + [[]] * (size - 1)
    assert len(first["run rule"]["rates"]) == 6 and first["run rule"]["rates"][0] == pytest.approx(
        alone["run rule"]["rates"][0], rel=1e-6
    )
    assert "micro-batches" in first["refused"] and all("another rank refused" in f["refused"] for f in found[1:])


@pytest.mark.parametrize("size", [2, 3])
def test_the_example_runs_and_rank_0_alone_logs(size):
    done = torchrun(size, HERE.parent / "examples" / "ddp.py", "--epochs", 2)
    rows = [line for line in done.stdout.splitlines() if line.startswith("step")]
    assert ended_well(done) and [line.split()[1] for line in rows] == ["0", "10"], done.stderr[-3000:]
    assert all("<lambda_max" in line and "exact" in line and line.endswith("% of the edge") for line in rows), rows


def test_what_can_be_had_of_sharded_parameters_is_the_same_and_the_rest_is_refused(alone, tmp_path):
    import ranks

    done, found = launch(2, "sharded", tmp_path)
    assert done.returncode == 0 and len(found) == 2, done.stderr[-3000:]
    first = found[0]
    assert all(other[key] == first[key] for other in found for key in first if key not in ("refused",))
    x, y = data()
    for name, make in ranks.MODELS.items():
        expected = alone[name]["gauss-newton"][0]
        assert (
            first[name]["kind"] == "gauss-newton"
            and first[name]["auto"] == pytest.approx(expected, rel=1e-4)
            and first[name]["same"]
        ), name
    cut, whole = first["mlp"], alone["mlp"]
    assert cut["shape"] == 500
    # The smallest was searched for to a residual of 1e-2.
    for quantity, tolerance in (("lambda_max", 1e-4), ("lambda_min", 1e-3), ("sharpness", 1e-4)):
        assert cut[quantity] == pytest.approx(whole[quantity][0], rel=tolerance), quantity
    assert cut["several"] == pytest.approx(whole["lambda_max"][0], rel=1e-4)
    assert abs(cut["trace"] - ranks.trace(build(ranks.MODELS["mlp"]), (x, y))) < 4 * cut["trace_error"]
    layers = lyapunov.hessian(
        build(ranks.MODELS["mlp"]).double(), torch.nn.functional.cross_entropy, (x.double(), y)
    ).layers(1e-4)
    assert cut["layers"] == pytest.approx({layer: reading.value for layer, reading in layers.items()}, rel=1e-3)
    # The run is the same to the bit, with a monitor that was saved and taken up meanwhile.
    assert first["run "]["weights"] == first["run plain"]["weights"] and len(first["run plain"]["readings"]) == 3
    refused = first["refused"]
    assert all(
        "fully_shard" in refused[what]
        for what in ("exact", "kinks", "micro_batch", "product", "rule", "exponents", "bfloat16")
    ), refused
    assert "gives no gradient" in refused["exact"] and "Relu" in refused["kinks"] and "bfloat16" in refused["bfloat16"]


@pytest.mark.parametrize("how, size", [("killed", 2), ("silent", 3)])
def test_a_lost_rank_ends_the_others_within_the_timeout(how, size, tmp_path):
    # Without torchrun, which would end the others itself before they can say a word.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(size),
    }
    arguments = [sys.executable, str(HERE / "ranks.py"), how, str(tmp_path)]
    ranks = [
        subprocess.Popen(arguments, cwd=HERE, env={**common, "RANK": str(rank)}, stderr=subprocess.DEVNULL)
        for rank in range(size)
    ]
    try:
        for rank in ranks[:-1]:
            assert rank.wait(timeout=200) == 0
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    for rank in range(size - 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert f"rank {rank} of {size} waited" in found["message"] and "gone or did not ask" in found["message"]
        # The timeout is 8 seconds; gloo sees a closed connection at once.
        assert found["seconds"] < 60 and found["cause"].endswith("Error")


def test_one_process_has_no_ranks():
    from lyapunov._processes import Processes

    own = Processes.of(build(torch.nn.Identity))
    assert (own.rank, own.size) == (0, 1)
    x = torch.ones(3)
    assert own.add(x) is x and lyapunov.RankLost.__mro__[1] is RuntimeError
