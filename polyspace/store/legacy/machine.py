"""A machine for pickles that can build values and nothing else.

A pickle is a program: its instructions put values together, name functions and classes, and have
them called. This machine knows only the instructions that lists, dicts, tuples, text, bytes and
numbers need, and each name that it is told stands for a class that remembers what it was given.
Any other instruction or name ends the run.

It is not the standard library's: that one also allocates what a pickle only claims to need, and
hashes tuples so deep that the process dies of it.

Source: pickletools of the standard library, which decodes and documents every instruction.
"""

import pickletools
from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, cast

from polyspace.errors import StoreError

VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
"""Instructions whose argument is the value that they put onto the stack."""

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
"""How many values they take off the stack."""

EXPECTED = (
    "expected numpy arrays, lists, dicts, text and numbers: convert it to them with the program "
    "that wrote it"
)


class StandIn:
    """What a pickle gets in place of a class or function."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        """What it was called with."""
        self.state: Any = None
        """What it was told afterwards."""


class Machine:
    """Runs a pickle's instructions."""

    def __init__(self, known: Mapping[str, type[StandIn]]) -> None:
        """Give the names that a pickle may use."""
        self._known = known
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, path: Path) -> object:
        """Run all instructions of a file; give the value that they leave.

        Raises:
            StoreError: An instruction or a name is not known; nothing was executed.
            Exception: The pickle is damaged; altered bytes raise whatever they like.
        """
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            # A file allocates what it is asked to read, whether it has so much or not; a map
            # doesn't. It is no BinaryIO, but can all that pickletools want.
            for opcode, argument, _ in pickletools.genops(cast(BinaryIO, mapped)):
                self._step(opcode.name, argument)
        return self._stack.pop()

    def _step(self, instruction: str, argument: Any) -> None:  # noqa: ANN401
        stack = self._stack
        match instruction:
            case value if value in VALUES:
                stack.append(argument)
            case constant if constant in CONSTANTS:
                stack.append(CONSTANTS[constant])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "MARK":
                self._marks.append(len(stack))
            case "GLOBAL" | "STACK_GLOBAL" | "REDUCE" | "BUILD":
                self._name_or_call(instruction, argument)
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _:
                self._collect(instruction)

    def _collect(self, instruction: str) -> None:
        """Make a list, dict or tuple, or fill one."""
        match instruction:
            case "EMPTY_LIST":
                self._stack.append([])
            case "EMPTY_DICT":
                self._stack.append({})
            case "LIST":
                self._stack.append(self._marked())
            case "DICT":
                values = self._marked()
                self._stack.append({})
                self._fill(values)
            case "TUPLE":
                self._stack.append(tuple(self._marked()))
            case count if count in TUPLES:
                self._stack.append(tuple(self._last(TUPLES[count])))
            case "APPEND":
                self._extend(self._last(1))
            case "APPENDS":
                self._extend(self._marked())
            case "SETITEM":
                self._fill(self._last(2))
            case "SETITEMS":
                self._fill(self._marked())
            case _:
                raise StoreError(f"needs the pickle instruction {instruction!r}, {EXPECTED}")

    def _name_or_call(self, instruction: str, argument: Any) -> None:  # noqa: ANN401
        """Look up a name, or tell a stand-in what it is called with, or its state."""
        match instruction:
            case "GLOBAL":
                self._stack.append(self._named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                self._stack.append(self._named(*self._last(2)))
            case "REDUCE":
                stand_in, arguments = self._last(2)
                if not isinstance(stand_in, type):  # of all classes, only stand-ins get here
                    raise ValueError("a call of what is no name")
                self._stack.append(stand_in(*arguments))
            case _:
                [state] = self._last(1)
                if not isinstance(self._stack[-1], StandIn):
                    raise ValueError("a state for what was not called")
                self._stack[-1].state = state

    def _named(self, module: object, name: object) -> type[StandIn]:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is not text")
        if found := self._known.get(f"{module}.{name}"):
            return found
        hint = " (a torch tensor)" if module.split(".")[0] == "torch" else ""
        raise StoreError(
            f"asks for '{module}.{name}'{hint}, which could execute code and was not touched; "
            f"{EXPECTED}"
        )

    def _last(self, count: int) -> list[Any]:
        """Take some values off the stack."""
        start = len(self._stack) - count
        if start < 0:
            raise ValueError("values that are not there")
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _marked(self) -> list[Any]:
        """Take all values off the stack that are above the last mark."""
        return self._last(len(self._stack) - self._marks.pop())

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise ValueError("entries for what is no list")
        self._stack[-1].extend(values)

    def _fill(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise ValueError("entries for what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # The only keys whose hash is sure to end.
            if not isinstance(key, str):
                raise StoreError(f"holds a dict with a {type(key).__name__} as key, {EXPECTED}")
            self._stack[-1][key] = value
