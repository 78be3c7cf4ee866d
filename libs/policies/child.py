"""The process of one policy: it answers what it is asked, one request after the other, and does nothing else.

What the policy raises, whatever it is, becomes an answer; what it does to this process, the host finds out.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import sys
import traceback
import types
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Final, Never

import msgspec
import numpy as np

from broker.tether import die_with_parent
from libs.common.policy import Market, Policy, Signal
from libs.policies.confinement import confine
from libs.policies.described import UnfitPolicyError, described, described_fault
from libs.policies.watching import FileWatch, move_clock
from libs.policies.wire import (
    DUMP,
    LENGTH,
    MOST_REASON,
    ONE_THREAD,
    Evaluate,
    Failed,
    Load,
    Loaded,
    Signalled,
    framed,
    shortened,
)

if TYPE_CHECKING:
    from libs.policies.wire import Answer, Fork, Request

CHANNEL: Final = 3
MODULE: Final = "policy"  # the name under which a file is run: no file's name may hide a module of others

_requests: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Load | Evaluate)
_markets: Final = msgspec.msgpack.Decoder(Market)


class WrongSignalError(TypeError):
    """A policy returned what is no signal."""


def run(channel: int, output: int, fork: Fork, parent: int) -> Never:
    """Become the child: keep only these two files, give everything up, and serve until the channel ends."""
    os.setpgid(0, 0)  # so that kill(0) is of itself alone
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    signal.set_wakeup_fd(-1)
    _keep(channel, output)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable(2)
    faulthandler.register(DUMP, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if sys.platform.startswith("linux"):
        Path("/proc/self/oom_score_adj").write_text("1000")  # of all, it is what memory is taken from first
    for name in set(os.environ) - set(ONE_THREAD):
        del os.environ[name]
    os.chdir("/")
    try:
        confine(fork.memory_bytes, fork.folders)
        _serve()
    except BaseException:
        traceback.print_exc()  # to its output, of which the host reads the end
        raise
    os._exit(0)


def _keep(channel: int, output: int) -> None:
    """Let the channel be file 3 and the output 1 and 2, and no other file be open."""
    channel, output = os.dup(channel), os.dup(output)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for kept, place in ((nothing, 0), (output, 1), (output, 2), (channel, CHANNEL)):
        os.dup2(kept, place, inheritable=False)
    os.closerange(CHANNEL + 1, 4096)


def _serve() -> None:
    policy: Policy | None = None
    watch: FileWatch | None = None
    while (request := _read()) is not None:
        answer: Answer
        try:
            if isinstance(request, Load):
                if request.clock_s:
                    move_clock(request.clock_s)
                policy = _load(request)
                watch = FileWatch() if request.watched else None
                answer = Loaded(nonce=request.nonce, policy=described(policy))
                if wrong := described_fault(answer.policy):
                    answer = Failed(nonce=request.nonce, fault=wrong)
            else:
                answer = _evaluate(policy, request, watch)
        except BaseException as error:  # noqa: BLE001 -- SystemExit and KeyboardInterrupt are its doing, too
            answer = Failed(nonce=request.nonce, fault=_told(error))
        _write(framed(answer))


def _load(request: Load) -> Policy:
    if request.source:
        sys.path.insert(0, str(Path(request.path).parent))
        module = types.ModuleType(MODULE)
        module.__file__ = request.path
        sys.modules[MODULE] = module
        exec(compile(request.source, request.path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 -- what it is for
    else:
        module = importlib.import_module(request.module)
    found = getattr(module, request.attribute, None)
    if not isinstance(found, Policy):
        kind = "missing" if found is None else f"a {type(found).__name__}"
        raise UnfitPolicyError(
            f"its {request.attribute} is {kind}: at the module's level stands "
            f"{request.attribute} = Policy(signal=..., summary=...), of bookrunner"
        )
    gc.collect()
    return found


def _evaluate(policy: Policy | None, request: Evaluate, watch: FileWatch | None) -> Answer:
    if policy is None:
        raise UnfitPolicyError("it was asked before it was loaded")
    market = _markets.decode(request.market)
    market = msgspec.structs.replace(market, parameters=dict(policy.parameters))
    if watch is not None:
        watch.asked = True
    try:
        found = policy.signal(market)
    finally:
        if watch is not None:
            watch.asked = False
    if not isinstance(found, Signal):
        raise WrongSignalError(
            f"it returned a {type(found).__name__}: Signal(value, reason), of bookrunner, is right"
        )
    if isinstance(found.value, (bool, np.bool_)) or not isinstance(found.value, Real):
        raise WrongSignalError(
            f"the value of its signal is a {type(found.value).__name__}: a number is right"
        )
    if not isinstance(found.reason, str):
        raise WrongSignalError(
            f"the reason of its signal is a {type(found.reason).__name__}: a text is right"
        )
    reason = found.reason[:MOST_REASON].encode("utf-8", "replace").decode()
    return Signalled(nonce=request.nonce, value=float(found.value), reason=reason)


def _told(error: BaseException) -> str:
    """Return what was raised, in a line, and the traceback from the policy's own code on."""
    own = error.__traceback__
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    try:
        if isinstance(error, (UnfitPolicyError, WrongSignalError)):
            return shortened(str(error))
        first = traceback.format_exception_only(error)[-1].strip()
        text = "".join(traceback.format_exception(type(error), error, own or error.__traceback__))
    except BaseException:  # noqa: BLE001 -- an exception may fail to say what it is
        first, text = type(error).__name__, ""
    return shortened(f"{first}\n{text}")


def _read() -> Request | None:
    """Return the next request; None when the host closed the channel."""
    head = _read_bytes(LENGTH.size)
    if head is None or (raw := _read_bytes(LENGTH.unpack(head)[0])) is None:
        return None
    return _requests.decode(raw)


def _read_bytes(count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(CHANNEL, min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _write(raw: bytes) -> None:
    while raw:
        raw = raw[os.write(CHANNEL, raw) :]
