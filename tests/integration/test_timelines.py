"""Two writers of one replica: each writes into a timeline of its own, the loser says who took over and stops, and both histories restore."""
import os
import re
import shutil
import signal
import sqlite3

import workload
from harness import DONE, FAILED, NOT_THERE, Case, both_stores, differing_pages, expand, has_attributes, remove_database, wait_for
from fault_proxy import FaultProxy, LoseAnswer, Request, Status

TAKEN_OVER = re.compile(r"taken this history over \(timeline (\w{8}), claimed by host '(.+)', process (\d+), at \d{4}-\d\d-\d\dT")


class TwoWriters(Case):
    """A database with a history and a daemon, the first writer; others come."""

    def first_writer(self, replica, sync_interval="20ms"):
        self.replica = replica
        self.first_path = self.database("first/app.db", transactions=8)
        self.add_ballast(self.first_path)
        self.first = self.daemon(self.first_path, replica, sync_interval=sync_interval)
        self.write(self.first_path, 4)
        self.wait_stored(self.first, self.first_path)

    def add_ballast(self, path):
        """Pages that nobody changes, so that copies are known for what they are."""
        with workload.closing(path) as connection:
            connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, body BLOB)")
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
                " INSERT INTO ballast SELECT i, randomblob(900) FROM n")

    def wait_stored(self, daemon, path, timeline=None):
        """Until the replica restores what PATH holds; nobody writes there meanwhile."""
        seq = self.seq(path)
        choice = ["-timeline", timeline] if timeline else []
        def stored():
            out = self.path(f"look-{self.next_number()}.db")
            result = self.seawal("restore", "-o", out, *choice, self.replica.url, environment=self.replica.environment)
            if result.code != DONE:
                return False
            found = self.seq(out)
            remove_database(out)
            return found >= seq
        try:
            wait_for(stored, 90, f"transaction {seq} of {path} in the replica", pause=0.1)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{daemon.log()[-3000:]}") from None

    def seq(self, path):
        connection = sqlite3.connect(path)
        try:
            return connection.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()[0]
        finally:
            connection.close()

    def second_writer(self, *arguments):
        """A new machine: restored from the replica, then a daemon of its own."""
        self.second_path = self.path("second/app.db")
        os.makedirs(os.path.dirname(self.second_path))
        result = self.seawal("restore", "-o", self.second_path, *arguments, self.replica.url, environment=self.replica.environment)
        self.assertEqual(result.code, DONE, str(result))
        self.second = self.daemon(self.second_path, self.replica, sync_interval="20ms")

    def write_until_it_ends(self, daemon, path):
        """The application goes on beside a daemon that is to find out that it lost."""
        def ended():
            self.write(path, 3)
            return daemon.process.poll() is not None
        try:
            wait_for(ended, 120, "the loser ends", pause=0.02)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{daemon.log()[-3000:]}") from None

    def check_lost(self, daemon, winner_pid, timeline):
        """It says who took over and fails; so does a look at the status, and the next start."""
        self.assertEqual(daemon.process.returncode, FAILED, daemon.log()[-3000:])
        refusal, = daemon.events("replication refused")
        said = TAKEN_OVER.search(refusal["error"])
        self.assertTrue(said, refusal["error"])
        self.assertEqual((said.group(1), said.group(3)), (timeline, str(winner_pid)))
        status = self.seawal("status", "-config", daemon.config, "-json", environment=self.replica.environment)
        self.assertEqual(status.code, FAILED, str(status))
        self.assertEqual(status.json[0]["status"], "taken over")
        self.assertRegex(status.json[0]["error"], TAKEN_OVER)
        again = self.seawal("replicate", "-config", daemon.config, "-once", environment=self.replica.environment)
        self.assertEqual(again.code, FAILED, str(again))
        self.assertRegex(again.err, TAKEN_OVER)

    def check_timeline(self, path, timeline):
        """The newest of TIMELINE is the database at PATH as it is."""
        restored = self.restore(self.replica, "-timeline", timeline)
        self.check_same(path, restored)
        remove_database(restored)

    def bodies(self):
        """Objects under their keys; a folder shows what is being written as well."""
        return {key: self.replica.get(key) for key in self.replica.keys() if not os.path.basename(key).startswith(".")}

    def check_kept(self, before):
        """Nothing that was stored has changed or gone."""
        for key, body in before.items():
            self.assertEqual(self.replica.get(key), body, key)


@expand
class Fencing(TwoWriters):
    @both_stores
    def test_rolling_deploy(self, replica):
        """The new machine starts while the old one runs and is written to."""
        self.first_writer(replica)
        before = self.bodies()
        self.second_writer()
        self.write(self.second_path, 5)
        self.write_until_it_ends(self.first, self.first_path)
        self.check_lost(self.first, self.second.process.pid, "00000002")
        self.write(self.second_path, 5)
        self.assertEqual(self.second.stop(), DONE, self.second.log())
        self.check_kept(before)
        self.check_timeline(self.second_path, "00000002")
        self.check_same(self.second_path, self.restore(self.replica))
        # What the old one captured before it found out is stored in its own timeline; the rest of it stays with it.
        old = self.restore(self.replica, "-timeline", "1")
        self.assertGreater(self.state(old), 12)

    @both_stores
    def test_stopped_writer_wakes_up(self, replica):
        """Stopped with transactions on their way; it wakes up after another one has gone on, and stores into its own timeline."""
        self.first_writer(replica)
        self.write(self.first_path, 60)
        self.first.process.send_signal(signal.SIGSTOP)
        before = self.bodies()
        self.write(self.first_path, 5)
        self.second_writer()
        self.write(self.second_path, 5)
        self.wait_stored(self.second, self.second_path)
        self.first.process.send_signal(signal.SIGCONT)
        self.write_until_it_ends(self.first, self.first_path)
        self.check_lost(self.first, self.second.process.pid, "00000002")
        self.write(self.second_path, 5)
        self.assertEqual(self.second.stop(), DONE, self.second.log())
        self.check_kept(before)
        self.check_same(self.second_path, self.restore(self.replica))
        self.assertGreaterEqual(self.state(self.restore(self.replica, "-timeline", "1")), 77)


class Copies(TwoWriters):
    """A development machine has a copy of the database, with or without the state folder, and is started."""

    def copy_machine(self, with_state):
        self.first.process.send_signal(signal.SIGSTOP)
        os.makedirs(self.path("second"))
        self.second_path = self.path("second/app.db")
        for name in os.listdir(self.path("first")):
            if os.path.isfile(self.path("first/" + name)):
                shutil.copy2(self.path("first/" + name), self.path("second/" + name))
            elif with_state:
                shutil.copytree(self.path("first/" + name), self.path("second/" + name))
        self.first.process.send_signal(signal.SIGCONT)

    def started_later(self, with_state):
        """The copy is old when it is started: its history departs from what the replica holds."""
        self.first_writer(self.folder())
        self.copy_machine(with_state)
        self.write(self.first_path, 6)
        self.wait_stored(self.first, self.first_path)
        before = self.bodies()
        self.write(self.second_path, 2)
        second = self.daemon(self.second_path, self.replica, sync_interval="20ms")
        self.write(self.second_path, 2)
        self.write_until_it_ends(self.first, self.first_path)
        self.check_lost(self.first, second.process.pid, "00000002")
        self.assertEqual(second.stop(), DONE, second.log())
        self.check_kept(before)
        self.check_same(self.second_path, self.restore(self.replica))
        self.assertGreaterEqual(self.state(self.restore(self.replica, "-timeline", "1")), 18)

    def test_with_state(self):
        self.started_later(with_state=True)

    def test_without_state(self):
        self.started_later(with_state=False)

    def test_forgotten(self):
        """It has run before, and is started again when the history has gone on elsewhere: it stores nothing."""
        self.first_writer(self.folder())
        self.assertEqual(self.first.stop(), DONE)
        self.second_writer()
        self.write(self.second_path, 3)
        self.assertEqual(self.second.stop(), DONE)
        before = self.replica.keys()
        self.write(self.first_path, 3)
        result = self.seawal("replicate", "-config", self.first.config, "-once")
        self.assertEqual(result.code, FAILED, str(result))
        self.assertRegex(result.err, TAKEN_OVER)
        departed = [key for key in self.replica.keys() if key not in before]
        self.assertEqual([key for key in departed if not key.startswith("00000001/")], [])
        self.check_same(self.second_path, self.restore(self.replica))
        self.check_timeline(self.first_path, "1")


class Choosing(TwoWriters):
    """The tree of timelines, and a point on any of them."""

    def test_history_and_restore(self):
        self.first_writer(self.folder())
        self.assertEqual(self.first.stop(), DONE)
        self.second_writer()
        self.write(self.second_path, 3)
        self.assertEqual(self.second.stop(), DONE)
        first, second = self.history(self.replica)["timelines"]
        self.assertEqual(self.history(self.replica)["newest_timeline"], "00000002")
        fork = first["windows"][-1]
        self.assertEqual((second["parent_timeline"], second["parent_txid"]), ("00000001", fork["last_txid"]))
        self.assertEqual(second["parent_time"], fork["last_time"])
        self.assertEqual(second["windows"][0]["first_txid"], fork["last_txid"] + 1)
        text = self.seawal("history", self.replica.url).out
        self.assertRegex(text, r"\n00000001  +-  -  ")
        self.assertRegex(text, rf"\n`- 00000002 \(newest\)  +{fork['last_txid']}  {re.escape(fork['last_time'])}  ")
        unknown = self.seawal("restore", "-o", self.path("no.db"), "-timeline", "3", self.replica.url)
        self.assertEqual(unknown.code, NOT_THERE)
        self.assertIn("there are 00000001, 00000002", unknown.err)
        self.check_same(self.first_path, self.restore(self.replica, "-timeline", "1"))
        self.check_same(self.first_path, self.restore(self.replica, "-timestamp", fork["last_time"]))
        self.check_same(self.second_path, self.restore(self.replica, "-timeline", "2", "-timestamp", second["windows"][-1]["last_time"]))
        beyond = str(second["windows"][-1]["last_txid"])
        self.check_same(self.second_path, self.restore(self.replica, "-txid", beyond))
        self.restore(self.replica, "-timeline", "1", "-txid", beyond, expect=NOT_THERE)


@expand
class ThePast(TwoWriters):
    """Restored to the past and replicated again: a new timeline from exactly there, which shares what its parent has."""

    def setUp(self):
        super().setUp()
        if not has_attributes():
            self.skipTest("the file system has no extended attributes")

    def once(self):
        result = self.seawal("replicate", "-once", self.first_path, self.replica.url, environment=self.replica.environment)
        self.assertEqual(result.code, DONE, str(result))
        return result

    def make_history(self, replica):
        """Transactions one by one; [(txid, copy of the database)]."""
        self.replica, self.first_path, points = replica, self.database("app.db", transactions=20), []
        for _ in range(4):
            self.once()
            points.append((self.history(replica)["timelines"][-1]["windows"][-1]["last_txid"], self.restore(replica)))
            self.write(self.first_path, 10)
        self.once()
        return points

    def go_back(self, txid, *arguments):
        remove_database(self.first_path)
        result = self.seawal("restore", "-o", self.first_path, "-txid", str(txid), *arguments, self.replica.url,
            environment=self.replica.environment)
        self.assertEqual(result.code, DONE, str(result))

    @both_stores
    def test_back_and_on(self, replica):
        points = self.make_history(replica)
        newest = self.restore(replica)
        before = replica.keys()
        self.go_back(points[1][0])
        self.once()
        new = set(replica.keys()) - set(before)
        self.assertEqual(new, {"timelines/00000002.json"}, "more than the claim was uploaded")
        self.write(self.first_path, 1)
        self.once()
        new = {key: size for key, size in replica.keys().items() if key not in before}
        self.assertEqual(len(new), 2, new)
        self.assertLess(sum(new.values()), os.path.getsize(self.first_path) / 4, "pages that are stored were uploaded again")
        first, second = self.history(replica)["timelines"]
        self.assertEqual((second["parent_timeline"], second["parent_txid"]), ("00000001", points[1][0]))
        self.assertEqual([line["gaps"] for line in (first, second)], [[], []])
        self.check_same(self.first_path, self.restore(replica))
        self.assertEqual(differing_pages(newest, self.restore(replica, "-timeline", "1")), [])
        for txid, copy in points:
            choice = ["-timeline", "1"] if txid > points[1][0] else []
            self.assertEqual(differing_pages(copy, self.restore(replica, "-txid", str(txid), *choice)), [])
        self.once()
        self.assertEqual(len(self.history(replica)["timelines"]), 2, "another timeline was claimed for nothing")

    def test_again_and_again(self):
        """A tree: back to a point of the first timeline, then of the second, then of the first by its name."""
        points = self.make_history(self.folder())
        self.go_back(points[2][0])
        self.write(self.first_path, 2)
        self.once()
        branch = self.history(self.replica)["timelines"][1]["windows"][-1]["last_txid"]
        on_branch = self.restore(self.replica)
        self.write(self.first_path, 2)
        self.once()
        self.go_back(branch)
        self.write(self.first_path, 1)
        self.once()
        third = self.restore(self.replica)
        self.go_back(points[0][0])
        self.once()
        self.go_back(points[3][0], "-timeline", "1")
        self.write(self.first_path, 1)
        self.once()
        lines = self.history(self.replica)["timelines"]
        self.assertEqual([(line["parent_timeline"], line["parent_txid"]) for line in lines[1:]], [("00000001", points[2][0]),
            ("00000002", branch), ("00000001", points[0][0]), ("00000001", points[3][0])])
        text = self.seawal("history", self.replica.url).out
        self.assertRegex(text, r"\n00000001 .*\n\|- 00000002 .*\n\|  `- 00000003 .*\n\|- 00000004 .*\n`- 00000005 \(newest\) ")
        self.check_same(self.first_path, self.restore(self.replica))
        self.assertEqual(differing_pages(third, self.restore(self.replica, "-timeline", "3")), [])
        self.assertEqual(differing_pages(points[0][1], self.restore(self.replica, "-timeline", "4")), [])
        self.assertEqual(differing_pages(on_branch, self.restore(self.replica, "-timeline", "3", "-txid", str(branch))), [])

    def test_state_folder_lost_later(self):
        """What was noted at the restore is over when the file has a history of its own."""
        points = self.make_history(self.folder())
        self.go_back(points[1][0])
        self.write(self.first_path, 2)
        self.once()
        newest = self.history(self.replica)["timelines"][-1]["windows"][-1]["last_txid"]
        shutil.rmtree(self.path(".app.db-seawal"))
        self.once()
        third = self.history(self.replica)["timelines"][-1]
        self.assertEqual((third["parent_timeline"], third["parent_txid"]), ("00000002", newest))


class WithoutCondition:
    """A fault: the request is carried out as if it had no If-None-Match."""

    reset = False

    def act(self, proxy, request):
        lines = [line for line in request.head.split(b"\r\n") if not line.lower().startswith(b"if-none-match:")]
        return proxy.forward(Request(b"\r\n".join(lines), request.body))


class Stale:
    """A fault: the first answer to each listing, for ever."""

    reset = False

    def __init__(self):
        self.answers = {}

    def act(self, proxy, request):
        if request.query not in self.answers:
            self.answers[request.query] = proxy.forward(request)
        return self.answers[request.query]


def is_conditional(request):
    return "if-none-match" in request.headers


def is_claim(request):
    return request.method == "PUT" and "/timelines/" in request.path


def is_listing(request):
    return request.method == "GET" and "list-type=2" in request.query


class Uncertain(TwoWriters):
    """Stores that look at no condition, and answers that are lost, or late."""

    def setUp(self):
        super().setUp()
        replica = self.bucket()
        self.proxy = FaultProxy("127.0.0.1", replica.server.port)
        self.addCleanup(self.proxy.__exit__)
        replica.url = replica.url.replace(replica.server.endpoint, f"http://127.0.0.1:{self.proxy.port}")
        self.through = replica

    def take_over(self):
        self.first_writer(self.through)
        before = self.bodies()
        self.second_writer()
        self.write(self.second_path, 3)
        self.write_until_it_ends(self.first, self.first_path)
        self.check_lost(self.first, self.second.process.pid, "00000002")
        self.assertEqual(self.second.stop(), DONE, self.second.log())
        self.check_kept(before)
        self.check_same(self.second_path, self.restore(self.replica))
        self.assertGreaterEqual(self.state(self.restore(self.replica, "-timeline", "1")), 12)

    def check_warned(self):
        for daemon in (self.first, self.second):
            warned = [line for line in daemon.events() if "no conditional writes" in line.get("event", "")]
            self.assertEqual([line["level"] for line in warned], ["warn"], daemon.log())

    def test_conditions_not_looked_at(self):
        self.proxy.fault(is_conditional, WithoutCondition(), times=None)
        self.take_over()
        self.check_warned()

    def test_conditions_refused(self):
        self.proxy.fault(is_conditional, Status(501, "NotImplemented"), times=None)
        self.take_over()
        self.check_warned()

    def test_answer_of_a_claim_is_lost(self):
        """Carried out, but nobody said so: the claim is known for our own, and not repeated under another number."""
        self.first_writer(self.through)
        self.assertEqual(self.first.stop(), DONE)
        self.proxy.fault(is_claim, LoseAnswer(), times=2)
        self.second_writer()
        self.write(self.second_path, 3)
        self.assertEqual(self.second.stop(), DONE, self.second.log())
        self.assertGreater(len([request for request in self.proxy.requests if is_claim(request)]), 1)
        self.assertEqual([line["timeline"] for line in self.history(self.replica)["timelines"]], ["00000001", "00000002"])
        self.check_same(self.second_path, self.restore(self.replica))

    def test_listing_is_stale(self):
        """A third writer does not see the second one's claim in any listing: it gets a number of its own all the same."""
        self.first_writer(self.through)
        self.assertEqual(self.first.stop(), DONE)
        self.proxy.fault(is_listing, Stale(), times=None)
        self.seawal("replicate", "-once", self.first_path, self.replica.url, environment=self.replica.environment)
        shutil.copytree(self.path("first"), self.path("third"), ignore=shutil.ignore_patterns(".*"))
        result = self.seawal("restore", "-o", self.path("second.db"), self.replica.url, environment=self.replica.environment)
        self.assertEqual(result.code, DONE, str(result))
        for path in (self.path("second.db"), self.path("third/app.db")):
            self.write(path, 2)
            result = self.seawal("replicate", "-once", path, self.replica.url, environment=self.replica.environment)
            self.assertEqual(result.code, DONE, str(result))
        self.proxy.clear()
        lines = self.history(self.replica)["timelines"]
        self.assertEqual([line["timeline"] for line in lines], ["00000001", "00000002", "00000003"])
        for timeline, path in (("1", self.first_path), ("2", self.path("second.db")), ("3", self.path("third/app.db"))):
            self.check_timeline(path, timeline)
