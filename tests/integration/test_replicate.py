"""replicate: what is committed is in the replica, whatever happened to the daemon in between."""
import os
import shutil
import signal
import sys
import time
import unittest

import workload
from harness import DONE, HERE, LONG, PATIENCE, SANITIZED, Case, both_stores, expand, peak_memory, wait_for


@expand
class Replicate(Case):
    @both_stores
    def test_commits_are_restored(self, replica):
        """A running daemon ships commits; what a restore gives is the source, page for page."""
        path = self.database(transactions=20)
        daemon = self.daemon(path, replica)
        self.write(path, 60)
        self.wait_restorable(replica, 80)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(replica))

    @both_stores
    def test_once(self, replica):
        """-once ships everything and ends; again with nothing new it changes nothing."""
        path = self.database(transactions=30)
        command = ("replicate", "-once", path, replica.url)
        result = self.seawal(*command, environment=replica.environment)
        self.assertEqual(result.code, DONE)
        self.assertNotIn("level=warn", result.err)
        self.check_same(path, self.restore(replica))
        before = replica.keys()
        self.assertEqual(self.seawal(*command, environment=replica.environment).code, DONE)
        self.assertEqual(replica.keys(), before)
        self.write(path, 5)
        self.assertEqual(self.seawal(*command, environment=replica.environment).code, DONE)
        self.assertEqual(self.restored_state(replica), 35)
        self.assertEqual(len(replica.segments("snapshot")), 1)

    def test_nothing_is_written_into_the_database(self):
        """Not a byte of a database at rest changes, and no table appears in one in use."""
        replica = self.folder()
        path = self.database(transactions=30)
        with workload.closing(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            schema = connection.execute("SELECT * FROM sqlite_schema").fetchall()
        with open(path, "rb") as stream:
            before = stream.read()
        self.assertEqual(self.seawal("replicate", "-once", path, replica.url).code, DONE)
        with open(path, "rb") as stream:
            self.assertEqual(stream.read(), before)
        daemon = self.daemon(path, replica)
        time.sleep(0.5)
        daemon.stop()
        with open(path, "rb") as stream:
            self.assertEqual(stream.read(), before)
        with workload.closing(path) as connection:
            self.assertEqual(connection.execute("SELECT * FROM sqlite_schema").fetchall(), schema)

    @both_stores
    def test_term_ships_what_is_left(self, replica):
        """With an interval that never comes, TERM alone brings everything into the replica."""
        path = self.database(transactions=3)
        daemon = self.daemon(path, replica, sync_interval="1h")
        self.write(path, 100)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.assertEqual(self.restored_state(replica), 103)

    def test_int_ships_what_is_left(self):
        replica = self.folder()
        path = self.database(transactions=3)
        daemon = self.daemon(path, replica, sync_interval="1h")
        self.write(path, 10)
        self.assertEqual(daemon.stop(signal.SIGINT), DONE)
        self.assertEqual(self.restored_state(replica), 13)

    def test_two_databases(self):
        """One process, two databases, two replicas, nothing mixed."""
        one, two = self.database("one.db", 10), self.database("two.db", 20, page_size=1024)
        first, second = self.folder("replica-one"), self.folder("replica-two")
        daemon = self.daemon([(one, first), (two, second)], None)
        self.write(one, 30)
        self.write(two, 40)
        self.wait_restorable(first, 40)
        self.wait_restorable(second, 60)
        self.assertEqual(daemon.stop(), DONE)
        self.check_same(one, self.restore(first))
        self.check_same(two, self.restore(second))

    def test_page_sizes(self):
        """Every page size, with auto_vacuum in its three forms."""
        for number, size in enumerate((512, 1024, 2048, 8192, 16384, 32768, 65536)):
            with self.subTest(page_size=size):
                replica = self.folder(f"replica-{size}")
                path = self.database(f"{size}.db", 10, page_size=size, auto_vacuum=number % 3)
                daemon = self.daemon(path, replica)
                self.write(path, 40)
                with workload.closing(path) as connection:
                    connection.execute("DELETE FROM documents")
                    connection.execute("PRAGMA incremental_vacuum(3)")
                self.assertEqual(daemon.stop(), DONE, daemon.log())
                self.check_same(path, self.restore(replica))

    def test_commit_into_an_idle_database(self):
        """One commit is noticed by itself: its last write wakes us before SQLite's index says that it is there."""
        path, replica = self.database(transactions=10), self.folder()
        daemon = self.daemon(path, replica, settings={"check-interval": "24h"})
        for seq in range(11, 16):
            self.write(path, 1)
            self.wait_restorable(replica, seq)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_database_that_is_never_closed(self):
        """The application keeps its connection; the daemon comes and goes beside it."""
        replica = self.folder()
        path = self.database(transactions=5)
        writer = workload.Writer(path, 1, 1)
        for round_number in range(3):
            daemon = self.daemon(path, replica)
            for _ in range(20):
                writer.transact()
            self.assertEqual(daemon.stop(), DONE)
            self.assertEqual(self.restored_state(replica), 5 + 20 * (round_number + 1))
        writer.close()
        self.check_same(path, self.restore(replica))

    def test_log_does_not_grow_without_end(self):
        """The daemon lets the log be reused: it stays small under a steady load, and falls when a heavy one ends."""
        replica = self.folder()
        path = self.database(transactions=5)
        daemon = self.daemon(path, replica)
        self.start_writer(path, mix="mixed", seconds=5, pause_us=10000).wait()
        self.assertLess(os.path.getsize(path + "-wal"), 64 << 20)
        self.start_writer(path, mix="mixed", seed=2, seconds=5).wait()
        writer = self.start_writer(path, seed=3, pause_us=20000)
        wait_for(lambda: os.path.getsize(path + "-wal"), what="the log falls", until=lambda size: size < 64 << 20)
        writer.terminate()
        self.assertIn(writer.wait(PATIENCE), (0, -15))  # -15: before it could listen
        self.assertEqual(daemon.stop(), DONE)
        self.check_same(path, self.restore(replica))

    def test_bytes_in_idle(self):
        """Without writes nothing is stored and next to no time is used."""
        replica = self.folder()
        path = self.database(transactions=5)
        daemon = self.daemon(path, replica)
        self.wait_restorable(replica, 5)
        wait_for(daemon.durable, what="what was stored is durable")

        # A slow machine may still have had something to do before, but not again and again.
        def spent():
            before, used = replica.keys(), _cpu_seconds(daemon.process.pid)
            time.sleep(3)
            return (replica.keys() == before, _cpu_seconds(daemon.process.pid) - used)
        wait_for(spent, 60, "rest: (nothing stored, s of the processor in 3 s)",
            until=lambda found: found[0] and found[1] < 0.05)
        daemon.stop()


@expand
class TwoWriters(Case):
    @both_stores
    def test_both_histories_stay(self, replica):
        """A second machine with a copy of the database: its own timeline; the first one finds out and stops."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, replica)
        self.write(path, 10)
        self.wait_restorable(replica, 20)
        copy = self.restore(replica)
        with workload.closing(copy) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        second = self.daemon(copy, replica)
        self.write(copy, 10)
        self.wait_restorable(replica, 30)
        # The first one looks for other writers now and then while it has something to store.
        wait_for(lambda: self.write(path, 1) or daemon.process.poll() is not None
            or daemon.events("replication refused"), 120, "the first one stops", pause=0.3)
        self.write(copy, 5)
        self.assertEqual(second.stop(), DONE, second.log())
        self.check_same(copy, self.restore(replica))
        self.assertEqual(self.restored_state(replica), 35)
        self.assertGreaterEqual(self.restored_state(replica, "-timeline", "1"), 20)
        if daemon.process.poll() is None:
            self.assertNotEqual(daemon.stop(), DONE)


class Exec(Case):
    def exec(self, command, path, replica, **options):
        return self.seawal("replicate", "-exec", command, path, replica.url, **options)

    def test_status_is_the_childs(self):
        replica, path = self.folder(), self.database(transactions=5)
        for command, code in (("/bin/true", 0), ("/bin/false", 1), ("sh -c 'exit 7'", 7), ("sh -c 'kill -9 $$'", 137)):
            with self.subTest(command=command):
                self.assertEqual(self.exec(command, path, replica).code, code)

    def test_short_child_is_synced(self):
        """Even /bin/true: what was committed before is in the replica when we have ended."""
        replica, path = self.folder(), self.database(transactions=25)
        self.assertEqual(self.exec("/bin/true", path, replica).code, DONE)
        self.assertEqual(self.restored_state(replica), 25)

    def test_writes_of_the_child_are_synced(self):
        replica, path = self.folder(), self.database()
        command = f"{sys.executable} {HERE}/workload.py {path} 1 1 1.5 5000 {self.path('record')}"
        self.assertEqual(self.exec(command, path, replica).code, DONE)
        record = workload.read_record([self.path("record")])
        self.assertEqual(self.restored_state(replica), max(record))
        self.check_same(path, self.restore(replica))

    def test_signals_are_forwarded(self):
        """TERM reaches the child, whose last write is shipped, and whose status is ours."""
        replica, path = self.folder(), self.database(transactions=2)
        marker = self.path("started")
        script = self.path("child.py")
        with open(script, "w", encoding="utf-8") as stream:
            stream.write(f"""
import signal, sys, time
sys.path.insert(0, {HERE!r})
import workload
def term(*_):
    writer = workload.Writer({path!r}, 1, 1)
    writer.transact()
    writer.close()
    sys.exit(9)
signal.signal(signal.SIGTERM, term)
open({marker!r}, "w").close()
time.sleep(600)
""")
        daemon = self.daemon(path, replica, start=False)
        daemon.start("-exec", f"{sys.executable} {script}", wait=False)
        wait_for(lambda: os.path.exists(marker), what="child started")
        self.assertEqual(daemon.stop(), 9, daemon.log())
        self.assertEqual(self.restored_state(replica), 3)


@unittest.skipIf(SANITIZED, "sanitizers take memory of their own")
class Memory(Case):
    def test_small_under_load(self):
        """24 MB under several writers at full speed."""
        replica, path = self.folder(), self.database(transactions=5)
        daemon = self.daemon(path, replica)
        writers = [self.start_writer(path, mix=mix, id=number, seed=number, seconds=6)
            for number, mix in enumerate(("mixed", "big", "blob"))]
        for writer in writers:
            writer.wait()
        peak = peak_memory(daemon.process.pid)
        self.assertEqual(daemon.stop(), DONE)
        self.assertLessEqual(peak, 24 << 20, f"{peak >> 20} MB")
        self.check_same(path, self.restore(replica))

    def test_one_large_transaction(self):
        """One transaction of 300 MB (2 GB in the long mode) within 32 MB."""
        replica, path = self.folder(), self.database(transactions=5)
        daemon = self.daemon(path, replica)
        count = 2_200_000 if LONG else 320_000
        with workload.closing(path) as connection:
            connection.execute("PRAGMA cache_size=1000")
            connection.execute("CREATE TABLE large(id INTEGER PRIMARY KEY, body TEXT)")
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT"
                " INTO large SELECT i, hex(randomblob(8)) || printf('%900d', i) FROM n", (count,))
            self.assertGreater(os.path.getsize(path + "-wal"), (1900 if LONG else 280) << 20)
        self.write(path, 1)
        self.wait_restorable(replica, 6, seconds=900)
        peak = peak_memory(daemon.process.pid)
        self.assertEqual(daemon.stop(), DONE)
        self.assertLessEqual(peak, 32 << 20, f"{peak >> 20} MB")
        self.check_same(path, self.restore(replica))


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
