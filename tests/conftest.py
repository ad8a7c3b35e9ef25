"""What holds for every test: offline, the quick budget, one thread each."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Set at import, before NumPy and OpenCV start their threads; xdist's workers inherit it.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE / "closed"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ.update(COURSE_BUDGET="quick", COURSE_DEVICE="cpu", HF_HUB_OFFLINE="1")
# What lessons write goes to a folder of this run; xdist's workers share it.
own = os.environ.get("COURSE_TEST_FOLDER") or tempfile.mkdtemp(prefix="course-tests-")
os.environ["COURSE_TEST_FOLDER"] = own
os.environ.update(COURSE_PASSPORT=f"{own}/passport.json", COURSE_CACHE=f"{own}/cache")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(HERE / "closed"))
import sitecustomize  # noqa: E402, F401  closes this process too; the interpreter may have had its own

from course_lib.doctor import opencv_problem  # noqa: E402


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that the workers belong to
        shutil.rmtree(own, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    if problem := opencv_problem():
        pytest.exit(problem, returncode=3)
    from hypothesis import settings

    settings.register_profile("course", deadline=None, derandomize=True, print_blob=False)
    settings.load_profile("course")
