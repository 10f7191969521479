"""What a worker does with jobs that are longer than a lease, with more of them than slots, and with heartbeats."""

import pytest

from moie_worker.plan.states import Place
from tests.farm import Farm, wait_until

pytestmark = pytest.mark.integration


@pytest.mark.fault(17)
@pytest.mark.whole
def test_a_command_longer_than_its_lease_runs_once(farm: Farm) -> None:
    farm.settings |= {"MOIE_LEASE": "2s", "MOIE_RENEW": "0.5s"}
    farm.worker()
    farm.beat()
    farm.load({"id": "long", "task": "outlast", "verification_cmd": f"{farm.sh('$MOIE_TOKEN')}; sleep 7"})
    wait_until(lambda: farm.place("long") == Place.COMPLETED, "it is verified")
    assert len(farm.told()) == 1
    assert farm.journal("job.lost") == []


def test_heartbeats_go_on_while_every_slot_holds_a_long_command(farm: Farm) -> None:
    farm.worker(concurrency=3)
    farm.beat()
    farm.ready("w1")
    quick = [{"id": f"q{number}", "task": "be quick", "verification_cmd": "true"} for number in range(30)]
    farm.load(*quick)
    wait_until(lambda: farm.places() == {Place.COMPLETED: 30}, "it is known that jobs are short here")
    slow = [{"id": f"s{number}", "task": "be slow", "verification_cmd": "sleep 20"} for number in range(12)]
    farm.load(*quick, *slow)
    wait_until(lambda: farm.places().get(Place.RUNNING, 0) >= 2, "every slot is taken")
    beats = farm.store.overview().flags.beats
    wait_until(lambda: farm.store.overview().flags.beats >= beats + 3, "heartbeats go on", 10)
    assert Place.RUNNING in farm.places()
