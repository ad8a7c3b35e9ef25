"""Rooms inside the sandbox: each submission has namespaces, a disk and limits of its own.

The process that has imported torch once may make namespaces in its sandbox and nothing else. Before
a student's code runs, a fork of it moves into fresh ones (processes, mounts, network, shared
memory), gives up every right, and forbids the few system calls by which memory could be held, or
messages left, where nobody looks: anonymous files and shared pages, System V memory, key rings,
and sockets of families that no network namespace holds.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Mapping
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 1 << 12, 1 << 14, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION = 0x20080522
MEGABYTE = 2**20
RESERVE = 8

# Numbers of the system calls that a submission does not get, by machine: (audit number, calls).
# memfd_create, memfd_secret, shmget, semget, msgget, mq_open, add_key, request_key, keyctl, ptrace,
# process_vm_readv, process_vm_writev, bpf, perf_event_open, userfaultfd, io_uring_setup, unshare,
# setns, mount, move_mount, open_tree, fsopen, vmsplice, io_setup, syslog, pidfd_getfd
FORBIDDEN = {
    "x86_64": (0xC000003E, (319, 447, 29, 64, 68, 240, 248, 249, 250, 101, 310, 311, 321, 298, 323,
                            425, 272, 308, 165, 429, 428, 430, 278, 206, 103, 438)),
    "aarch64": (0xC00000B7, (279, 447, 194, 190, 186, 180, 217, 218, 219, 117, 270, 271, 280, 241,
                             282, 425, 97, 268, 40, 429, 428, 430, 75, 0, 116, 438)),
}  # fmt: skip
# And of those that it gets in part: socket and socketpair, mmap.
SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}
FAMILIES = (1, 2, 10)  # unix, inet, inet6; others reach past a network namespace, as vsock does
MAP = {"x86_64": 9, "aarch64": 222}
SHARED_ANONYMOUS, MAP_FLAGS = 0x21, 0x2F  # memory that stays where no process shows it
# A session of its own has a share of its own of the processors: fifty would starve other rooms.
SETSID = {"x86_64": 112, "aarch64": 157}
CAPSET = {"x86_64": 126, "aarch64": 91}
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # the filter's language (BPF)
NUMBER, TABLE, FIRST, FOURTH = 0, 4, 16, 40  # what it may look at: the call, its arguments
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # refuse: EPERM
IGNORE = 0x00050000  # nothing happens, and that is called a success
OTHER_TABLE = 0x40000000  # x32 numbers its calls from here

libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what} is refused here: {os.strerror(code)}")


def _control(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _call("a setting of this process", libc.prctl(option, *padded))


def enter_namespaces() -> None:
    """The next child of this process is the first in namespaces of its own. Raises OSError."""
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    _call("a namespace", libc.unshare(flags))


def mount_own(tmp_mb: int) -> None:
    """An empty temporary disk, empty shared memory, and a /proc of the new namespace only."""
    _call("a private mount", libc.mount(None, b"/", None, MS_PRIVATE | MS_REC, None))
    plain = MS_NOSUID | MS_NODEV
    for folder, megabytes in ((b"/tmp", tmp_mb), (b"/dev/shm", max(1, tmp_mb // 4))):
        options = b"size=%dm,nr_inodes=20000,mode=1777" % megabytes
        _call("a temporary disk", libc.mount(b"tmpfs", folder, b"tmpfs", plain, options))
    # To map /dev/zero takes memory that no process shows; /dev/full reads the same, and has no map.
    _call("/dev/zero", libc.mount(b"/dev/full", b"/dev/zero", None, MS_BIND, None))
    _call("/proc", libc.mount(b"proc", b"/proc", b"proc", plain | MS_NOEXEC, None))


def give_up_rights() -> None:
    """No capabilities, no way to get new ones, no forbidden system calls, no core of this process.

    What this process holds can be read by no other one of the same user from now on.
    """
    _control(PR_SET_NO_NEW_PRIVS, 1)
    _control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    head = struct.pack("=II", CAPABILITY_VERSION, 0)  # a pid of 0 is this process
    _call("capset", libc.syscall(CAPSET[platform.machine()], head, bytes(24)))
    _forbid_calls()
    set_readable(False)


def set_readable(readable: bool) -> None:
    """Whether other processes of the same user may look into this one."""
    _control(PR_SET_DUMPABLE, int(readable))


def die_with_parent() -> None:
    """Be killed when the process that forked this one is."""
    _control(PR_SET_PDEATHSIG, signal.SIGKILL)


def _forbid_calls() -> None:
    """Answer the forbidden system calls, and all of another machine's table, with EPERM."""
    steps = _steps(platform.machine())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    _control(PR_SET_SECCOMP, 2, ctypes.addressof(program))


def _steps(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter: (what to do, steps to leap if so, steps to leap if not, with what)."""
    audit, calls = FORBIDDEN[machine]
    lines = [
        (LOAD, "", "", TABLE),
        (EQUAL, "", "refuse", audit),
        (LOAD, "", "", NUMBER),
        (AT_LEAST, "refuse", "", OTHER_TABLE),
        *((EQUAL, "refuse", "", call) for call in calls),
        *((EQUAL, "family", "", call) for call in SOCKETS[machine]),
        (EQUAL, "ignore", "", SETSID[machine]),
        (EQUAL, "sharing", "allow", MAP[machine]),
        "family",
        (LOAD, "", "", FIRST),
        *((EQUAL, "allow", "", family) for family in FAMILIES[:-1]),
        (EQUAL, "allow", "refuse", FAMILIES[-1]),
        "sharing",
        (LOAD, "", "", FOURTH),
        (AND, "", "", MAP_FLAGS),
        (EQUAL, "refuse", "allow", SHARED_ANONYMOUS),
        "allow",
        (RETURN, "", "", ALLOW),
        "refuse",
        (RETURN, "", "", REFUSE),
        "ignore",
        (RETURN, "", "", IGNORE),
    ]
    places, steps = {}, []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(steps)
        else:
            steps.append(line)
    return [
        (code, *(places[place] - number - 1 if place else 0 for place in (yes, no)), value)
        for number, (code, yes, no, value) in enumerate(steps)
    ]


def set_limits(limits: Mapping[str, Any]) -> None:
    """What the system holds every process of a submission to; none of them can raise it again.

    A few processes are held back for the trials that come after the cells (`open_reserve`).
    """
    table = {
        "RLIMIT_AS": limits["address_mb"] * MEGABYTE,
        "RLIMIT_CPU": limits["submission_seconds"],
        "RLIMIT_FSIZE": limits["file_mb"] * MEGABYTE,
        "RLIMIT_NOFILE": limits["files"],
        "RLIMIT_NPROC": limits["processes"],
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    for name, most in table.items():
        kind = getattr(resource, name, None)  # macOS has not all of them
        if kind is not None:
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            held_back = RESERVE if name == "RLIMIT_NPROC" else 0
            resource.setrlimit(kind, (most, most + held_back))


def limit_own_memory(megabytes: int) -> None:
    """Let this process take that much memory, and no more, beyond what it has."""
    with open("/proc/self/status", encoding="ascii") as lines:
        has = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (has + megabytes * MEGABYTE,) * 2)


def open_reserve() -> None:
    """Let this process start those few more, whatever the cells have left running."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
