"""Signatures: who may make them, and who can check them."""

from typing import Protocol


class Signer(Protocol):
    """Holds one private key and never shows it. Safe to use from several threads."""

    @property
    def key_id(self) -> str:
        """Names the key that checks these signatures; a text without white space."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature of exactly these bytes."""
        ...


class Verifier(Protocol):
    """Knows public keys that somebody decided to trust."""

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Whether the key of this id signed exactly these bytes. False for an unknown key too."""
        ...
