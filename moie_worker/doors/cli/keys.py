"""`moie keys`: who may say what is executed, and whose word about it counts."""

from collections.abc import Callable
from typing import Any

import click

from moie_worker import settings
from moie_worker.adapters.keys import KeyFolder, PublicKey, Role, parse_keys
from moie_worker.doors.cli.desk import json_option
from moie_worker.doors.cli.files import read_bytes, shown
from moie_worker.doors.cli.output import print_json, print_table
from moie_worker.errors import InputError

HEADERS = ("name", "role", "id", "private key", "trusted")
ROLES = click.Choice([str(role) for role in Role])


def role_option(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--role`"""
    said = "author: signs plans. worker: signs receipts."
    return click.option("--role", type=ROLES, required=required, default=None if required else "author", help=said)


def folder() -> KeyFolder:
    """The keys of this machine."""
    return KeyFolder(settings.load().key_folder)


@click.group("keys")
def keys_command() -> None:
    """The keys of this machine, files in MOIE_KEYS, and the public keys of others that it trusts."""


@keys_command.command("make")
@click.argument("name")
@role_option(required=True)
def make_command(name: str, role: str) -> None:
    """Make a pair of keys and print the public one. The private one never leaves MOIE_KEYS."""
    made = folder().make(name, Role(role))
    click.echo(made.public.text)


@keys_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the keys that are here and those that are trusted."""
    keys = folder()
    held, trusted = keys.held(), [key for role in Role for key in keys.trusted(role)]
    both = sorted({*held, *trusted}, key=lambda key: (key.name, key.role))
    if as_json:
        print_json([_fields(key, held, trusted) for key in both])
    elif both:
        print_table(HEADERS, [_row(key, held, trusted) for key in both])
    else:
        click.echo(f"no keys in {keys.root}: `moie keys make NAME --role author`")


@keys_command.command("show")
@click.argument("name")
@role_option(required=False)
def show_command(name: str, role: str) -> None:
    """Print the public key of NAME, for whoever is to trust it."""
    click.echo(folder().signer(name, Role(role)).public.text)


@keys_command.command("trust")
@click.argument("file")
def trust_command(file: str) -> None:
    """Trust the public keys in FILE (`-`: standard input) on this machine.

    Once an author is trusted, the workers that read this MOIE_KEYS execute nothing without a trusted signature; restart
    them. To trust a key no more, remove its file: signatures stay required, also when no author is left.
    """
    found = parse_keys(read_bytes(file).decode(errors="replace"), shown(file))
    if not found:
        raise InputError(f"{shown(file)}: holds no public key; `moie keys show NAME` prints one")
    for key in found:
        click.echo(f"trusts the {key.role} {key.name} ({key.id}): {folder().trust(key)}")


def _fields(key: PublicKey, held: list[PublicKey], trusted: list[PublicKey]) -> dict[str, object]:
    return {
        "name": key.name, "role": str(key.role), "id": key.id,
        "held": key in held, "trusted": key in trusted, "public": key.text,
    }  # fmt: skip


def _row(key: PublicKey, held: list[PublicKey], trusted: list[PublicKey]) -> tuple[str, ...]:
    return key.name, str(key.role), key.id, "here" if key in held else "–", "yes" if key in trusted else "no"
