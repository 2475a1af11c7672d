#!/usr/bin/env bash
# A sweep by a real Slurm: submits it, waits, submits it again, and checks that every run has ended once.
# Needs a running cluster of one or more nodes that see this folder: `sbatch`, `squeue`.
#   LYAPUNOV=target/release/lyapunov crates/lyapunov-cli/tests/engines/by_slurm.sh
set -euo pipefail
program=${LYAPUNOV:-lyapunov}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/sweep.toml" <<'TOML'
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
TOML

submit() { "$program" sweep submit "$work/out" --engine slurm "$@"; }
drained() { while [ -n "$(squeue --noheader --name=lyapunov-sweep)" ]; do sleep 1; done; }
state() { "$program" sweep status "$work/out" | tail -1; }

# One run is there already, and one is being made by somebody else: both are left alone.
"$program" sweep plan "$work/sweep.toml" --out "$work/out" > "$work/plan"
"$program" sweep run "$work/out" --index 1 --quiet
submit --option=--time=10
grep -q -- '--array=0-4$' "$work/out/submit-slurm.sh"
drained
state
[ "$(state)" = "6 runs: 4 completed, 2 diverged" ]
submit | grep -q 'nothing to submit'
cat "$work"/out/slurm-*.log | grep -c 'Run folder' | grep -qx 5
echo "slurm: ok"
