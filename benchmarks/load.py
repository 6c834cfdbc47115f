"""Twenty users at once for two minutes, over HTTP: how long each kind of request takes, how fairly, and in how much memory.

make load, or: python benchmarks/load.py [--users 20] [--minutes 2] [--model nano] [--kill]
Starts `medvlm serve` on loopback with an account for each user. With --address and --accounts (a line NAME:PASSWORD each) it
asks a server that runs on this machine already. Fails where another status than 200 or 429 comes, where one user
waits more than three times as long as the median user, where nothing is answered, or where memory is not bounded: what
the processes that serve hold together is to stay below 3 GiB, and to be in the last tenth of the time at most twice
what it was after the first.
With --kill the worker gets SIGKILL at half of the time. From then on requests may break off, studies be gone and the model be
loading, but it fails where no answer comes within 10 s, or where a user gets none any more.
"""

from __future__ import annotations

import argparse
import io
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import gevent
from gevent.lock import BoundedSemaphore
from locust import HttpUser, between, task
from locust.env import Environment

# isort: split
# After locust, which changes how what is imported later waits for sockets.
import numpy as np
import PIL.Image
import psutil
import requests

from medvlm.bench import photograph
from serving.access.accounts import password_line

FINE = (200, 201, 204, 429)
FINE_AFTER_KILL = (*FINE, 0, 404, 503)
BACK_IN = 10.0  # seconds
ASKED = ("ask", "find", "segment")
UNFAIR = 3.0  # times the median user's waiting …
UNNOTICED = 0.5  # … but not below so many seconds
MOST_HELD, MOST_GROWTH = 3072, 2.0  # MiB, and times what was held after the first tenth
LONGEST_START = 300.0  # seconds
PHRASES = ("optic disc", "optic cup", "haemorrhage", "fovea")
QUESTIONS = (
    "Which organ is shown?",
    "Is there a haemorrhage?",
    "Where is the optic disc?",
    "How large is the optic disc?",
)


@dataclass(frozen=True)
class Seen:
    """One request: whose, of which kind, its status (0: no reply), and the seconds until that or until it may be tried again."""

    user: str
    kind: str
    status: int
    seconds: float
    end: float = 0.0  # by time.monotonic()


class Visitor(HttpUser):
    """Opens studies one after another, and asks about each."""

    wait_time = between(0, 0.2)
    accounts: Iterator[tuple[str, str]]
    seen: list[Seen]
    waiting: set[str]  # for their first study
    door = BoundedSemaphore()
    picture: np.ndarray

    def on_start(self) -> None:
        """Log in and open a first study; nobody goes on before all have."""
        self.account = next(self.accounts)
        self.dice, self.study = random.Random(self.account[0]), ""
        while not self.study:
            with self.door:  # many log-ins at once from one address are refused for minutes
                self.open("start")
        self.waiting.discard(self.account[0])
        while self.waiting:
            gevent.sleep(0.1)

    def send(self, kind: str, method: str, path: str, **body) -> requests.Response:
        began = time.monotonic()
        with self.client.request(method, path, name=kind, auth=self.account, catch_response=True, **body) as reply:
            reply.success()  # what counts is judged below
            if reply.status_code in (429, 503):
                gevent.sleep(float(reply.headers.get("retry-after", 1)))
            end = time.monotonic()
            self.seen.append(Seen(self.account[0], kind, reply.status_code, end - began, end))
        return reply

    def about(self, kind: str, **body) -> None:
        if not self.study:
            self.open("open")
        elif self.send(kind, "POST", f"/v1/studies/{self.study}/{kind}", json=body).status_code == 404:
            self.study = ""

    @task(1)
    def anew(self) -> None:
        self.open("open")

    def open(self, kind: str) -> None:
        if self.study:
            self.send("close", "DELETE", f"/v1/studies/{self.study}")
        stream = io.BytesIO()
        moved = np.roll(self.picture, self.dice.randrange(200), axis=1)  # so that nothing is known of it yet
        PIL.Image.fromarray(moved).save(stream, "JPEG")
        reply = self.send(kind, "POST", "/v1/studies", files={"files": ("a.jpg", stream.getvalue())})
        self.study = reply.json()["id"] if reply.status_code == 201 else ""

    @task(3)
    def ask(self) -> None:
        self.about("ask", question=self.dice.choice(QUESTIONS))

    @task(3)
    def find(self) -> None:
        self.about("find", phrases=[self.dice.choice(PHRASES)])

    @task(3)
    def segment(self) -> None:
        x, y = self.dice.randrange(300), self.dice.randrange(200)
        self.about("segment", box=[x, y, x + 100, y + 80])


def load(
    address: str, accounts: list[tuple[str, str]], seconds: float, memory: Memory, kill: bool = False
) -> tuple[list[Seen], float | None]:
    """Have all users ask at once for so long, and look at the memory meanwhile; what they saw, and when the worker was killed."""
    Visitor.host, Visitor.accounts, Visitor.seen, Visitor.picture = address, iter(accounts), [], photograph(512)
    Visitor.waiting = {name for name, _ in accounts}
    runner = Environment(user_classes=[Visitor]).create_local_runner()
    runner.start(len(accounts), spawn_rate=len(accounts))
    end = time.monotonic() + LONGEST_START
    while Visitor.waiting and time.monotonic() < end:
        gevent.sleep(0.1)
    gevent.spawn(memory.look)
    gevent.sleep(seconds / 2)
    killed = memory.kill_worker() if kill else None
    gevent.sleep(seconds / 2)
    runner.quit()
    return Visitor.seen, killed


def waiting(seen: list[Seen]) -> dict[str, float]:
    """Seconds that each user waited for the model, in the median; what was refused is waited for too."""
    spent = defaultdict(list)
    for one in seen:
        if one.kind in ASKED:
            spent[one.user].append(one.seconds)
    answered = {one.user for one in seen if one.status == 200}
    return {user: statistics.median(took) if user in answered else float("inf") for user, took in spent.items()}


def table(seen: list[Seen]) -> Iterator[str]:
    yield f"{'':<10}{'requests':>9}{'p50 s':>8}{'p95 s':>8}{'max s':>8}"
    for kind in sorted({one.kind for one in seen}):
        took = [one.seconds for one in seen if one.kind == kind and one.status != 429]
        if took:
            yield f"{kind:<10}{len(took):>9}" + "".join(f"{np.percentile(took, q):>8.2f}" for q in (50, 95, 100))
    yield "statuses: " + ", ".join(f"{status}: {n}" for status, n in sorted(Counter(o.status for o in seen).items()))


def back(seen: list[Seen], killed: float) -> dict[str, float]:
    """Seconds from the kill to each user's next answer of the model."""
    answers = [one for one in seen if one.kind in ASKED and one.status == 200 and one.end > killed]
    return {one.user: one.end - killed for one in sorted(answers, key=lambda one: -one.end)}


def faults(seen: list[Seen], users: int, held: list[float], killed: float | None = None) -> Iterator[str]:
    """What must not be, a sentence each; `held` is MiB of memory, second by second while they asked."""
    fine = [FINE if killed is None or one.end < killed else FINE_AFTER_KILL for one in seen]
    wrong = Counter(one.status for one, allowed in zip(seen, fine, strict=True) if one.status not in allowed)
    if wrong:
        yield f"Other statuses than 200 and 429 came: {dict(wrong)}."
    if killed is not None:
        again = back(seen, killed)
        if len(again) < users:
            yield f"After the kill {users - len(again)} of {users} users got no answer any more."
        if again and min(again.values()) > BACK_IN:
            yield f"After the kill the first answer came in {min(again.values()):.1f} s, later than {BACK_IN:.0f}."
    waited = waiting(seen)
    if len(waited) < users or not any(one.status == 200 for one in seen):
        yield f"Of {users} users only {len(waited)} came to ask."
    elif max(waited.values()) > max(UNNOTICED, UNFAIR * statistics.median(waited.values())):
        yield f"A user waited {max(waited.values()):.2f} s for an answer, the median user {statistics.median(waited.values()):.2f} s."
    if max(held) > MOST_HELD:
        yield f"{max(held):.0f} MiB of memory were held, more than {MOST_HELD}."
    early, late = grown(held)
    if late > MOST_GROWTH * early:
        yield f"Memory grew from {early:.0f} to {late:.0f} MiB."


def grown(held: list[float]) -> tuple[float, float]:
    """What was held after the first tenth of the time, and in the last; a tenth's median, since studies are read in between."""
    tenth = max(1, len(held) // 10)
    return statistics.median(held[tenth : 2 * tenth] or held), statistics.median(held[-tenth:])


class Memory:
    """MiB that the processes which serve on a port hold, looked at each second."""

    def __init__(self, port: int):
        self.processes = list(_holders(port))
        self.start, self.seen = self.now(), list[float]()

    def kill_worker(self) -> float:
        """As a fault or a full memory would; when it was."""
        (worker,) = (one for one in self.processes if one.parent() in self.processes)
        worker.kill()
        return time.monotonic()

    def now(self) -> float:
        held: dict[int, int] = {}
        for one in self.processes:
            with suppress(psutil.NoSuchProcess):  # another worker is in its place
                for process in (one, *one.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):  # it has read its study
                        held[process.pid] = process.memory_info().rss
        return sum(held.values()) / 2**20

    def look(self) -> None:
        while True:
            self.seen.append(self.now())
            gevent.sleep(1)


def _holders(port: int) -> Iterator[psutil.Process]:
    """Who listens there: the supervisor and its worker, which share the socket."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or gone
            if any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections("tcp")):
                yield process


@contextmanager
def server(accounts: list[tuple[str, str]], options: list[str]) -> Iterator[str]:
    """`medvlm serve` on a free port, with accounts; its address, once the model is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        passwords, log = Path(folder, "passwords"), Path(folder, "audit")
        passwords.write_text("\n".join(password_line(*account) for account in accounts))
        port = free_port()
        command = [sys.executable, "-m", "medvlm.cli", "serve", "--port", str(port), "--passwords", str(passwords)]
        process = subprocess.Popen([*command, "--audit", str(log), *options])
        try:
            wait_for(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + LONGEST_START
    while process.poll() is None and time.monotonic() < end:
        with suppress(requests.RequestException):
            if requests.get(f"{address}/v1/ready", timeout=LONGEST_START).ok:
                return
        gevent.sleep(0.5)
    sys.exit("The server did not come up.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--model")
    parser.add_argument("--kill", action="store_true", help="end the worker in the middle")
    parser.add_argument("--address", help="of a server that runs on this machine: http://127.0.0.1:PORT")
    parser.add_argument("--accounts", type=Path, help="with --address: a file with a line NAME:PASSWORD for each user")
    args = parser.parse_args()
    if args.address:
        if urlsplit(args.address).hostname not in ("127.0.0.1", "localhost", "::1"):
            parser.error("--address is of this machine alone")
        if not args.accounts:
            parser.error("--address needs --accounts FILE, with a line NAME:PASSWORD for each user")
        accounts = [tuple(line.split(":", 1)) for line in args.accounts.read_text().split()]
        sys.exit(run(args.address, accounts, args.minutes * 60, args.kill))
    accounts = [(f"user{number}", secrets.token_hex(8)) for number in range(args.users)]
    with server(accounts, ["--model", args.model] if args.model else []) as address:
        sys.exit(run(address, accounts, args.minutes * 60, args.kill))


def run(address: str, accounts: list[tuple[str, str]], seconds: float, kill: bool = False) -> int:
    memory = Memory(urlsplit(address).port)
    seen, killed = load(address, accounts, seconds, memory, kill)
    print("\n".join(table(seen)))
    waited = sorted(waiting(seen).values()) or [0.0]
    print(
        f"waiting for an answer, user by user: {waited[0]:.2f} to {waited[-1]:.2f} s, median {statistics.median(waited):.2f} s"
    )
    early, late = grown(memory.seen)
    print(
        f"memory: {memory.start:.0f} MiB at the start, {early:.0f} after a tenth of the time, {late:.0f} in the last, {max(memory.seen):.0f} at most"
    )
    if killed is not None:
        again = sorted(back(seen, killed).values()) or [float("inf")]
        print(
            f"after the kill: first answer in {again[0]:.1f} s, every user's in {again[-1]:.1f} s ({len(again)} of {len(accounts)})"
        )
    wrong = list(faults(seen, len(accounts), memory.seen, killed))
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
