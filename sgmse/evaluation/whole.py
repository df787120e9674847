"""Files that appear whole or not at all."""

import secrets
from pathlib import Path


def put(path: Path, content: bytes) -> Path:
    """Write a file, in place of an earlier one, with the folders above it. Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
