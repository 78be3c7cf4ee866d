"""What a process may do that runs somebody else's code: compute, and read what Python itself consists of.

On Linux the kernel refuses the rest, with EPERM, so that a traceback shows what was tried: seccomp(2)
threads, processes, programs, sockets, writing to files or their attributes, and what is done to other
processes or taken from what they share; landlock(7) reading what is no part of Python or of the policy's own
folder, as others' environment under /proc; capabilities(7) are given up. Elsewhere an audit hook of Python
refuses, which stops what is written in Python, not what calls C.

References
----------
seccomp(2), landlock(7), capget(2) and prctl(2) of Linux 6.x; syscall numbers of asm/unistd_64.h (x86_64) and
asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST_FILES: Final = 64
MOST_OUTPUT: Final = 64 * 1024  # bytes
NICE: Final = 10

_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_KILL, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_LOAD, _EQUALS, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32: Final = 0x4000_0000

# By machine: the audit architecture, and the numbers of what is refused.
_REFUSED: Final[Mapping[str, tuple[int, Sequence[int]]]] = {
    "x86_64": (
        0xC000_003E,
        (
            *(56, 57, 58, 59, 322),  # clone fork vfork execve execveat
            *(41, 42, 43, 44, 46, 47, 49, 50, 53, 288, 299, 307),  # sockets
            *(129, 297, 424, 434, 438),  # rt_sigqueueinfo rt_tgsigqueueinfo pidfd_*
            *(101, 310, 311, 312, 440, 298, 321),  # ptrace process_vm_* kcmp process_madvise perf bpf
            *(109, 112, 105, 106, 113, 114, 117, 119, 125, 126, 160),  # ids, capabilities, setrlimit
            *(141, 142, 144, 203, 314, 251, 256, 279),  # priorities, schedulers, pages: others' too
            *(155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 442),  # roots, mounts, namespaces
            *(29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240, 241),  # shm sem msg mq
            *(319, 447, 323, 206, 425, 426, 427),  # memfd userfaultfd aio io_uring
            *(248, 249, 250, 175, 313, 246, 169, 103),  # keys, modules, kexec, reboot, syslog
            *(76, 77, 85, 258, 259, 133, 83, 84, 86, 87, 88, 82),  # truncate, creat, mkdir, unlink, rename
            *(263, 264, 265, 266, 316, 90, 91, 268, 92, 93, 94, 260),  # ... chmod, chown
            *(132, 235, 261, 280, 188, 189, 190, 197, 198, 199),  # times and attributes of files
            *(
                285,
                73,
                162,
                306,
                22,
                293,
            ),  # fallocate flock sync pipe: disks, locks and pipes are others' too
            *(253, 254, 294, 300, 301, 303, 304, 154),  # inotify fanotify handles modify_ldt
            *(222, 324),  # timer_create membarrier: of signals that wait, and of all CPUs' time
        ),
    ),
    "aarch64": (
        0xC000_00B7,
        (
            *(220, 221, 281),  # clone execve execveat
            *(198, 199, 200, 201, 202, 203, 206, 207, 211, 212, 242, 243, 269),
            *(138, 240, 424, 434, 438),
            *(117, 270, 271, 272, 440, 241, 280),
            *(154, 157, 143, 144, 145, 146, 147, 149, 91, 164),
            *(140, 118, 119, 122, 274, 30, 238, 239),
            *(41, 51, 40, 39, 97, 268, 428, 429, 430, 431, 432, 442),
            *(194, 196, 195, 190, 193, 191, 192, 186, 189, 188, 187, 180, 181),
            *(279, 447, 282, 0, 425, 426, 427),
            *(217, 218, 219, 105, 273, 104, 142, 116),
            *(45, 46, 33, 34, 35, 36, 37, 38, 276, 52, 53, 54, 55),
            *(88, 5, 6, 7, 14, 15, 16),
            *(47, 32, 81, 267, 59),
            *(26, 27, 262, 263, 264, 265),
            *(107, 283),
        ),
    ),
}
_ABSENT: Final = (435, 437)  # clone3, openat2: ENOSYS, so that glibc takes the older call, which is judged
_UNKNOWN: Final = 452  # fchmodat2 and what came after it: likewise, as nobody has judged what is yet to come
_OPENING: Final[Mapping[str, Sequence[tuple[int, int]]]] = {  # the call, and which argument has its flags
    "x86_64": ((2, 1), (257, 2)),
    "aarch64": ((56, 2),),
}
_OWN_ONLY: Final[Mapping[str, Sequence[int]]] = {  # kill tkill tgkill prlimit64: of this process alone
    "x86_64": (62, 200, 234, 302),
    "aarch64": (129, 130, 131, 261),
}
# F_SETOWN F_SETSIG F_SETOWN_EX would let the kernel send signals to others; F_SETLEASE F_NOTIFY hold up who
# writes a file, F_SETPIPE_SZ takes of what all processes of a user share.
_FCNTL: Final = (8, 10, 15, 1024, 1026, 1031)
_PRCTL: Final = (1, 62)  # PR_SET_PDEATHSIG is its tether, PR_SCHED_CORE keeps others off half a core
_REFUSED_WITH: Final[Mapping[str, Sequence[tuple[int, int, Sequence[int]]]]] = {  # the call, argument, values
    "x86_64": ((72, 1, _FCNTL), (157, 0, _PRCTL)),
    "aarch64": ((25, 1, _FCNTL), (167, 0, _PRCTL)),
}
# FIONREAD FIONBIO FIOCLEX FIONCLEX TCGETS TIOCGWINSZ: others change files that are open for reading alone.
_IOCTL: Final = (0x541B, 0x5421, 0x5451, 0x5450, 0x5401, 0x5413)
_ALLOWED_WITH: Final[Mapping[str, Sequence[tuple[int, int, Sequence[int]]]]] = {  # likewise
    "x86_64": ((16, 1, _IOCTL),),
    "aarch64": ((29, 1, _IOCTL),),
}
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_ALL_ACCESS: Final = (1 << 13) - 1  # the thirteen rights of its first version
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3

_PYTHON_REFUSES: Final = (
    *("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"),
    *("socket.", "os.kill", "os.killpg", "_thread.start_new_thread", "pty.spawn", "ctypes.dlopen"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("os.chown", "os.putenv", "shutil."),
)


def confine(memory_bytes: int, folders: Iterable[str]) -> None:
    """Give up, for good, what a policy needs not.

    Parameters
    ----------
    memory_bytes
        Of address space beyond what the process has now.
    folders
        That may be read beside Python's own.

    Raises
    ------
    OSError
        If the kernel refuses to.
    """
    os.nice(NICE)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_FSIZE, MOST_OUTPUT),
    ):
        resource.setrlimit(limit, (value, value))
    readable = [*_of_python(), *folders]
    if not sys.platform.startswith("linux"):
        with contextlib.suppress(ValueError, OSError):  # macOS takes no such limit
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        sys.addaudithook(_Auditor(readable))
        return
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    _give_up_capabilities(libc)
    _called(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    if not _restrict_reading(libc, readable) or platform.machine() not in _REFUSED:
        sys.addaudithook(_Auditor(readable))
    if platform.machine() in _REFUSED:
        _filter_calls(libc, platform.machine())


def _of_python() -> Iterator[str]:
    """Yield what Python, its packages and Bookrunner's own code consist of."""
    here = Path(__file__).parents[2]
    yield from (str(here / "libs"), str(here / "bookrunner"), sys.prefix, sys.base_prefix)
    yield from (path for path in sys.path if path and Path(path).resolve() != here.resolve())
    yield from ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo")
    yield from ("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom")


def _called(returned: int, call: str) -> int:
    if returned < 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
    return returned


def _give_up_capabilities(libc: ctypes.CDLL) -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x2008_0522, 0))  # version 3, this process
    none = ctypes.create_string_buffer(24)
    _called(libc.capset(header, none), "capset")


def _restrict_reading(libc: ctypes.CDLL, readable: Iterable[str]) -> bool:
    """Let the kernel refuse all files but those; return whether it can, which needs Linux 5.13."""
    none = ctypes.c_void_p(None)
    attributes = ctypes.create_string_buffer(struct.pack("=Q", _ALL_ACCESS), 8)
    number, size = ctypes.c_long(_LANDLOCK_CREATE), ctypes.c_size_t(8)
    ruleset = libc.syscall(number, attributes, size, ctypes.c_uint32(0))
    if ruleset < 0 and ctypes.get_errno() in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
        return False
    _called(ruleset, "landlock_create_ruleset")
    for path in dict.fromkeys(readable):
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # what is not there cannot be read
            continue
        access = _READ_FILE | (_READ_FOLDER if Path(path).is_dir() else 0)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12)
        kind, flags = ctypes.c_int(1), ctypes.c_uint32(0)
        added = libc.syscall(ctypes.c_long(_LANDLOCK_ADD), ctypes.c_int(ruleset), kind, rule, flags)
        _called(added, f"landlock_add_rule of {path}")
        os.close(place)
    restricted = libc.syscall(
        ctypes.c_long(_LANDLOCK_RESTRICT), ctypes.c_int(ruleset), ctypes.c_uint32(0), none
    )
    _called(restricted, "landlock_restrict_self")
    os.close(ruleset)
    return True


def _filter_calls(libc: ctypes.CDLL, machine: str) -> None:
    """Let the kernel refuse system calls, from the next one on."""
    program = b"".join(_program(machine, os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    pointer = ctypes.create_string_buffer(described, len(described))
    _called(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0), "prctl(PR_SET_SECCOMP)")


def _program(machine: str, pid: int) -> Iterator[bytes]:
    """Yield the instructions of the filter; each refusal stands behind its condition, so no jump is long."""
    architecture, refused = _REFUSED[machine]
    eperm = _instruction(_RETURN, _ERRNO | errno.EPERM)
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield from (_instruction(_EQUALS, architecture, 1, 0), _instruction(_RETURN, _KILL))
    yield _instruction(_LOAD, _NUMBER)
    yield from (_instruction(_AT_LEAST, _X32, 0, 1), eperm)
    yield from (_instruction(_AT_LEAST, _UNKNOWN, 0, 1), _instruction(_RETURN, _ERRNO | errno.ENOSYS))
    for number in refused:
        yield from (_instruction(_EQUALS, number, 0, 1), eperm)
    for number in _ABSENT:
        yield from (_instruction(_EQUALS, number, 0, 1), _instruction(_RETURN, _ERRNO | errno.ENOSYS))
    for number, argument in _OPENING[machine]:  # refused where a flag of writing is set
        yield from (_instruction(_EQUALS, number, 0, 4), _instruction(_LOAD, _ARGUMENTS + 8 * argument))
        yield from (_instruction(_ANY_OF, _WRITING, 0, 1), eperm, _instruction(_RETURN, _ALLOW))
    for number in _OWN_ONLY[machine]:
        yield from (_instruction(_EQUALS, number, 0, 5), _instruction(_LOAD, _ARGUMENTS))
        yield from (_instruction(_EQUALS, pid, 2, 0), _instruction(_EQUALS, 0, 1, 0))
        yield from (eperm, _instruction(_RETURN, _ALLOW))
    for number, argument, values in _REFUSED_WITH[machine]:
        yield _instruction(_EQUALS, number, 0, 2 + 2 * len(values))
        yield _instruction(_LOAD, _ARGUMENTS + 8 * argument)
        for value in values:
            yield from (_instruction(_EQUALS, value, 0, 1), eperm)
        yield _instruction(_RETURN, _ALLOW)
    for number, argument, values in _ALLOWED_WITH[machine]:
        yield _instruction(_EQUALS, number, 0, 2 + 2 * len(values))
        yield _instruction(_LOAD, _ARGUMENTS + 8 * argument)
        for value in values:
            yield from (_instruction(_EQUALS, value, 0, 1), _instruction(_RETURN, _ALLOW))
        yield eperm
    yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, when_true, when_false, value)


class _Auditor:
    """What Python refuses where the kernel does not."""

    def __init__(self, readable: Iterable[str]) -> None:
        self._readable = tuple(Path(path).resolve() for path in readable)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._judge(*arguments)
        elif event.startswith(_PYTHON_REFUSES):
            raise PermissionError(errno.EPERM, f"a policy may not: {event}")

    def _judge(self, path: str | bytes | int, mode: object, flags: int) -> None:
        if isinstance(path, int):
            return
        place = Path(os.fsdecode(path)).resolve()
        readable = any(place.is_relative_to(folder) for folder in self._readable)
        if flags & _WRITING or not readable:
            raise PermissionError(errno.EPERM, f"a policy may not open {path!r} ({mode})")
