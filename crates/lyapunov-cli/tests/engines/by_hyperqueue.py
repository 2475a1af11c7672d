"""A sweep by a real HyperQueue: its server, one worker, and one task per run of the plan; checks that every run has
ended.

Needs the package `hyperqueue` (which has server and worker, but not the command `hq`):
    python -m venv venv && venv/bin/pip install hyperqueue
    LYAPUNOV=target/release/lyapunov venv/bin/python crates/lyapunov-cli/tests/engines/by_hyperqueue.py

Where `hq` itself is installed, `lyapunov sweep submit --engine hyperqueue` does the same by its script.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

SWEEP = """
[model]
name = "mlp"
widths = [16]
[data]
subset = 500
[run]
steps = 200
batch_size = 50
[sweep]
"optimizer.learning_rate" = [0.02, 0.05, 1e6]
seed = 2
"""

program = str(Path(os.environ.get("LYAPUNOV", "lyapunov")).resolve())
with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    (work / "sweep.toml").write_text(SWEEP)
    out = work / "out"
    subprocess.run([program, "sweep", "plan", work / "sweep.toml", "--out", out], check=True, stdout=subprocess.DEVNULL)
    runs = json.loads((out / "sweep.json").read_text())["runs"]
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=2))
        client = cluster.client()
        job = Job(name="lyapunov-sweep")
        for index in range(len(runs)):
            # Twice each: the second finds the run made, or being made.
            for _ in range(2):
                job.program([program, "sweep", "run", str(out), "--index", str(index)], stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])
    result = subprocess.run([program, "sweep", "status", out, "--json"], check=True, capture_output=True)
    states = [run["state"] for run in json.loads(result.stdout)["runs"]]
    assert sorted(states) == ["completed"] * 4 + ["diverged"] * 2, states
    assert sum(path.is_dir() for path in out.iterdir()) == 6
print("hyperqueue: ok")
