"""Clients of the Hub that mean harm: they do not read, come and go, guess tokens, name connections that never were, join without end."""

from __future__ import annotations

import json
import re
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from greenimi import green
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import RequestFailed, WebSocketClient
from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.soak.listeners import PATIENCE, Speaker, heard, judge_stalls, listeners, refusal, room_client, slow
from tests.soak.measures import descriptors, in_ms, resident
from tests.soak.places import ROOMS, Verdict, serving

WORKERS = 2
WAIT, SLACK = 1.0, 0.5
LISTENERS = 40
EVEN = {"servers.web.connections": "60"}
"""Connections that a worker takes: that spreads them over both."""

# -- a reader that never reads
DEAF = 10
OUTBOX = 512 << 10
LARGE = 20_000
MESSAGES = 300
PAUSE = 0.02
DEAF_GROWTH = 3 * DEAF
"""MiB: what may wait for each of them, and as much again that the allocator keeps."""

# -- a flood of opens and closes
COMING, ROUNDS = 20, 60
KEEP = 2
"""``hub.keep``: seconds that they may come back."""

FLOOD_GROWTH = 4 << 20

# -- tokens, ids, groups
GUESSES = 30
GROUPS_EACH, GROUP_COUNT = 32, 500
GREEDY = 30


def two_workers(folder: Path, ends: ExitStack, settings: Mapping[str, str] = {}) -> tuple[Gunicorn, Speaker]:
    service = ends.enter_context(serving(folder, {**EVEN, "hub.wait": str(WAIT), **settings}, WORKERS, ROOMS))
    return service, ends.enter_context(Speaker(service))


# -- readers ---------------------------------------------------------------------------------------------------------
class Deaf:
    """A member of a group that does not read."""

    def __init__(self, service: Gunicorn, group: str) -> None:
        self._client = room_client(service)
        self._client.request("join", group=group)
        self._client._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = self._client._sock.getsockname()[1]

    def close(self) -> None:
        self._client._sock.close()


def never_reading(folder: Path, verdict: Verdict) -> None:
    """The others have everything as fast as without them."""
    with ExitStack() as ends:
        service, speaker = two_workers(folder, ends, {"servers.web.outbox": str(OUTBOX)})
        found = listeners(ends, service, LISTENERS, "hall")
        speaker.shout("hall", MESSAGES, PAUSE, LARGE).get()
        verdict.check(heard(found, speaker.sent), f"{LISTENERS} clients have {MESSAGES} messages of {LARGE >> 10} KiB")
        calm = slow(found)
        workers = service.ready
        memory = sum(map(resident, workers))
        deaf = [Deaf(service, "hall") for _ in range(DEAF)]
        first, most = speaker.sent, memory
        shouting = speaker.shout("hall", MESSAGES, PAUSE, LARGE)
        while not shouting.ready():
            most = max(most, sum(map(resident, workers)))
            green.sleep(0.05)
        judge_stalls("a send", shouting.get(), WAIT, verdict)
        heard(found, speaker.sent)
        whole = sum(each.is_whole(0, speaker.sent) for each in found)
        verdict.check(whole == LISTENERS, f"{whole} of {LISTENERS} others have all messages, in order")
        late = slow(found, first)
        text = f"99 % of them came within {in_ms(late)}, {in_ms(calm)} without those who do not read"
        verdict.check(late <= max(3 * calm, calm + 0.02), text)
        grown = (most - memory) >> 20
        verdict.check(grown <= DEAF_GROWTH, f"the workers grew by {grown} MiB meanwhile (at most {DEAF_GROWTH})")
        left = wait_for_count(speaker, LISTENERS)
        verdict.check(left == LISTENERS, f"{left} are in the group then ({LISTENERS})")
        named = sum(bool(re.search(rf"\b{each.port}\b", service.log)) for each in deaf)
        verdict.check(named == DEAF, f"the log names {named} of the {DEAF} that were closed")
        for each in deaf:
            each.close()


def wait_for_count(speaker: Speaker, number: int) -> int:
    until = time.monotonic() + PATIENCE
    while (found := int(speaker.ask("count", group="hall")["count"])) != number and time.monotonic() < until:
        green.sleep(0.1)
    return found


# -- comings and goings ----------------------------------------------------------------------------------------------
def come_and_go(service: Gunicorn, number: int) -> None:
    """One client after the other; every second one may come back and goes without a goodbye, and never comes."""
    for turn in range(ROUNDS):
        client = room_client(service)
        client.request("join", group="hall")
        client.request("join", group=f"hall:{number}:{turn}")
        if turn % 2:
            client.request("$hello")
            client._sock.close()
        else:
            client.close()


def flood(folder: Path, verdict: Verdict) -> None:
    """What they leave behind is gone when they may not come back any more."""
    with ExitStack() as ends:
        service, speaker = two_workers(folder, ends, {"hub.keep": str(KEEP), "servers.web.connections": "200"})
        found = listeners(ends, service, LISTENERS, "hall")
        workers = service.ready
        files = [descriptors(pid) for pid in workers]
        targets = held(service)["targets"]
        memory: list[int] = []
        for _ in range(3):
            first = speaker.sent
            shouting = speaker.shout("hall", MESSAGES, PAUSE)
            crowd = [green.spawn(come_and_go, service, number) for number in range(COMING)]
            for each in crowd:
                each.get()
            judge_stalls("a send", shouting.get(), WAIT, verdict)
            heard(found, speaker.sent)
            whole = sum(each.is_whole(0, speaker.sent) for each in found)
            text = f"{COMING * ROUNDS} came and went; {whole} of {LISTENERS} others have messages {first} to {speaker.sent - 1}"
            verdict.check(whole == LISTENERS, text)
            green.sleep(KEEP + 5)
            memory.append(sum(map(resident, workers)))
        verdict.check(service.ready == workers, "the workers are the same")
        now = [descriptors(pid) for pid in workers]
        verdict.check(all(after <= before for after, before in zip(now, files, strict=True)), f"{now} descriptors are open, {files} before")
        after = held(service)["targets"]
        verdict.check(after <= targets, f"a worker knows {after} groups and servers, {targets} before")
        grown = memory[2] - memory[0]
        text = f"the workers grew by {grown >> 10} KiB with the last {2 * COMING * ROUNDS} of them (at most {FLOOD_GROWTH >> 10})"
        verdict.check(grown <= FLOOD_GROWTH, text)
        verdict.check("Traceback" not in service.log, "nothing was reported")


def held(service: Gunicorn) -> dict[str, int]:
    with room_client(service) as client:
        found: dict[str, int] = client.request("held")
        return found


# -- tokens ----------------------------------------------------------------------------------------------------------
def restored(client: WebSocketClient, token: Any) -> str:
    """``yes``, ``no``, or the code with which the connection was closed or the request refused."""
    try:
        return "yes" if client.request("$hello", token=token)["restored"] else "no"
    except RequestFailed as error:
        return str(error.status)
    except (ConnectionClosed, OSError):
        return str(client.close_code)


def forged_tokens(folder: Path, verdict: Verdict) -> None:
    """Nobody gets another one's things; who has the token gets them once."""
    with ExitStack() as ends:
        service, speaker = two_workers(folder, ends)
        found = listeners(ends, service, LISTENERS, "hall")
        owner = room_client(service)
        owner.request("join", group="hall")
        token = owner.request("$hello")["token"]
        number, _, secret = token.partition(".")
        tries = [f"{number}.{secrets.token_urlsafe(16)}" for _ in range(GUESSES)]
        tries += [f"{found[at].id}.{secret}" for at in range(5)]
        tries += [number, f"{number}.", f".{secret}", token[:-1], token + "A", token.upper(), f"{'9' * 40}.{secret}"]
        tries += ["", "x" * 10_000, "0.0", "\x00é"]
        answers = []
        while tries:
            with suppress(ConnectionClosed, OSError), room_client(service) as client:
                while tries and (answer := restored(client, tries.pop())):
                    answers.append(answer)
                    if answer not in ("no", "400", "422"):
                        break
        verdict.check("yes" not in answers, f"{len(answers)} tokens that are none were answered {_counted(answers)}")
        others = [restored(ends.enter_context(room_client(service)), value) for value in (7, None, [token], {"token": token})]
        verdict.check("yes" not in others, f"values that are no texts were answered {_counted(others)}")
        verdict.check(owner.request("where")["id"] == number, "the owner is as connected as before")
        owner._sock.close()
        with ExitStack() as clients:
            racing = [clients.enter_context(room_client(service)) for _ in range(8)]
            greenlets = [green.spawn(restored, client, token) for client in racing]
            got = [greenlet.get() for greenlet in greenlets]
            verdict.check(got.count("yes") == 1, f"eight who show its token at once get it {got.count('yes')} time")
            reached = speaker.ask("reach", group="hall")["delivered"]
            verdict.check(reached == LISTENERS + 1, f"{reached} are in the group, the one that is back among them")
        verdict.check(secret not in service.log, "the log does not tell it")
        verdict.check("Traceback" not in service.log, "nothing was reported")


def _counted(answers: list[str]) -> str:
    return ", ".join(f"{answer} ({answers.count(answer)})" for answer in sorted(set(answers)))


# -- ids -------------------------------------------------------------------------------------------------------------
def ids_from_nowhere(folder: Path, verdict: Verdict) -> None:
    """A push to nobody reaches nobody, at once."""
    with ExitStack() as ends:
        service, speaker = two_workers(folder, ends)
        found = listeners(ends, service, LISTENERS, "hall")
        gone = room_client(service)
        closed = int(gone.request("where")["id"])
        gone.close()
        wait_until(lambda: not speaker.ask("push", to=str(closed))["delivered"])
        mine = int(found[0].id)
        ids = [closed, 0, 1, -1, mine + (1 << 20), mine ^ (1 << 40), mine ^ (1 << 60), (1 << 63) - 1, 1 << 63, 1 << 64, 1 << 200]
        names = [str(each) for each in ids] + ["", "me", "1.5", "0x10", "١٢٣", " 1", "1" * 10_000, "\x00", "everyone", "g:hall"]
        answers = [speaker.ask("push", to=each) for each in names]
        reached = sum(answer["delivered"] for answer in answers)
        verdict.check(not reached, f"pushes to {len(names)} connections that are not there reached {reached:.0f}")
        judge_stalls("the answer", max(answer["seconds"] for answer in answers), WAIT + SLACK, verdict)
        right = [speaker.ask("push", to=each.id) for each in found]
        text = f"{sum(answer['delivered'] for answer in right):.0f} of {LISTENERS} that are there are reached"
        verdict.check(all(answer["delivered"] == 1 for answer in right), text)
        verdict.check("Traceback" not in service.log, "nothing was reported")


# -- groups ----------------------------------------------------------------------------------------------------------
def join_all(client: WebSocketClient, prefix: str) -> list[int]:
    """More groups than it may; how each try was answered."""
    return [refusal(client, "join", group=f"{prefix}:{number}") for number in range(GROUPS_EACH + 5)]


def endless_groups(folder: Path, verdict: Verdict) -> None:
    """A limit for each client, and one for a worker; who is in a group is not touched by it."""
    with ExitStack() as ends:
        service, speaker = two_workers(folder, ends, {"hub.groups_each": str(GROUPS_EACH), "hub.group_count": str(GROUP_COUNT)})
        found = listeners(ends, service, LISTENERS, "hall")
        before = held(service)["targets"]
        with ExitStack() as greedy_ends:
            first = greedy_ends.enter_context(room_client(service))
            codes = join_all(first, "first")
            text = f"one client was let into {codes.count(0)} groups, then answered {sorted(set(codes[GROUPS_EACH:]))}"
            verdict.check(codes == [0] * GROUPS_EACH + [409] * 5, text)
            greedy = [greedy_ends.enter_context(room_client(service)) for _ in range(GREEDY)]
            later = [code for number, client in enumerate(greedy) for code in join_all(client, str(number))]
            counts = {code: later.count(code) for code in sorted(set(later))}
            verdict.check(set(counts) == {0, 409, 503}, f"{GREEDY} more were answered {json.dumps(counts)}")
            most = max(held(service)["targets"] for _ in range(10))
            verdict.check(most <= GROUP_COUNT, f"a worker has {most} groups (at most {GROUP_COUNT})")
            speaker.shout("hall", MESSAGES, 0).get()
            verdict.check(heard(found, speaker.sent), "those who were in a group before have everything that is sent there")
        wait_until(lambda: held(service)["targets"] <= before, PATIENCE)
        verdict.check(refusal(speaker.client, "join", group="new") == 0, "when they have left there is room again")
        verdict.check("Traceback" not in service.log, "nothing was reported")
