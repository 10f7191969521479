"""Keys: made once, kept from others, trusted on purpose, and worth what they sign."""

import base64
import errno
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from moie_worker import wiring
from moie_worker.adapters.keys import KeyFolder, KeyRing, PublicKey, Role, parse_keys
from moie_worker.adapters.memory import MemoryStore
from moie_worker.doors.cli.main import moie
from moie_worker.errors import InputError, NotFoundError, RefusedError

Run = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MOIE_KEYS", str(tmp_path / "keys"))
    return lambda *args, stdin="": CliRunner().invoke(moie, ["keys", *args], input=stdin)


def test_a_signature_holds_for_exactly_the_bytes_that_were_signed(keys: KeyFolder) -> None:
    signer = keys.make("ops", Role.AUTHOR)
    ring = KeyRing([signer.public])
    signature = signer.sign(b"rm")
    assert ring.verify(signer.key_id, b"rm", signature)
    assert not ring.verify(signer.key_id, b"rm -r", signature)
    assert not ring.verify(signer.key_id, b"rm", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not ring.verify(signer.key_id, b"rm", b"")


def test_a_key_that_nobody_trusts_signs_nothing(keys: KeyFolder) -> None:
    ours, theirs = keys.make("ops", Role.AUTHOR), keys.make("eve", Role.AUTHOR)
    ring = KeyRing([ours.public])
    assert not ring.verify(theirs.key_id, b"rm", theirs.sign(b"rm"))
    assert not ring.verify(ours.key_id, b"rm", theirs.sign(b"rm"))


def test_a_key_is_the_same_one_when_it_is_read_again(keys: KeyFolder) -> None:
    made = keys.make("ops", Role.AUTHOR)
    again = keys.signer("ops", Role.AUTHOR)
    assert again.public == made.public
    assert again.sign(b"x") == made.sign(b"x")


def test_no_key_takes_the_place_of_another(keys: KeyFolder) -> None:
    made = keys.make("ops", Role.AUTHOR)
    with pytest.raises(RefusedError, match="is there already"):
        keys.make("ops", Role.AUTHOR)
    assert keys.signer("ops", Role.AUTHOR).public == made.public
    assert keys.make("ops", Role.WORKER).public.raw != made.public.raw


def test_a_key_of_one_role_is_not_found_as_another(keys: KeyFolder) -> None:
    keys.make("ops", Role.WORKER)
    with pytest.raises(NotFoundError, match="no author key 'ops'"):
        keys.signer("ops", Role.AUTHOR)


def test_a_private_key_is_for_its_owner_alone(keys: KeyFolder) -> None:
    keys.make("ops", Role.AUTHOR)
    path = keys.root / "ops.author.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_private_key_that_others_may_read_is_refused(keys: KeyFolder, mode: int) -> None:
    keys.make("ops", Role.AUTHOR)
    (keys.root / "ops.author.key").chmod(mode)
    with pytest.raises(InputError, match=f"mode 0{mode:o} lets it be read by others"):
        keys.signer("ops", Role.AUTHOR)


def test_a_private_key_of_another_user_is_refused(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.make("ops", Role.AUTHOR)
    found = (keys.root / "ops.author.key").stat()
    theirs = os.stat_result([*found[:4], 4242, *found[5:10]])
    monkeypatch.setattr(os, "fstat", lambda descriptor: theirs)
    with pytest.raises(InputError, match=r"belongs to another user \(uid 4242\)"):
        keys.signer("ops", Role.AUTHOR)


@pytest.mark.parametrize("text", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_said_to_be_none(keys: KeyFolder, text: str) -> None:
    keys.make("ops", Role.AUTHOR)
    (keys.root / "ops.author.key").write_text(text)
    with pytest.raises(InputError, match="holds no Ed25519 private key"):
        keys.signer("ops", Role.AUTHOR)


def test_a_public_text_names_role_and_key_and_is_read_again(keys: KeyFolder) -> None:
    key = keys.make("ops", Role.AUTHOR).public
    assert key.text.startswith("moie-author:ops:")
    assert parse_keys(f" {key.text},{key.text}\n", "here") == [key, key]


@pytest.mark.parametrize("text", ["", "moie-author:ops:short", "moie-root:ops:" + 43 * "A", "ssh-ed25519 AAAA"])
def test_a_text_that_is_no_public_key_is_refused_where_it_stands(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: is no public key"):
        PublicKey.parse(text, "here")


def test_a_key_is_trusted_for_its_own_role_only(keys: KeyFolder) -> None:
    author, worker = keys.make("a", Role.AUTHOR).public, keys.make("w", Role.WORKER).public
    assert keys.trusted(Role.AUTHOR) == []
    for key in (author, worker, author):
        keys.trust(key)
    assert keys.trusted(Role.AUTHOR) == [author]
    assert keys.trusted(Role.WORKER) == [worker]


def test_the_name_of_a_trusted_key_cannot_be_taken_over(keys: KeyFolder) -> None:
    key = keys.make("ops", Role.AUTHOR).public
    keys.trust(key)
    with pytest.raises(RefusedError, match="holds another key"):
        keys.trust(PublicKey(Role.AUTHOR, "ops", bytes(32)))
    assert keys.trusted(Role.AUTHOR) == [key]


def test_a_trusted_file_that_says_another_role_is_refused(keys: KeyFolder) -> None:
    worker = keys.make("ops", Role.WORKER).public
    keys.trust(worker).rename(keys.root / "trusted" / "ops.author.pub")
    with pytest.raises(InputError, match=r"name it ops\.worker\.pub"):
        keys.trusted(Role.AUTHOR)


@pytest.mark.parametrize("what", ["", "trusted", "trusted/ops.author.pub"])
def test_trust_that_others_could_change_is_refused(keys: KeyFolder, what: str) -> None:
    keys.trust(keys.make("ops", Role.AUTHOR).public)
    (keys.root / what).chmod(0o770)
    with pytest.raises(InputError, match="anyone could be trusted"):
        keys.trusted(Role.AUTHOR)


@pytest.mark.parametrize("folder", ["", "trusted"])
def test_trust_that_cannot_be_read_is_refused_not_taken_for_none(
    keys: KeyFolder, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `sudo moie keys trust` leaves to a worker of another user."""
    keys.trust(keys.make("ops", Role.AUTHOR).public)
    closed, listed = keys.root / folder, Path.iterdir

    def refusing(path: Path) -> Iterator[Path]:
        if path.is_relative_to(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        keys.trusted(Role.AUTHOR)


def test_a_trusted_key_whose_file_has_no_role_in_its_name_is_refused_not_left_out(keys: KeyFolder) -> None:
    keys.trust(keys.make("ops", Role.AUTHOR).public).rename(keys.root / "trusted" / "ops.pub")
    with pytest.raises(InputError, match=r"name it ops\.author\.pub"):
        keys.trusted(Role.AUTHOR)


def test_signatures_stay_required_when_the_last_author_is_gone(keys: KeyFolder) -> None:
    assert not keys.signatures_required
    keys.trust(keys.make("w", Role.WORKER).public)
    assert not keys.signatures_required  # whose receipts count says nothing of what is executed
    for name in ("ada", "bob"):
        keys.trust(keys.make(name, Role.AUTHOR).public).unlink()
    assert keys.trusted(Role.AUTHOR) == []
    assert keys.signatures_required


def authors_of(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch, **told: str) -> KeyRing | None:
    monkeypatch.setenv("MOIE_KEYS", str(keys.root))
    for name, value in told.items():
        monkeypatch.setenv(f"MOIE_{name.upper()}", value)
    return wiring.system().authors


def test_without_an_author_signatures_are_not_looked_at(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = keys.make("w", Role.WORKER).public
    assert authors_of(keys, monkeypatch) is None
    assert authors_of(keys, monkeypatch, trusted_keys=worker.text) is None


def test_where_signatures_are_required_and_nobody_is_trusted_none_holds(
    keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = keys.make("ops", Role.AUTHOR)
    ring = authors_of(keys, monkeypatch, require_signed="true")
    assert ring is not None
    assert not ring.verify(signer.key_id, b"x", signer.sign(b"x"))


def test_the_only_author_removed_leaves_a_machine_that_executes_nothing(
    keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = keys.make("ops", Role.AUTHOR)
    file = keys.trust(signer.public)
    trusting = authors_of(keys, monkeypatch)
    assert trusting is not None
    assert trusting.verify(signer.key_id, b"x", signer.sign(b"x"))
    file.unlink()
    nobody = authors_of(keys, monkeypatch)
    assert nobody is not None
    assert not nobody.verify(signer.key_id, b"x", signer.sign(b"x"))


def test_workers_trusted_by_the_setting_count_for_receipts(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = keys.make("w", Role.WORKER)
    monkeypatch.setenv("MOIE_KEYS", str(keys.root / "elsewhere"))
    monkeypatch.setenv("MOIE_TRUSTED_KEYS", worker.public.text)
    assert wiring.system().receipt_keys().verify(worker.key_id, b"x", worker.sign(b"x"))


def test_the_command_makes_shows_trusts_and_lists_keys(run: Run, keys: KeyFolder) -> None:
    made = run("make", "ops", "--role", "author")
    assert made.exit_code == 0
    assert run("show", "ops").stdout == made.stdout
    assert json.loads(run("list", "--json").stdout)[0]["trusted"] is False
    assert "trusts the author ops" in run("trust", "-", stdin=made.stdout).stdout
    public = made.stdout.strip()
    (found,) = json.loads(run("list", "--json").stdout)
    assert found == {
        "name": "ops",
        "role": "author",
        "id": found["id"],
        "held": True,
        "trusted": True,
        "public": public,
    }
    assert keys.trusted(Role.AUTHOR)[0].text == public


def test_no_command_prints_a_private_key(run: Run, keys: KeyFolder) -> None:
    said = [run("make", "ops", "--role", "author"), run("show", "ops"), run("list"), run("list", "--json")]
    pem = (keys.root / "ops.author.key").read_text().splitlines()[1]
    secret = base64.b64decode(pem)[-32:]
    forms = [
        pem[-20:],
        secret.hex(),
        base64.b64encode(secret).decode()[:20],
        base64.urlsafe_b64encode(secret).decode()[:20],
    ]
    assert not [form for form in forms for done in said if form in done.output]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("show", "nobody"), 1, "no author key 'nobody'"),
        (("make", "a b", "--role", "author"), 2, "use 1 to 64 letters"),
        (("make", "../x", "--role", "author"), 2, "use 1 to 64 letters"),
        (("trust", "-"), 2, "holds no public key"),
    ],
)
def test_wrong_use_is_answered_in_words(run: Run, args: tuple[str, ...], code: int, says: str) -> None:
    done = run(*args)
    assert done.exit_code == code
    assert says in done.stderr


def test_the_key_of_a_worker_is_made_once_and_found_again(keys: KeyFolder) -> None:
    made = keys.worker("my.host")
    assert (made.public.name, made.public.role) == ("my-host", Role.WORKER)
    assert keys.worker("my.host").public == keys.worker("another-host").public == made.public


def test_workers_that_start_at_once_have_one_key(keys: KeyFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: keys.worker("host").public, range(40)))
    assert set(made) == set(keys.held(Role.WORKER))
    assert len(set(made)) == 1
    assert [path.name for path in keys.root.iterdir()] == ["host.worker.key"]


def test_a_key_of_an_author_that_others_could_read_is_no_concern_of_a_worker(keys: KeyFolder) -> None:
    keys.make("ops", Role.AUTHOR)
    (keys.root / "ops.author.key").chmod(0o644)
    assert keys.worker("host").public.role is Role.WORKER


def test_a_worker_that_cannot_have_a_key_works_without_and_says_so(
    keys: KeyFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys.worker("host")
    (keys.root / "host.worker.key").chmod(0o644)
    monkeypatch.setenv("MOIE_KEYS", str(keys.root))
    system = wiring.system()
    assert system.receipt_signer is None
    assert "no receipts are written" in caplog.text
    assert "can use no key" in system.sealer("w").seal(MemoryStore("p"), "p", 0)
