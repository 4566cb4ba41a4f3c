"""What the process that answers for a bundle may not do: ask a network, or unpickle."""

import sys

from polyspace.errors import ExportError

REFUSED = {
    "socket.connect": "the network",
    "socket.bind": "the network",
    "socket.sendto": "the network",
    "socket.sendmsg": "the network",
    "socket.getaddrinfo": "the network",
    "socket.gethostbyname": "the network",
    "pickle.find_class": "pickle",
}
"""Events of CPython's audit that end what asked for them, and what each asks for.

``pickle.find_class`` is every class or function that a pickle names: without any, it holds plain
values. ``torch.load(weights_only=True)`` has a reader of its own, which names a fixed list.
Source: docs.python.org, "Audit events table".
"""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""Environment in which libraries don't try to reach a hub."""


def confine() -> None:
    """Refuse network and pickle to this process, from now on and for good.

    An audit hook guards against mistakes, of ours and of libraries, not against code that was
    written to harm: such code is never loaded to begin with.
    """
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in REFUSED:
        raise ExportError(
            f"loading or running the bundle asked for {REFUSED[event]} ({event}), which whoever "
            f"loads it may not have: export in another format"
        )
