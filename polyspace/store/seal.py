"""JSON lines that check themselves: the last key is the crc32c of what stands before."""

import google_crc32c

CHECKSUM = ',"crc32c":"'


def seal(text: str) -> bytes:
    """Close a JSON object with its checksum and a line break."""
    head = text.removesuffix("}")
    return f'{head}{CHECKSUM}{_checksum(head.encode())}"}}\n'.encode()


def unseal(line: bytes) -> bytes:
    """Give the JSON object that was sealed.

    Args:
        line: Without its line break.

    Raises:
        ValueError: It is not as it was sealed.
    """
    head, _, check = line.rpartition(CHECKSUM.encode())
    if check != f'{_checksum(head)}"}}'.encode():
        raise ValueError("its crc32c differs")
    return head + b"}"


def _checksum(text: bytes) -> str:
    return f"{google_crc32c.value(text):08x}"
