"""What the filter of system calls decides, on both architectures: it is run here as the kernel runs it."""

from __future__ import annotations

import errno
import struct

import pytest

from grader.sandbox import seccomp
from grader.sandbox.seccomp import ALLOW, ARCHITECTURES, ERROR, KILL, Architecture, program

PID = 4711
ABOVE = 4000
X32 = 0x40000000
WRITING, MAKING, EMPTYING = 0o1, 0o100, 0o1000
OPENINGS = (0, WRITING, 2, WRITING | MAKING | EMPTYING, 2 | EMPTYING, 0o2000000)


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return request.param


def decide(code: bytes, audit_number: int, call: int, arguments: tuple[int, ...] = ()) -> int:
    """What the filter returns for a call."""
    values = [argument % 2**64 for argument in (*arguments, *[0] * 6)[:6]]
    data = struct.pack("<IIQ6Q", call, audit_number, 0, *values)
    lines = list(struct.iter_unpack("<HBBI", code))
    loaded = at = 0
    while True:
        kind, if_true, if_false, value = lines[at]
        at += 1
        if kind == seccomp.RETURN:
            return int(value)
        if kind == seccomp.LOAD:
            (loaded,) = struct.unpack_from("<I", data, value)
        elif kind == seccomp.AND:
            loaded &= value
        else:
            holds = {
                seccomp.JUMP_EQUAL: loaded == value,
                seccomp.JUMP_GREATER: loaded > value,
                seccomp.JUMP_ANY_BIT: bool(loaded & value),
            }[kind]
            at += if_true if holds else if_false


def answer(architecture: Architecture, numbers: seccomp.Numbers, *arguments: int, by_path: bool = True) -> int:
    """0 where a call is let through, else the error."""
    number = numbers[architecture.column]
    if number is None:
        pytest.skip("there is no such call")
    code = program(architecture, PID, by_path=by_path)
    decision = decide(code, architecture.audit_number, number, arguments)
    assert decision == ALLOW or decision & 0xFFFF0000 == ERROR
    return 0 if decision == ALLOW else decision & 0xFFFF


def test_calls_of_another_kind_are_not_let_through(architecture: Architecture) -> None:
    code = program(architecture, PID)
    for foreign in (0x40000003, 0x40000028, 0):  # i386, 32 bits of ARM, none
        assert decide(code, foreign, 20) == KILL
    for call in (X32 | 39, seccomp.NEWEST_KNOWN_CALL + 1, 2**32 - 1):
        assert decide(code, architecture.audit_number, call) == ERROR | errno.ENOSYS
    assert decide(code, architecture.audit_number, 0) in (ALLOW, ERROR | errno.EPERM)  # read, io_setup


def test_signals_reach_this_process_alone(architecture: Architecture) -> None:
    kill = seccomp.ON_ITSELF["kill"]
    assert answer(architecture, kill, PID) == 0
    assert answer(architecture, kill, PID | 7 << 32) == 0, "the kernel takes it for the same"
    for other in (0, -1, -PID, ABOVE):
        assert answer(architecture, kill, other) == errno.EPERM


@pytest.mark.parametrize("command", seccomp.NOT_TO_BE_SET)
def test_descriptors_have_no_effect_on_others(architecture: Architecture, command: int) -> None:
    assert answer(architecture, seccomp.FCNTL, 3, command, ABOVE) == errno.EPERM
    assert answer(architecture, seccomp.FCNTL, 3, command | 1 << 32, ABOVE) == errno.EPERM


def test_other_commands_on_descriptors_are_let_through(architecture: Architecture) -> None:
    for command in (0, 1, 2, 3, 5, 6, 7, 1030, 1032, 1033):
        assert answer(architecture, seccomp.FCNTL, 3, command, 2**32 - 1) == 0
    assert answer(architecture, seccomp.FCNTL, 3, seccomp.SET_FLAGS, 0o4002) == 0
    for flags in (0o20000, 0o24002, 1 << 32 | 0o20000):
        assert answer(architecture, seccomp.FCNTL, 3, seccomp.SET_FLAGS, flags) == errno.EPERM


def test_files_have_names_and_are_emptied_by_who_writes(architecture: Architecture) -> None:
    for call, before in ((seccomp.OPENAT, (3, 0)), (seccomp.OPEN, (0,))):
        if call[architecture.column] is None:
            continue
        for flags in OPENINGS:
            assert answer(architecture, call, *before, flags) == 0
            assert answer(architecture, call, *before, flags | seccomp.TMPFILE) == errno.EOPNOTSUPP
        for access in (0, 3):
            assert answer(architecture, call, *before, access | EMPTYING) == errno.EACCES
    assert answer(architecture, seccomp.TRUNCATE) == 0
    assert answer(architecture, seccomp.TRUNCATE, by_path=False) == errno.EPERM


def test_pairs_of_sockets_talk_to_each_other(architecture: Architecture) -> None:
    assert answer(architecture, seccomp.SOCKETPAIR, seccomp.UNIX) == 0
    assert answer(architecture, seccomp.SOCKETPAIR, 30) == errno.EPERM
    assert answer(architecture, seccomp.SENDTO, 3, 0, 1, 0, 0) == 0
    for address in (1, 1 << 32, 0x7F00_0000_0000, 2**64 - 1):
        assert answer(architecture, seccomp.SENDTO, 3, 0, 1, 0, address) == errno.EPERM


def test_only_harmless_controls_are_let_through(architecture: Architecture) -> None:
    for request in seccomp.CONTROLS:
        assert answer(architecture, seccomp.IOCTL, 3, request) == 0
    for request in (0x8901, 0x8902, 0x5452, 0x5412, 0x540E, 0x541C, 0x40305828):
        assert answer(architecture, seccomp.IOCTL, 3, request) == errno.EOPNOTSUPP
    for option in seccomp.PROCESS_CONTROLS:
        assert answer(architecture, seccomp.PRCTL, option) == 0
    for option in (1, 1 | 1 << 32, 4, 8, 22, 24, 28, 35, 36, 47, 59, 62, 0x59616D61):
        assert answer(architecture, seccomp.PRCTL, option) == errno.EPERM


def test_processes_are_threads(architecture: Architecture) -> None:
    assert answer(architecture, seccomp.CLONE, seccomp.CLONE_THREAD | 0xF00) == 0
    assert answer(architecture, seccomp.CLONE, 17) == errno.EAGAIN
    assert answer(architecture, seccomp.DOES_NOT_EXIST["clone3"]) == errno.ENOSYS
