"""Makes many run folders out of one, for timing `lyapunov report`: python bench/report_scale.py RUN OUT [RUNS]
[ROWS].
"""

import json, pathlib, random, re, shutil, sqlite3, sys

source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
runs, rows = int(sys.argv[3]) if len(sys.argv) > 3 else 500, int(sys.argv[4]) if len(sys.argv) > 4 else 2000
quantities = ["lambda_max", "lambda_min", "batch_sharpness"]

for i in range(runs):
    rate, seed, noise = 0.001 * 1.5 ** (i % 15), i // 15, random.Random(i)
    folder = out / f"{source.name}-{i:04}"
    folder.mkdir(parents=True)
    for name in ["config.toml", "manifest.json", "run.sqlite"]:
        shutil.copy(source / name, folder / name)
    config = (folder / "config.toml").read_text()
    config = re.sub(r"(?m)^learning_rate = .*$", f"learning_rate = {rate:.6g}", config)
    config = re.sub(r"(?m)^seed = .*$", f"seed = {seed}", config)
    (folder / "config.toml").write_text(config)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.update(
        seed=seed,
        outcome="completed",
        steps=rows,
        train_loss=0.3 * noise.random(),
        test_accuracy=0.5 + 0.4 * noise.random(),
    )
    (folder / "manifest.json").write_text(json.dumps(manifest))
    base = sqlite3.connect(folder / "run.sqlite")
    base.execute("PRAGMA synchronous = OFF")
    for table in ["exponents", "sharpness", "along", "secants", "rows"]:
        base.execute(f"DELETE FROM {table}")
    near = lambda: noise.lognormvariate(0, 0.2)
    base.executemany(
        "INSERT INTO rows (step, loss, gradient_norm, learning_rate, test_loss, test_accuracy, edge, measuring_cost) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                t,
                2.3 / (1 + t / 100) * near(),
                near(),
                rate,
                near() if t % 50 == 0 else None,
                0.5 if t % 50 == 0 else None,
                2 / rate,
                3.0 * t,
            )
            for t in range(rows)
        ],
    )
    base.executemany(
        "INSERT INTO sharpness VALUES (?, ?, 'batch', 'exact', ?, ?, ?, 5.0)",
        [
            (t, q, v, 0.01, v * rate / 2 if q != "lambda_min" else None)
            for t in range(0, rows, 2)
            for q in quantities
            for v in [(1.5 / rate if q != "lambda_min" else -0.2) * near()]
        ],
    )
    base.executemany(
        "INSERT INTO exponents VALUES (?, 1, ?, ?, ?)", [(t, 0.01, 0.01 * near(), 0.001) for t in range(1, rows)]
    )
    base.commit()
    base.close()
