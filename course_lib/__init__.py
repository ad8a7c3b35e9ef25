"""From SIFT to LLaVA: small, proven implementations of the ideas behind visual representations.

A house with five floors; a room imports only from floors below it:

    4  classroom
    3  exercises
    2  features | train  evaluate  show   (papers on the left never import protocol on the right)
    1  backbones  data  world
    0  blocks

Beside them stand the course's own tools: `cli` (the command `course`), `doctor`, `lab`, `lessons`.
"""

__version__ = "0.1.0"


def require(version: str) -> None:
    """The handshake of a notebook with this library: its first cell calls `require("0.1")`.

    Raises RuntimeError in one sentence if the notebook was written for another version, or if this
    machine lacks a system library without which nothing would run.
    """
    if __version__.split(".")[:2] != version.split(".")[:2]:
        raise RuntimeError(
            f"this notebook is written for course_lib {version}, but {__version__} is installed; "
            "take notebooks and course_lib from the same release (git pull, then make lab)"
        )
    from course_lib.doctor import opencv_problem

    if problem := opencv_problem():
        raise RuntimeError(problem)
