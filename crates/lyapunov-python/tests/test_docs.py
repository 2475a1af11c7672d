"""Every block of Python in the chapter and in the readme runs, and so do the program's commands of the chapter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHAPTER = HERE.parents[2] / "docs" / "book" / "src" / "from-pytorch.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", CHAPTER.read_text(), re.MULTILINE | re.DOTALL)


def has(block):
    for name in ("lightning", "transformers", "matplotlib"):
        if f"import {name}" in block or f"from {name}" in block or (name == "matplotlib" and "lyapunov.plot" in block):
            pytest.importorskip("accelerate" if name == "transformers" else name)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("chapter")


@pytest.fixture(scope="module")
def names():
    return {"__name__": "chapter"}


@pytest.mark.parametrize("i", range(len(blocks("python"))))
def test_a_block_of_the_chapter_runs(i, place, names, monkeypatch):
    monkeypatch.chdir(place)
    block = blocks("python")[i]
    has(block)
    exec(compile(block, f"{CHAPTER.name}, block {i + 1}", "exec"), names)


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("python -m")]
)
def test_a_command_of_the_chapter_runs(line, place):
    command = line.split("#")[0].replace("watch runs", "watch runs --once").replace("python", sys.executable, 1)
    result = subprocess.run(command, shell=True, cwd=place, capture_output=True, text=True)
    assert result.returncode == 0 and not result.stderr, (command, result)


def test_lines_have_at_most_120_columns():
    package = HERE.parent
    files = [*package.rglob("*.py"), *package.rglob("*.pyi"), package.parents[1] / "bench" / "torch_peers.py"]
    long = [(f.name, i + 1) for f in files for i, line in enumerate(f.read_text().splitlines()) if len(line) > 120]
    assert len(files) > 40 and not long, long
