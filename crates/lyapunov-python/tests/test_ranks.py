"""Several processes: the values of one process, the same on every rank to the bit; a rank that is lost ends the others with a message."""

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


def launch(size, scene, folder, wait=300):
    arguments = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size), str(HERE / "ranks.py"), scene, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, cwd=HERE, env=environment, capture_output=True, text=True, timeout=wait)
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
            if key in ("refused", "sharded"):
                continue
            parts = {k: v for k, v in value.items() if k != "logged"}
            assert parts == {k: v for k, v in first[key].items() if k != "logged"}, key
    for name in ("mlp", "cnn"):
        for quantity, values in first[name].items():
            expected = alone[name][quantity]
            scale = max(map(abs, expected))
            # A trace of random vectors in f64 and f32 has another rounding; all else is the same sum in another order.
            assert values == pytest.approx(expected, abs=1e-6 * scale), (name, quantity)
    # DistributedDataParallel averages gradients over ranks, whatever their examples: weights differ from one process's, and are the same with and without a monitor.
    assert first["run "]["weights"] == first["run plain"]["weights"]
    assert [f["run plain"]["logged"] for f in found] == [[0, 2, 4]] + [[]] * (size - 1)
    assert len(first["run rule"]["rates"]) == 6 and first["run rule"]["rates"][0] == pytest.approx(alone["run rule"]["rates"][0], rel=1e-6)
    assert all("1.weight is cut into shards" in f["sharded"] for f in found)
    assert "micro-batches" in first["refused"] and all("another rank refused" in f["refused"] for f in found[1:])


@pytest.mark.parametrize("how, size", [("killed", 2), ("silent", 3)])
def test_a_lost_rank_ends_the_others_within_the_timeout(how, size, tmp_path):
    # Without torchrun, which would end the others itself before they can say a word.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    arguments = [sys.executable, str(HERE / "ranks.py"), how, str(tmp_path)]
    ranks = [subprocess.Popen(arguments, cwd=HERE, env={**common, "RANK": str(rank)}, stderr=subprocess.DEVNULL) for rank in range(size)]
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
