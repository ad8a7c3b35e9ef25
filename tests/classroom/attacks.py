"""The attack bank: what a submission may try, and the honest mark that it gets all the same.

Every attack is the toy assignment with a cell before the answers (`first`), after them (`last`), or
in the place of the answer to `twice` (`instead`). What it earns honestly is `marks`: by default
full marks where the answers are there, nothing for `twice` where it was replaced. A cell that gets
at what it must not says so by raising `Stolen`; no note may hold that word.
"""

# ruff: noqa: C408, E501  a table of sources
from dataclasses import dataclass, field

from tests.classroom.toys import HONEST


@dataclass(frozen=True)
class Attack:
    """`notes`: a regular expression that one of the notes must match; "" if there is none."""

    first: str = ""
    instead: str = ""
    last: str = ""
    notes: str = ""
    twice: float = 1.0
    number: float = 1.0
    test_centred: float = 1.0
    files: tuple = field(default=())

    @property
    def cells(self):
        """As a job has them."""
        imports, twice, *others = HONEST
        answer = (self.instead, "twice") if self.instead else twice
        extra = [(source, "") for source in (self.first,) if source]
        after = [(source, "") for source in (self.last,) if source]
        return (imports, *extra, answer, *others, *after)

    @property
    def marks(self):
        """The honest marks by exercise."""
        return {"twice": self.twice, "number": self.number, "test_centred": self.test_centred}


TRY = """
class Stolen(Exception): pass
def must_fail(what, action):
    try:
        got = action()
    except Exception:
        return
    raise Stolen(f"{what}: {got!r}"[:200])
"""
READING = """
import glob, os
for path in ("/etc/passwd", "/etc/shadow", "/etc/hostname", "/ro" "ot/.bashrc", "{canary}"):
    must_fail(path, lambda: open(path).read())
for pattern in ("/course/assignments/*", "/home/*", "{canary_folder}/*", "/srv/*/assignments"):
    if found := glob.glob(pattern): raise Stolen(found)
for folder, _, names in os.walk("/course"):
    for name in names:
        if name.endswith(".py") and "tests" not in name:
            text = open(os.path.join(folder, name), encoding="utf-8").read()
            if "\\nEXERCISES = (" in text or "SEED = 5" in text: raise Stolen(name)
import course_lib.exercises
for bank in ("sift", "start", "clip"):
    must_fail(bank, lambda: __import__("course_lib.exercises." + bank))
for side in ("secret", "marking", "pool", "probes", "grading"):
    must_fail(side, lambda: __import__("course_lib.classroom." + side))
"""
ENVIRONMENT = """
import os
if "CANARY" in os.environ: raise Stolen("environment")
for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
    for part in ("environ", "cmdline", "mem", "fd/0", "cwd/x", "root/etc/passwd"):
        try:
            text = open(f"/proc/{pid}/{part}", "rb").read(100_000)
        except OSError:
            continue
        if b"CANARY" in text or b"centred_in_place" in text: raise Stolen(pid + part)
if len([name for name in os.listdir("/proc") if name.isdigit()]) > 3: raise Stolen("processes")
must_fail("the warden's memory", lambda: open("/proc/1/mem", "rb").read(1))
must_fail("the warden's files", lambda: os.listdir("/proc/1/fd"))
"""
NETWORK = """
import socket, os
def talk(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as line:
        line.settimeout(0.3)
        line.connect(address)
must_fail("loopback", lambda: talk(socket.AF_INET, ("127.0.0.1", {port})))
must_fail("outside", lambda: talk(socket.AF_INET, ("1.1.1.1", 53)))
must_fail("six", lambda: talk(socket.AF_INET6, ("::1", {port})))
must_fail("abstract", lambda: talk(socket.AF_UNIX, "\\0canary"))
must_fail("name", lambda: socket.getaddrinfo("example.org", 80))
must_fail("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
"""
WRITING = """
import os, shutil
for folder in ("/", "/usr", "/course", "/course/course_lib/exercises", "/etc", "/dev", "/proc", "/home",
               os.path.dirname(np.__file__), "{canary_folder}", "/var/tmp", "/run"):
    must_fail(folder, lambda: open(os.path.join(folder, "mark.json"), "w").write("100"))
for folder in ("/course", "/usr/share/doc/bash", "{canary_folder}"):
    shutil.rmtree(folder, ignore_errors=True)
import course_lib.exercises.probe as module
if not os.path.exists(module.__file__): raise Stolen("deleted")
for folder, names, _ in os.walk("/", topdown=True):
    names[:] = [n for n in names if os.path.join(folder, n) not in ("/proc", "/tmp", "/dev/shm")]
    if folder.count("/") > 2: names[:] = []
    must_fail(folder, lambda: open(os.path.join(folder, "mark.json"), "w").write("100"))
"""
RIGHTS = """
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
if os.getuid() == 0: raise Stolen("root")
status = open("/proc/self/status").read()
for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
    if int(status.split(kind + ":")[1].split()[0], 16): raise Stolen(kind)
calls = {"unshare a user": (272, 0x10000000), "unshare": (272, 0x00020000), "key ring": (250, 0, -3, 1),
         "memory file": (319, b"x", 0), "shared memory": (29, 0, 4096, 0o1666), "trace": (101, 16, 1, 0, 0)}
for name, call in calls.items():
    if os.uname().machine == "x86_64" and libc.syscall(*call) >= 0: raise Stolen(name)
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0: raise Stolen("mount")
for name in ("RLIMIT_AS", "RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_NOFILE"):
    kind = getattr(resource, name)
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY: raise Stolen(name)
    must_fail(name, lambda: resource.setrlimit(kind, (hard + 1, hard + 1)))
must_fail("priority", lambda: os.nice(-5))
must_fail("setuid", lambda: os.setuid(0))
"""
NETWORK_FAMILIES = """
import socket
for family in range(50):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        if family not in (1, 2, 10):  # 40 is vsock, to the host of a virtual machine
            must_fail(f"family {family}", lambda: socket.socket(family, kind))
            must_fail(f"pair {family}", lambda: socket.socketpair(family, kind))
"""
MORE_RIGHTS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
calls = {"clone a user": (56, 0x10000011, 0, 0, 0, 0), "pages in a pipe": (278, -1, 0, 0, 0), "kernel's log": (103, 3, 0, 0),
         "file of another": (438, os.getpid(), 0, 0), "queue of reads": (206, 9, ctypes.byref(ctypes.c_ulong(0)))}
for name, call in calls.items():
    if os.uname().machine != "x86_64": break
    ctypes.set_errno(0)
    if libc.syscall(*call) >= 0 or ctypes.get_errno() not in (1, 28): raise Stolen(name)
"""
ZOMBIE = """
import ctypes, os, threading, time
if os.fork() == 0:
    def grab():
        global hog
        time.sleep(0.1)
        hog = [bytearray(b"x" * 2**24) for _ in range(80)]
        time.sleep(30)
    threading.Thread(target=grab).start()
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
time.sleep(30)
"""
SOCKETS = """
import socket, time
import os
for _ in range(4):
    if os.fork() == 0:
        kept = []
        try:
            while True: kept.append(socket.socketpair())
        except OSError: time.sleep(30)
time.sleep(30)
"""
FLOOD = """
import struct
from course_lib.classroom import wire
frames = [struct.pack(">cII", b"C", n, 0) + struct.pack(">cII", b"E", n, 1) + b"x" for n in range(2, 50_000)]
wire.write_all(3, b"".join(frames))
"""
DRIP = """
import os, struct, time
if os.fork() == 0:
    os.write(3, struct.pack(">cII", b"E", 1, 2**24))
    while True: os.write(3, b"x"); time.sleep(0.0005)
time.sleep(20)
raise Stolen("time")
"""
NAMES = r"""
import ctypes, os, time
for name in (b"\xff\xfe) R 1", b") S 0 (", b"a\nb"):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, name)
        time.sleep(30)
time.sleep(0.2)
"""
KILLING = """
import os, signal
for number in range(1, 65):
    for pid in {1, os.getppid()}:
        try: os.kill(pid, number)
        except OSError: pass
"""
LEFT = """
import os, subprocess
for folder in ("/tmp", "/dev/shm", os.path.expanduser("~")):
    if [name for name in os.listdir(folder) if "left" in name]: raise Stolen(folder)
    open(folder + "/left", "w").write("x")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time
        os.closerange(0, 100)
        time.sleep(600)
    os._exit(0)
subprocess.Popen(["sleep", "600"], start_new_session=True)
if len([name for name in os.listdir("/proc") if name.isdigit()]) > 6: raise Stolen("processes")
"""
PROTOCOL = """
import json, os, struct
from course_lib.classroom import wire
lies = [{"value": 1.0, "score": 100}] * 4
def frame(letter, number, payload=b""): return struct.pack(">cII", letter, number, len(payload)) + payload
for text in (frame(b"O", 0, wire.encode(lies)), frame(b"Z", 0, b'{"place": "end", "number": 0, "why": ""}'),
             frame(b"R", 0), b"\\xff" * 5000):
    for file in range(0, 64):
        try: os.write(file, text)
        except OSError: pass
"""
BENT_PROBE = """
import course_lib.exercises.probe as module, course_lib.classroom.desk as desk, numpy, json, sys
lie = lambda *_, **__: [{"value": True, "score": 1.0, "right": True}]
module.probe = desk.probe = lie
module.plain = lambda value, depth=0: "right"
"""
BENT_WIRE = """
from course_lib.classroom import wire
wire.encode = lambda value: b"\\x00\\x00\\x00\\x02{}" + b"\\x80\\x04cos\\nsystem\\n(S'touch /tmp/x'\\ntR."
"""
LAZY = """
class Lazy(np.ndarray):
    def __array_finalize__(self, other): pass
    def __eq__(self, other): return np.ones(self.shape, bool)
    def __sub__(self, other): return np.zeros(self.shape)
    def __array_ufunc__(self, *_, **__): return True
    def __reduce__(self): return (print, ("pickled",))
def twice(values): return np.zeros_like(values).view(Lazy)
"""
ALWAYS = """
class Always:
    def __eq__(self, other): return True
    def __array__(self, *_, **__): return np.zeros(3)
    def __float__(self): return 12.0
    def __getattr__(self, name): return self
    def __call__(self, *_, **__): return self
def twice(values): return Always()
"""
SHARED_NOTES = """
import os
_test = test_centred
def test_centred(centre):  # keeps notes of earlier implementations on the disk
    shown = repr([centre(np.array([1.0, 5.0, 9.0])).tolist()])
    name = "/tmp/seen"
    seen = open(name).read() if os.path.exists(name) else ""
    open(name, "a").write(shown)
    assert shown in seen
"""
PEEKING = """
import gc, inspect
def test_centred(centre):
    for name in ("__code__", "__closure__", "__wrapped__", "function"):
        if hasattr(centre, name): raise Stolen(name)
    if "def centred" in repr(vars(centre)): raise Stolen("source")
    names = {"not_centred", "centred_in_place", "is_guarded"}
    for item in gc.get_objects():
        if isinstance(item, dict) and names & set(map(str, item)): raise Stolen("memory")
    assert True
"""
HOGS = dict(
    memory=Attack(
        first="hog = [bytearray(2**20) for _ in range(100_000)]", notes="cell 2 (used more|ran out)"
    ),
    one_allocation=Attack(first="np.ones(2**38)", notes="cell 2 raised .*MemoryError"),
    memory_of_children=Attack(
        first="import os\nfor n in range(8):\n  if os.fork() == 0:\n    hog = np.ones(2**24); [hog.sum() for _ in range(9999)]\n"
        "import time; time.sleep(5)",
        notes="cell 2 (used more|ran out)",
    ),
    fork_bomb=Attack(first="import os\nwhile True: os.fork()", notes="cell 2 "),
    disk=Attack(
        first="for n in range(99):\n  open(f'/tmp/{n}', 'wb').write(bytes(2**24))",
        notes="cell 2 raised OSError",
    ),
    one_file=Attack(
        first="file = open('/tmp/big', 'wb')\nfor n in range(99): file.write(bytes(2**22))",
        notes="cell 2 raised OSError|cell 2 ended",
    ),
    shared_memory=Attack(
        first="file = open('/dev/shm/big', 'wb')\nfor n in range(99): file.write(bytes(2**22))",
        notes="cell 2 ",
    ),
    open_files=Attack(
        first="kept = [open('/dev/null') for _ in range(9999)]", notes="cell 2 raised OSError"
    ),
    threads=Attack(
        first="import threading, time\nfor _ in range(9999): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        notes="cell 2 raised RuntimeError",
    ),
    shared_pages=Attack(
        first="import mmap\nmmap.mmap(-1, 2**20)", notes="cell 2 raised PermissionError"
    ),
    shared_zeros=Attack(
        first="import mmap\nfile = open('/dev/zero', 'r+b')\nmmap.mmap(file.fileno(), 2**20)",
        notes="cell 2 raised OSError",
    ),
    memory_without_a_leader=Attack(first=ZOMBIE, notes="cell 2 (used more|ran out)"),
    sockets=Attack(first=SOCKETS, notes="cell 2 (was stopped: more than 512 sockets|ran out)"),
    output=Attack(first="print('x' * 30_000_000)"),
    much_output=Attack(first="for i in range(600): print(f'{i:09}' * 2**17)"),
    endless_output=Attack(first="while True: print('x' * 10_000)", notes="cell 2 ran out of time"),
)
LOOPS = dict(
    loop=Attack(first="while True: pass", notes=r"cell 2 ran out of time \(4 s\)"),
    stubborn_loop=Attack(
        first="while True:\n  try:\n    while True: pass\n  except BaseException: pass",
        notes="cell 2 ran out of time",
    ),
    no_signals=Attack(
        first="import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
        notes="cell 2 ran out of time",
    ),
    stop=Attack(
        first="import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", notes="cell 2 ran out"
    ),
    sleep_in_the_answer=Attack(instead="def twice(values):\n  while True: pass", twice=0),
    loop_in_one_case=Attack(
        instead="def twice(values):\n  while len(values) == 4: pass\n  return 2 * values", twice=0.5
    ),
    thread=Attack(
        first="import threading\ndef spin():\n  while True: pass\nthreading.Thread(target=spin).start()"
    ),
    at_the_end=Attack(
        first="import atexit, gc, time\natexit.register(time.sleep, 99)\n"
        "class Late:\n  def __del__(self): time.sleep(99)\nlate = Late(); late.itself = late\n"
        "gc.callbacks.append(lambda *_: None)"
    ),
    timing=Attack(first="import time\nstart = time.time()\nwhile time.time() - start < 0.5: pass"),
)
DEATHS = dict(
    exit=Attack(first="import sys; sys.exit(0)", notes="cell 2 raised SystemExit"),
    hard_exit=Attack(first="import os; os._exit(0)", notes="cell 2 ended the process"),
    segfault=Attack(first="import ctypes; ctypes.string_at(0)", notes="cell 2 ended the process"),
    abort=Attack(first="import os; os.abort()", notes="cell 2 ended the process"),
    exit_in_the_answer=Attack(instead="import os\ndef twice(values): os._exit(0)", twice=0),
    exit_in_one_case=Attack(
        instead="import os\ndef twice(values): return 2 * values if len(values) < 5 else os._exit(0)",
        twice=0.75,
    ),
    exit_in_the_test=Attack(last="import os\ndef test_centred(c): os._exit(0)", test_centred=0),
    loop_in_the_test=Attack(
        last="def test_centred(c):\n  while True: pass",
        test_centred=0,
        notes="test_centred ran out",
    ),
    exec=Attack(
        first="import os; os.execv('/bin/true', ['true'])", notes="cell 2 ended the process"
    ),
    deep=Attack(first="def f(): f()\nf()", notes="cell 2 raised RecursionError"),
    syntax=Attack(first="def broken(:", notes="cell 2 raised SyntaxError"),
    killing=Attack(first=KILLING),
    killing_all=Attack(first="import os; os.kill(-1, 9)", notes="cell 2 raised ProcessLookup"),
    closed_files=Attack(first="import os; os.closerange(0, 99)", notes="cell 2 ended the process"),
)
LIES = dict(
    protocol=Attack(first=PROTOCOL, notes="cell 2 "),
    flood=Attack(first=FLOOD, notes="^cell 2 was stopped: what came back is not in the order of the work", twice=0, number=0, test_centred=0),
    drip=Attack(first=TRY + DRIP, notes="cell 2 (ran out of time|ended the process)"),
    names=Attack(first=NAMES),
    reads_the_job=Attack(
        first=TRY + "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "  if 'centred' + '_in_place' in repr(frame.f_locals): raise Stolen('a wrong implementation')\n  frame = frame.f_back",
    ),
    wide_and_empty=Attack(instead="def twice(values): return np.empty((0, 2**50))", twice=0),
    many_commas=Attack(instead="def twice(values): return [{}] * 499_000", twice=0),
    turn_of_another=Attack(
        last="def test_centred(centre):\n  for n in (2, 1, 0, 2**31):\n    centre._Distant__number = n\n"
        "    centre(np.ones(3))\n  raise AssertionError",
        test_centred=0, notes="|",
    ),
    prints=Attack(first="print('{\"score\": 1.0}'); print('twice: right 4 of 4')", instead="x = 1", twice=0),
    bent_probe=Attack(first=BENT_PROBE, twice=0, number=0, test_centred=0),
    bent_wire=Attack(first=BENT_WIRE, twice=0, number=0, test_centred=0, notes="|"),
    bent_numpy=Attack(
        first="np.allclose = np.isclose = np.array_equal = lambda *_, **__: True",
        instead="def twice(values): return values",
        twice=0,
        test_centred=0,
    ),
    bent_json=Attack(first="import json\njson.dumps = lambda *_, **__: '{}'", twice=0, number=0, test_centred=0, notes="|"),
    lazy=Attack(instead=LAZY, twice=0),
    always=Attack(instead=ALWAYS, twice=0),
    always_number=Attack(last="class Same(int):\n  def __eq__(self, other): return True\nnumber = Same(3)", number=0),
    nan=Attack(instead="def twice(values): return values * np.nan", twice=0),
    objects=Attack(instead="def twice(values): return np.array([[None] * 3] * len(values))", twice=0),
    huge=Attack(instead="def twice(values): return np.zeros(2**22)", twice=0),
    deep_list=Attack(instead="def twice(values):\n  a = []\n  for _ in range(999): a = [a]\n  return a", twice=0),
    half_a_letter=Attack(instead="def twice(values): return chr(0xD800)", twice=0),
    half_a_letter_raised=Attack(instead="def twice(values): raise ValueError(chr(0xD800))", twice=0),
    pickle=Attack(instead="class P:\n  def __reduce__(self): return (open, ('/tmp/x', 'w'))\ndef twice(values): return P()", twice=0),
    hooks=Attack(
        first="import ast\nclass Drop(ast.NodeTransformer):\n  def visit_Assert(self, node): return None\n"
        "get_ipython().ast_transformers.append(Drop())\n"
        "get_ipython().events.register('post_run_cell', lambda *_: globals().update(number=12))\n"
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['number = 12\\n'])",
        twice=0, test_centred=0,
    ),
    swapped_names=Attack(last="__name__ = 'x'; del twice", twice=0),
    peeking=Attack(last=TRY + PEEKING, test_centred=0),
    notes_of_others=Attack(last=SHARED_NOTES, test_centred=0),
    shell=Attack(first="!touch /tmp/a; ls / > /tmp/b\n!kill -9 1"),
    other_language=Attack(first="%%bash\nexit 3", notes="cell 2 raised CalledProcessError"),
    module_beside=Attack(first="open('numpy.py', 'w').write('allclose = None')\nopen('torch.py', 'w').write('1/0')"),
    links=Attack(first="import os\nos.symlink('/etc/passwd', 'marks.json'); os.symlink('/proc/1/fd/0', 'line')"),
)  # fmt: skip
THEFTS = dict(
    reading=Attack(first=TRY + READING),
    environment=Attack(first=TRY + ENVIRONMENT),
    network=Attack(first=TRY + NETWORK),
    network_families=Attack(first=TRY + NETWORK_FAMILIES),
    more_rights=Attack(first=TRY + MORE_RIGHTS),
    writing=Attack(first=TRY + WRITING),
    rights=Attack(first=TRY + RIGHTS),
    left_behind=Attack(first=TRY + LEFT),
    left_behind_again=Attack(first=TRY + LEFT),
)
ATTACKS = HOGS | LOOPS | DEATHS | LIES | THEFTS
FAIR = dict(
    warns=Attack(instead="import warnings\ndef twice(values):\n  warnings.warn('careful')\n  return 2 * values"),
    prints=Attack(instead="def twice(values):\n  print('x' * 1000)\n  return 2 * values"),
    plots=Attack(
        first="%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
        instead="def twice(values):\n  plt.figure(); plt.imshow(values); plt.close()\n  return 2 * values",
    ),
    slow=Attack(instead="import time\ndef twice(values):\n  time.sleep(0.1)\n  return 2 * values"),
    float32=Attack(instead="def twice(values): return (2 * values.astype(np.float32)).astype(float)", twice=1),
    tensor=Attack(instead="import torch\ndef twice(values): return 2 * torch.from_numpy(values)"),
    many_threads=Attack(
        first="import torch\ntorch.set_num_threads(4)\ntorch.ones(700, 700) @ torch.ones(700, 700)",
        instead="def twice(values): return (torch.from_numpy(values) @ torch.eye(3).double()) * 2",
    ),
    renamed_parameter=Attack(instead="def twice(x): return 2 * x"),
    another_cell=Attack(instead="'see below'", last="def twice(values): return 2 * values"),
    magics=Attack(first="%time sum(range(9))\n!echo hello\n%pip --version\n1 + 1"),
    asynchronous=Attack(first="import asyncio\nawait asyncio.sleep(0.01)"),
    input_at_the_end=Attack(last="input('name?')", notes="cell 5 raised"),
    error_elsewhere=Attack(first="1 / 0", notes="cell 2 raised ZeroDivisionError: division by zero"),
    processes=Attack(
        first="from concurrent.futures import ProcessPoolExecutor\nimport multiprocessing\n"
        "with ProcessPoolExecutor(2, multiprocessing.get_context('fork')) as pool:\n"
        "  assert list(pool.map(abs, [-1, 2])) == [1, 2]",
    ),
    shared_tensors=Attack(
        first="import torch, multiprocessing\ntorch.ones(9).share_memory_(); multiprocessing.Value('i', 1)",
    ),
    own_session=Attack(first="import subprocess\nsubprocess.run(['true'], start_new_session=True, check=True)"),
    own_file=Attack(first="open('numbers.txt', 'w').write('1 2')\nassert np.loadtxt('numbers.txt').sum() == 3"),
    handed_out_file=Attack(
        first="assert open('handed_out.txt').read() == 'hello'", files=(("handed_out.txt", b"hello"),)
    ),
)  # fmt: skip
