"""All tables of speed in one run, each in a process of its own: `make bench` writes README.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Module, threads for arithmetic, title.
TABLES = (
    ("features", 1, "Classical features beside scikit-image, mahotas and OpenCV"),
    ("views", 2, "Batched views beside torchvision and kornia"),
    ("selfsup", 2, "Training steps beside lightly and transformers"),
    ("clip", 2, "CLIP's training step beside open_clip"),
    ("generation", 1, "Greedy generation beside transformers"),
    ("world", 1, "Pictures of the world a second"),
    ("attention", 1, "The path that attention takes, beside the other one"),
)
HEAD = """# Speed

`make bench` writes this file. Only ratios mean anything on another machine: these are two cores
of a shared machine, whose speed drifts from hour to hour: the world's pictures of 64 pixels were
drawn at 1,957 a second by two cores one day, and at 984 on another. SimCLR's training on real
pictures takes three quarters of an hour, and stands apart: [CIFAR.md](CIFAR.md).
So does what BLIP's filter and its hard negatives are worth: [BLIP.md](BLIP.md).
And so does grading a class beside nbgrader, which is installed apart: [CLASSROOM.md](CLASSROOM.md).
"""


def main() -> None:
    """Run every table, print it as it grows, and write them all into benchmarks/README.md."""
    here = Path(__file__).parent
    text = HEAD
    for module, threads, title in TABLES:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        env = {**os.environ, **dict.fromkeys(names, str(threads))}
        command = [sys.executable, "-m", f"benchmarks.{module}"]
        print(f"## {title}", flush=True)
        done = subprocess.run(
            command, env=env, cwd=here.parent, stdout=subprocess.PIPE, text=True, check=True
        )
        print(done.stdout, flush=True)
        text += f"\n## {title}\n\n{done.stdout.strip()}\n"
    part = here / "README.md.part"
    part.write_text(text, encoding="utf-8")
    os.replace(part, here / "README.md")


if __name__ == "__main__":
    main()
