"""What the heart asks of the world. Adapters answer it; neither side imports the other."""

from moie_worker.ports.actions import REMEMBERED, Action, ActionContext, Item, Notebook, Pause
from moie_worker.ports.memory import Alerts, Chain, DeadLetterBox, Meter, RunLog
from moie_worker.ports.policies import Decided, Effect, Rulings
from moie_worker.ports.receipts import Drop, Receipts, Waiting, Witness
from moie_worker.ports.signing import Signer, Verifier
from moie_worker.ports.store import Fleet, Store
from moie_worker.ports.world import Clock, ClosingStop, Command, Evidence, Files, Runner, Stop, Watchdog

__all__ = [
    "REMEMBERED",
    "Action",
    "ActionContext",
    "Alerts",
    "Chain",
    "Clock",
    "ClosingStop",
    "Command",
    "DeadLetterBox",
    "Decided",
    "Drop",
    "Effect",
    "Evidence",
    "Files",
    "Fleet",
    "Item",
    "Meter",
    "Notebook",
    "Pause",
    "Receipts",
    "Rulings",
    "RunLog",
    "Runner",
    "Signer",
    "Stop",
    "Store",
    "Verifier",
    "Waiting",
    "Watchdog",
    "Witness",
]
