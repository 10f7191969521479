"""Ed25519 keys as files: private ones for their owner alone, public ones as one short text.

A folder holds `NAME.ROLE.key` (PKCS#8, mode 0600) for each key of this machine, and `trusted/NAME.ROLE.pub` for each
public key that somebody decided to trust. The public text is `moie-ROLE:NAME:` and 43 characters of base64. The file
`signatures-required` is there since an author was trusted first: who removes the last one trusts nobody, not everybody.
"""

import base64
import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from moie_worker.adapters.files import create_private
from moie_worker.errors import InputError, NotFoundError, RefusedError

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
TEXT = re.compile(r"moie-(author|worker):([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{43})", re.ASCII)
ID_DIGITS = 16  # of the SHA-256 of the public key: enough to tell the few keys apart that are trusted
REQUIRED = "signatures-required"
REQUIRED_TEXT = "Only what a trusted author signed is executed on this machine. Remove this file to execute anything.\n"
OTHERS_READ = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Role(StrEnum):
    """What a key signs. A key of one role is never taken for one of another."""

    AUTHOR = "author"  # plans: what may be executed
    WORKER = "worker"  # receipts: what was executed


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What others need to check signatures."""

    role: Role
    name: str
    raw: bytes

    @property
    def id(self) -> str:
        """Named in every signature."""
        return hashlib.sha256(self.raw).hexdigest()[:ID_DIGITS]

    @property
    def text(self) -> str:
        """The form for files, settings and people."""
        return f"moie-{self.role}:{self.name}:{base64.urlsafe_b64encode(self.raw).decode().rstrip('=')}"

    @classmethod
    def parse(cls, text: str, where: str) -> "PublicKey":
        """Read what `text` wrote. Raises InputError naming `where` it stood."""
        found = TEXT.fullmatch(text.strip())
        if found is None:
            raise InputError(
                f"{where}: is no public key. It looks like moie-author:NAME:… and 43 characters more; "
                "`moie keys show NAME` prints it"
            )
        role, name, encoded = found.groups()
        return cls(Role(role), name, base64.urlsafe_b64decode(encoded + "="))


class KeySigner:
    """Implements `Signer` with one private key."""

    def __init__(self, public: PublicKey, private: Ed25519PrivateKey) -> None:
        self.public = public
        self._private = private

    @property
    def key_id(self) -> str:
        """See `Signer`."""
        return self.public.id

    def sign(self, data: bytes) -> bytes:
        """See `Signer`; 64 bytes, the same for the same data."""
        return self._private.sign(data)


class KeyRing:
    """Implements `Verifier` with the public keys it was given."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key.id: Ed25519PublicKey.from_public_bytes(key.raw) for key in keys}

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """See `Verifier`."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """The keys of one machine. A folder that is not there is an empty one."""

    root: Path

    @property
    def _trust(self) -> Path:
        return self.root / "trusted"

    def make(self, name: str, role: Role) -> KeySigner:
        """Make a pair of keys. Raises RefusedError when there is one of that name and role, InputError."""
        path = self._private(name, role)
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self._prepare(self.root)
        try:
            self._create(path, pem)
        except FileExistsError:
            raise RefusedError(f"{path} is there already; give another name, or move it away") from None
        return _signer(private, name, role)

    def signer(self, name: str, role: Role) -> KeySigner:
        """The private key of that name. Raises NotFoundError, InputError when others could have read it."""
        path = self._private(name, role)
        try:
            pem = _read_guarded(
                path, OTHERS_READ, "read by others: it is no secret any more. Make another key, or chmod 600"
            )
            private = load_pem_private_key(pem, password=None)
        except FileNotFoundError:
            raise NotFoundError(
                f"no {role} key {name!r} in {self.root}: `moie keys make {name} --role {role}`"
            ) from None
        except (ValueError, TypeError):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise InputError(f"{path}: holds no Ed25519 private key in PEM without a password")
        return _signer(private, name, role)

    def worker(self, host: str) -> KeySigner:
        """The key with which this machine signs receipts: the first one by name; when there is none, one is made.

        Raises InputError, OSError.
        """
        if held := self.held(Role.WORKER):
            return self.signer(held[0].name, Role.WORKER)
        name = re.sub(r"[^A-Za-z0-9_-]", "-", host)[:64] or "worker"
        try:
            return self.make(name, Role.WORKER)
        except RefusedError:  # another process was faster
            return self.signer(name, Role.WORKER)

    def held(self, *roles: Role) -> list[PublicKey]:
        """The public halves of the private keys that are here, of some roles or of all, by name."""
        pairs = sorted(path.stem.rpartition(".")[::2] for path in self.root.glob("*.key"))
        wanted = set(roles or Role)
        return [self.signer(name, Role(role)).public for name, role in pairs if role in wanted and NAME.fullmatch(name)]

    def trust(self, key: PublicKey) -> Path:
        """Trust a key from now on; returns its file. Raises RefusedError when its name stands for another one.

        With the first author signatures are required here, whatever becomes of the author. Raises InputError.
        """
        path = self._trust / f"{key.name}.{key.role}.pub"
        self._prepare(self.root)
        self._prepare(self._trust)
        if key.role is Role.AUTHOR:
            self._require()
        try:
            self._create(path, f"{key.text}\n")
        except FileExistsError:
            if self._trusted(path) != key:
                raise RefusedError(
                    f"{path} holds another key; remove it first if that one is trusted no more"
                ) from None
        return path

    def trusted(self, role: Role) -> list[PublicKey]:
        """The keys trusted in a role, by name.

        Raises InputError for what cannot be read, for a file that is no key or has another name than its key, and for
        what others may write.
        """
        try:
            names = sorted(path.name for path in self._trust.iterdir())
            for folder in (self.root, self._trust):
                _guard(folder.stat(), folder, OTHERS_WRITE, "written by others: anyone could be trusted. chmod 700")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self._trust, error) from None
        keys = [self._trusted(self._trust / name) for name in names if name.endswith(".pub")]
        return [key for key in keys if key.role is role]

    @property
    def signatures_required(self) -> bool:
        """Whether an author was ever trusted here by `trust`. Raises InputError where that cannot be seen."""
        try:
            (self.root / REQUIRED).lstat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(self.root, error) from None
        return True

    def _require(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._create(self.root / REQUIRED, REQUIRED_TEXT)

    def _trusted(self, path: Path) -> PublicKey:
        text = _read_guarded(path, OTHERS_WRITE, "written by others: anyone could be trusted. chmod 600")
        key = PublicKey.parse(text.decode(errors="replace"), str(path))
        if path.name != f"{key.name}.{key.role}.pub":
            raise InputError(
                f"{path}: is the key {key.name!r} of the role {key.role}; name it {key.name}.{key.role}.pub"
            )
        return key

    def _private(self, name: str, role: Role) -> Path:
        if not NAME.fullmatch(name):
            raise InputError(f"key name {name!r}: use 1 to 64 letters, digits, dashes or underscores")
        return self.root / f"{name}.{role}.key"

    def _prepare(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _closed(folder, error) from None

    def _create(self, path: Path, text: str) -> None:
        """Raises FileExistsError, InputError."""
        try:
            create_private(path, text)
        except FileExistsError:
            raise
        except OSError as error:
            raise _closed(path.parent, error) from None


def parse_keys(text: str, where: str) -> list[PublicKey]:
    """Public keys separated by white space or commas. Raises InputError."""
    return [PublicKey.parse(word, where) for word in text.replace(",", " ").split()]


def _signer(private: Ed25519PrivateKey, name: str, role: Role) -> KeySigner:
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return KeySigner(PublicKey(role, name, raw), private)


def _read_guarded(path: Path, forbidden: int, why: str) -> bytes:
    """The bytes of the very file that was looked at. Raises InputError, FileNotFoundError."""
    try:
        with path.open("rb") as file:
            _guard(os.fstat(file.fileno()), path, forbidden, why)
            return file.read(4096)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None


def _closed(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: {error.strerror}. Set MOIE_KEYS to a folder that you can write to")


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be read: {error.strerror}. Whose signature counts is not known without it")


def _guard(found: os.stat_result, path: Path, forbidden: int, why: str) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise InputError(f"{path}: belongs to another user (uid {found.st_uid}), who could change it. chown it")
    if found.st_mode & forbidden:
        raise InputError(f"{path}: mode {stat.S_IMODE(found.st_mode):04o} lets it be {why} {path}")
