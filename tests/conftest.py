"""What holds for every test: offline, the quick budget, one thread each."""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Set at import, before NumPy and OpenCV start their threads; xdist's workers inherit it.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE / "closed"), str(HERE / "notebooks"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ.update(COURSE_BUDGET="quick", COURSE_DEVICE="cpu", HF_HUB_OFFLINE="1")
# What lessons write goes to a folder of this run; xdist's workers share it.
if "COURSE_TEST_FOLDER" not in os.environ:
    os.environ["COURSE_TEST_FOLDER"] = tempfile.mkdtemp(prefix="course-tests-")
    # Registered first, done last: IPython writes there once more when this process ends.
    atexit.register(shutil.rmtree, os.environ["COURSE_TEST_FOLDER"], ignore_errors=True)
own = os.environ["COURSE_TEST_FOLDER"]
os.environ.update(COURSE_PASSPORT=f"{own}/passport.json", COURSE_CACHE=f"{own}/cache")
# IPython's settings for this run: every kernel times the live pictures of the lesson that it has
# run, and what it writes is kept for as long as the code is the same.
profile = Path(own, "ipython", "profile_default")
profile.mkdir(parents=True, exist_ok=True)
(profile / "ipython_config.py").write_text("c.InteractiveShellApp.extensions = ['live_speed']\n")
code = hashlib.sha256()
for path in sorted((HERE.parent / "course_lib").rglob("*.py")):
    code.update(path.read_bytes())
speeds = HERE.parent / "build" / "live_speed" / code.hexdigest()[:16]
for old in {*speeds.parent.glob("*")} - {speeds}:
    shutil.rmtree(old, ignore_errors=True)
os.environ.update(IPYTHONDIR=f"{own}/ipython", COURSE_LIVE_SPEED=str(speeds))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(HERE / "closed"))
import sitecustomize  # noqa: E402, F401  closes this process too; the interpreter may have had its own

from course_lib.doctor import opencv_problem  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    if problem := opencv_problem():
        pytest.exit(problem, returncode=3)
    from hypothesis import settings

    settings.register_profile("course", deadline=None, derandomize=True, print_blob=False)
    settings.load_profile("course")
