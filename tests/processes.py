"""Scripts that tests run as processes of their own: alone, and as two ranks of gloo.

A script finds the folder for what it saves, `rank0.safetensors` and `rank1.safetensors`, in
sys.argv[1]; course_lib.train.checkpoints reads those.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from course_lib.doctor import ROOT
from course_lib.train.checkpoints import load

LIMIT = 240  # seconds
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]  # a free port

START = """
import sys
import torch
import torch.distributed as dist
from course_lib.train.checkpoints import save

folder, rank = sys.argv[1], int(sys.argv[2])
torch.set_default_dtype(torch.float64)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
"""
END = """
save(f"{folder}/rank{rank}.safetensors", state)
dist.destroy_process_group()
"""


def two_ranks(folder: Path, script: str) -> list[dict]:
    """The `state` that `script` leaves, float64, as each of two ranks; it knows its `rank`."""
    (folder / "script.py").write_text(START + script + END, encoding="utf-8")
    _run([[str(folder / "script.py"), str(folder), rank] for rank in "01"])
    return [load(folder / f"rank{rank}.safetensors") for rank in "01"]


def one_and_two(folder: Path, script: str) -> dict[str, dict]:
    """What `script` saves: "one" alone, "two0" and "two1" as the ranks of torchrun."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    for name, how in (("one", []), ("two", TORCHRUN)):
        (folder / name).mkdir()
        _run([[*how, str(folder / "script.py"), str(folder / name)]])
    saved = {"one": "one/rank0", "two0": "two/rank0", "two1": "two/rank1"}
    return {name: load(folder / f"{file}.safetensors") for name, file in saved.items()}


def _run(commands: list[list[str]]) -> None:
    """Run all at once to their ends; if one fails or hangs, stop all, and what they started."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    how = {"env": environment, "start_new_session": True, **pipes}
    started = [subprocess.Popen([sys.executable, *command], **how) for command in commands]
    said = []
    try:
        for process in started:
            said.append(process.communicate(timeout=LIMIT)[0])
            if process.returncode:
                break
    finally:
        for process in started:  # if one fails, the other waits for it in vain
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    assert [process.returncode for process in started] == [0] * len(started), said[-1][-3000:]
