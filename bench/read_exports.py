"""Reads what `lyapunov export` and `lyapunov train --tensorboard` write with pyarrow and TensorBoard, beside
run.sqlite.

    pip install pyarrow tensorboard
    python bench/read_exports.py target/debug/lyapunov

Trains a small network with everything measured, exports it in every format, and compares every number: to the last bit
in CSV, JSON lines and Parquet, as a 32-bit number in events. Then the same of a run that is killed in the middle.
"""

import csv
import glob
import json
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

import pyarrow.parquet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SETTINGS = """model.name=mlp model.widths=[8] data.subset=200 run.batch_size=20 measure.every=5
    measure.on=["batch","subset=50"] exponents.count=2 control.rule=edge-step""".split()
TAGS = {"loss": "loss/batch", "train_loss": "loss/train", "test_loss": "loss/test", "test_accuracy": "accuracy/test"}


def recorded(folder):
    """Every number of run.sqlite by the name of its column in an export and its step."""
    tables = sqlite3.connect(f"file:{folder}/run.sqlite?mode=ro", uri=True)
    tables.row_factory = sqlite3.Row
    numbers = {}

    def take(query, named):
        for row in tables.execute(query):
            for column, name in named(row).items():
                if row[column] is not None:
                    numbers[name, row["step"]] = row[column]

    plain = "loss gradient_norm learning_rate test_loss test_accuracy train_loss edge rayleigh measuring_cost".split()
    take("SELECT * FROM rows", lambda row: {column: column for column in plain})
    endings = {"value": "", "residual": "_residual", "edge": "_edge", "cost": "_cost"}
    take("SELECT * FROM sharpness", lambda row: {c: f"{row['quantity']}[{row['on']}]{e}" for c, e in endings.items()})
    endings = {"value": "", "std_error": "_std_error", "local": "_local"}
    take("SELECT * FROM exponents", lambda row: {c: f"exponent_{row['number']}{e}" for c, e in endings.items()})
    take("SELECT * FROM along", lambda row: {c: f"along_{c}" for c in "slope curvature stretch reach cost".split()})
    take("SELECT * FROM secants", lambda row: {c: f"secant_{c}" for c in "moved turned cost".split()})
    return numbers


def of_rows(rows):
    """The numbers of rows that are dictionaries."""
    return {
        (name, int(row["step"])): float(value)
        for row in rows
        for name, value in row.items()
        if value not in ("", None) and name != "step" and not name.endswith("_product")
    }


def tag(name):
    """The tag of a column."""
    if name in TAGS:
        return TAGS[name]
    if "]" in name:
        stem, kind = name.split("]")
        return f"sharpness{kind}/{stem}]"
    if name.startswith("exponent_"):
        number, _, kind = name.removeprefix("exponent_").partition("_")
        return f"exponents_{kind}/{number}" if kind else f"exponents/{number}"
    return name


def events(folder):
    """The numbers of a file of events, as TensorBoard reads them."""
    found = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
    return {(tag, event.step): event.value for tag in found.Tags()["scalars"] for event in found.Scalars(tag)}


def narrow(numbers):
    """Under their tags, as 32-bit numbers."""
    return {
        (tag(name), step): struct.unpack("f", struct.pack("f", value))[0] for (name, step), value in numbers.items()
    }


def compare(what, found, expected):
    wrong = {at for at in found.keys() | expected.keys() if found.get(at) != expected.get(at)}
    print(f"{what:28} {len(expected):6} numbers, {len(wrong)} differ", *sorted(wrong)[:3])
    return len(wrong)


def main(program):
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        train = [program, "train", "--tensorboard", "--quiet", "--out", place + "/runs", *settings]
        subprocess.run([*train, "--set", "run.steps=40"], check=True)
        [folder] = glob.glob(place + "/runs/*")
        expected = recorded(folder)

        def export(form, out):
            subprocess.run([program, "export", folder, "--format", form, "--out", out], check=True)
            return out

        with open(export("csv", place + "/run.csv")) as file:
            wrong += compare("CSV", of_rows(csv.DictReader(file)), expected)
        with open(export("jsonl", place + "/run.jsonl")) as file:
            wrong += compare("JSON lines", of_rows(map(json.loads, file)), expected)
        table = pyarrow.parquet.read_table(export("parquet", place + "/run.parquet"))
        wrong += compare("Parquet, by pyarrow", of_rows(table.to_pylist()), expected)
        logs = glob.glob(export("tensorboard", place + "/logs") + "/*")[0]
        wrong += compare("events, by TensorBoard", events(logs), narrow(expected))
        wrong += compare("events written live", events(folder), narrow(expected))

        running = subprocess.Popen(
            [*train[: -len(settings)], *settings, "--set", "run.steps=9000000", "--set", "run.seed=1"]
        )
        time.sleep(5)
        running.send_signal(signal.SIGKILL)
        running.wait()
        [killed] = set(glob.glob(place + "/runs/*")) - {folder}
        rows, live = narrow(recorded(killed)), events(killed)
        both = rows.keys() & live.keys()
        last = max(step for _, step in both)
        wrong += compare("events of a killed run", *({at: of[at] for at in both} for of in (live, rows)))
        lacking = [at for at in rows.keys() ^ live.keys() if at[1] <= last]
        print(f"up to step {last}, which both have, {len(lacking)} numbers are only in one")
        wrong += len(lacking)
    sys.exit(wrong > 0)


main(sys.argv[1])
