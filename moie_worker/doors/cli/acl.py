"""`moie acl`"""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from moie_worker import settings
from moie_worker.adapters.files import create_private
from moie_worker.adapters.redis.acl import Account, Broker, grants, hashed
from moie_worker.errors import InputError
from moie_worker.setting_types import WEAK_BELOW

PASSWORD_BYTES = 24


@click.command("acl")
@click.option("--queue", "queues", metavar="NAME", multiple=True, help="A queue of the workers. [default: default]")
@click.option("--db", type=click.IntRange(0), default=0, show_default=True, help="The database that holds the broker.")
@click.option("--passwords", "file", metavar="FILE", help="Lines of USER=PASSWORD. [default: acl.secret in MOIE_HOME]")
@click.option("--template", is_flag=True, help="Print $MOIE_REDIS_BEAT_PASSWORD and so on in place of digests.")
def acl_command(queues: tuple[str, ...], db: int, file: str | None, template: bool) -> None:
    """Print the users of Redis for beat, worker, flower, cli and reader, as lines of its ACL file.

    Passwords are read from a file, which is made with new ones when there is none; what is printed holds their
    digests only. Nothing is changed in Redis.
    """
    rule = _placeholder if template else _rule_of(Path(file) if file else settings.load().home / "acl.secret")
    for grant in grants(Broker(queues or ("default",), db)):
        click.echo(f"user {grant.rules(rule(grant.account))}")


def variable(account: Account) -> str:
    """The variable that holds a user's password where rules are a template."""
    return f"MOIE_REDIS_{account.upper()}_PASSWORD"


def _placeholder(account: Account) -> str:
    return f">${variable(account)}"


def _rule_of(path: Path) -> Callable[[Account], str]:
    known = _passwords(path)
    click.echo(f"the passwords are in {path}", err=True)
    return lambda account: hashed(known[account])


def _passwords(path: Path) -> Mapping[Account, str]:
    """Those of the file, made first when it is not there. Raises InputError."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_private(path, "".join(f"{one}={secrets.token_hex(PASSWORD_BYTES)}\n" for one in Account))
        lines = [line.strip().partition("=") for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be used for passwords: {error}") from None
    found = {name.strip(): password.strip() for name, _, password in lines}
    for account in Account:
        if len(found.get(account, "")) < WEAK_BELOW:
            raise InputError(f"{path}: needs a line {account}=PASSWORD of at least {WEAK_BELOW} characters")
    return {account: found[account] for account in Account}
