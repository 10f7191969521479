"""From settings to adapters to the heart: the one place that knows all of them."""

import logging
import socket
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from moie_worker import settings
from moie_worker.actions import registry
from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.heads import HeadFolder
from moie_worker.adapters.keys import KeyFolder, KeyRing, KeySigner, PublicKey, Role, parse_keys
from moie_worker.adapters.ping import Pinger, Target
from moie_worker.adapters.privileges import can_give_up_new_privileges
from moie_worker.adapters.redis.alerts import RedisAlerts
from moie_worker.adapters.redis.chain import RedisChain
from moie_worker.adapters.redis.connect import Client, connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.notebook import RedisNotebook
from moie_worker.adapters.redis.rulings import RedisRulings
from moie_worker.adapters.redis.run_log import RedisRunLog
from moie_worker.adapters.redis.snapshots import RedisShelf
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.adapters.shell import ShellRunner
from moie_worker.adapters.shell_programs import Program, Programs, found_programs
from moie_worker.adapters.shell_rights import Rights
from moie_worker.adapters.shell_spaces import Namespaces, try_namespaces
from moie_worker.adapters.shell_spawn import base_environment as shell_base
from moie_worker.adapters.shell_user import can_become_others, why_not_as
from moie_worker.adapters.snapshot_folder import SnapshotFolder, plans_in
from moie_worker.errors import DocumentError, InputError, MoieError
from moie_worker.heart.policing import Policing
from moie_worker.heart.receipts import Sealer
from moie_worker.heart.snapshots import Keeper, before_heartbeat, gone
from moie_worker.plan.doctor import Holding
from moie_worker.plan.policies import Policies, read_policies
from moie_worker.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class System:
    """Everything, made when it is first asked for. Not to be carried over a fork: make another one there."""

    settings: Settings

    @cached_property
    def client(self) -> Client:
        """The one client of this process; safe for threads."""
        return connect(self.settings.state_url(), deadline=self.settings.redis_timeout)

    @cached_property
    def fleet(self) -> RedisFleet:
        """Plans, workers, beats and the bell."""
        return RedisFleet(self.client)

    @cached_property
    def alerts(self) -> RedisAlerts:
        """What somebody has to be told of."""
        return RedisAlerts(self.client)

    @cached_property
    def chain(self) -> RedisChain:
        """How far heartbeats come."""
        return RedisChain(self.client)

    @cached_property
    def pinger(self) -> Pinger | None:
        """Tells the outside of heartbeats; None where nobody is to be told."""
        told = self.settings
        if told.ping_url is None:
            return None
        return Pinger(Target(told.ping_url.get_secret_value(), told.ping_method, told.ping_private), self.chain)

    @cached_property
    def clock(self) -> SystemClock:
        """The clock of this machine."""
        return SystemClock()

    @cached_property
    def actions(self) -> registry.Registry:
        """What jobs can do."""
        return registry.load(defaults={"arxiv_scan": {"address": self.settings.arxiv_url}})

    @cached_property
    def runner(self) -> ShellRunner:
        """Runs commands; one in a process."""
        told = self.settings
        return ShellRunner(settings.base_environment(), told.output_head, told.output_tail, self.rights)

    @cached_property
    def rights(self) -> Rights:
        """What commands may be here. Raises InputError where what is asked for cannot be had."""
        told = self.settings
        apart = told.containment != "group" and not self.namespaces.why_not
        if told.containment == "pid" and not apart:
            why = self.namespaces.why_not
            raise InputError(f"MOIE_CONTAINMENT: no PID namespaces here: {why}. Say `auto` to do without")
        return Rights(frozenset(told.run_as_users.split()), told.no_new_privileges, apart, self._programs())

    @cached_property
    def namespaces(self) -> Namespaces:
        """What PID namespaces this process can have; one is made to find out."""
        return try_namespaces(for_others=bool(self.settings.run_as_users.split()) and can_become_others())

    def _programs(self) -> Programs | None:
        found = self.programs()
        return Programs(frozenset(filter(None, found.values()))) if found else None

    def programs(self) -> dict[str, Program | None]:
        """The programs that commands may begin with, as the settings name them; none: any."""
        path = shell_base(settings.base_environment())["PATH"]
        return found_programs(self.settings.allowed_programs.split(), path)

    def held(self) -> Holding:
        """How commands of a worker are held that is started as this process was."""
        told = self.settings
        return Holding(
            no_new_privileges=told.no_new_privileges,
            can_give_up=can_give_up_new_privileges(),
            containment=told.containment,
            namespaces=self.namespaces.told,
            no_namespaces=self.namespaces.why_not,
            programs={word: found.file if found else "" for word, found in self.programs().items()},
            run_as={user: why_not_as(user) for user in told.run_as_users.split()},
        )

    @cached_property
    def keys(self) -> KeyFolder:
        """The keys of this machine."""
        return KeyFolder(self.settings.key_folder)

    def author(self, name: str | None = None) -> KeySigner | None:
        """Who signs plans; the one of the settings unless named. Raises NotFoundError, InputError."""
        chosen = name or self.settings.sign_key
        return self.keys.signer(chosen, Role.AUTHOR) if chosen else None

    @cached_property
    def trusted_authors(self) -> list[PublicKey]:
        """Whose signature lets a job be executed here. Raises InputError."""
        return self._trusted(Role.AUTHOR)

    def _trusted(self, role: Role) -> list[PublicKey]:
        told = parse_keys(self.settings.trusted_keys, "MOIE_TRUSTED_KEYS")
        return [*self.keys.trusted(role), *(key for key in told if key.role is role)]

    @cached_property
    def signatures_required(self) -> bool:
        """Whether only what a trusted author signed is executed here, be it that none is trusted. Raises InputError."""
        return bool(self.trusted_authors) or self.settings.require_signed or self.keys.signatures_required

    @property
    def authors(self) -> KeyRing | None:
        """Checks signatures of plans; None when none are needed. Raises InputError."""
        return KeyRing(self.trusted_authors) if self.signatures_required else None

    @cached_property
    def receipt_signer(self) -> KeySigner | None:
        """The key of this machine's workers; None, and a line in the log, where there can be none."""
        try:
            return self.keys.worker(socket.gethostname())
        except (MoieError, OSError) as error:
            log.error("no receipts are written: %s. Set MOIE_KEYS to a folder that workers can write to", error)
            return None

    def receipt_keys(self) -> KeyRing:
        """Whose receipts count on this machine: its own workers', and those that it trusts. Raises InputError."""
        return KeyRing([*self.keys.held(Role.WORKER), *self._trusted(Role.WORKER)])

    def sealer(self, who: str) -> Sealer:
        """Closes the chains of receipts; what is wrong with keys is in the log and keeps no heart from beating."""
        try:
            return Sealer(self.receipt_signer, self.receipt_keys(), self.settings.receipts_kept, who, self.heads)
        except MoieError as error:
            log.error("no receipts are sealed: %s", error)
            return Sealer(None, KeyRing([]), self.settings.receipts_kept, who, self.heads)

    @property
    def heads(self) -> HeadFolder:
        """What this machine remembers of the chains of receipts."""
        return HeadFolder(self.settings.home / "heads")

    def store(self, plan: str | None = None) -> RedisStore:
        """A plan; the one of the settings unless named."""
        return RedisStore(self.client, plan or self.settings.plan)

    def keeper(self, plan: str | None = None) -> Keeper:
        """Snapshots of a plan, on the disk of this machine and in Redis."""
        name = plan or self.settings.plan
        store = self.store(name)
        return Keeper(store, (SnapshotFolder(self.snapshots, name), RedisShelf(self.client, name)))

    def before_heartbeat(self, plan: str) -> str:
        """Save a plan before its heartbeat; says what went wrong."""
        return before_heartbeat(self.keeper(plan))

    def gone(self, plan: str) -> str | None:
        """What to say of a plan that is not loaded and has snapshots on this machine; None when all is well."""
        if plan in self.fleet.plans() and self.store(plan).overview().flags.revision:
            return None
        return gone(plan, SnapshotFolder(self.snapshots, plan))

    def all_gone(self) -> dict[str, str]:
        """The same of every plan that this machine knows from before, by plan."""
        return {plan: told for plan in plans_in(self.snapshots) if (told := self.gone(plan))}

    @property
    def snapshots(self) -> Path:
        """Where this machine keeps snapshots, a directory for each plan."""
        return self.settings.home / "snapshots"

    @cached_property
    def policies(self) -> Policies | None:
        """The rules of this machine; None where there are none. Raises InputError for a file that holds none."""
        file = self.settings.policies
        if file is None:
            return None
        try:
            return read_policies(file.read_bytes(), str(file))
        except OSError as error:
            raise InputError(f"MOIE_POLICIES: {file} cannot be read: {error.strerror}") from None
        except DocumentError as error:
            raise InputError("\n".join(f"{file}: {problem}" for problem in error.problems)) from None

    def policing(self, plan: str, worker: str) -> Policing | None:
        """What keeps the rules for a plan on a worker; None where there are none. Raises InputError."""
        rules = self.policies
        if rules is None:
            return None
        return Policing(plan, worker, rules, self.rulings(plan), self.store(plan).overview)

    def rulings(self, plan: str | None = None) -> RedisRulings:
        """What rules decided about a plan, and whose turn it is."""
        return RedisRulings(self.client, plan or self.settings.plan)

    def dead_letters(self, plan: str | None = None) -> RedisDeadLetters:
        """The dead letters of a plan, of tasks and of messages."""
        return RedisDeadLetters(self.client, plan or self.settings.plan)

    def run_log(self, plan: str | None = None) -> RedisRunLog:
        """The runs of cyclic jobs and of watched periodic tasks."""
        return RedisRunLog(self.client, plan or self.settings.plan)

    def notebook(self, plan: str | None = None) -> RedisNotebook:
        """What actions remember."""
        return RedisNotebook(self.client, Keys(plan or self.settings.plan))

    @property
    def data_dir(self) -> Path:
        """Where actions put files for people."""
        return self.settings.home / "data"


def system() -> System:
    """The system that the environment describes. Raises InputError."""
    return System(settings.load())
