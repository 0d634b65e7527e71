"""Runs a program without io_uring, as the seccomp profile of a newer Docker does: `python without_io_uring.py PROGRAM ...`.

A filter of four instructions: io_uring_setup (425 on every architecture) fails with EPERM, everything else is allowed.
"""

import ctypes
import os
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH_EPERM = 0x7FFF0000, 0x00050001
IO_URING_SETUP = 425


class Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint))


class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))


def forbid():
    instructions = (Instruction * 4)(
        Instruction(LOAD, 0, 0, 0),  # the number of the call
        Instruction(EQUAL, 0, 1, IO_URING_SETUP),
        Instruction(RETURN, 0, 0, FAIL_WITH_EPERM),
        Instruction(RETURN, 0, 0, ALLOW),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    made = Filter(len(instructions), instructions)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(made)):
        raise OSError(ctypes.get_errno(), "the filter was not taken")


if __name__ == "__main__":
    forbid()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the program in this one's place, with its pid
