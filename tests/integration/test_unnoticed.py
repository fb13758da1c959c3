"""The application does not notice: when it is refused a lock, how long a reader may make the log, how far it outruns us.

There is one writer here, so that whatever it is refused, it is refused because of us. SEAWAL_ROUNDS sets the thousands
of commits of the first case (default 30, 1,000 in the long mode).
"""
import datetime
import os
import sqlite3
import subprocess
import sys
import time

import workload
from harness import DONE, LONG, PATIENCE, SANITIZED, Case, wait_for

THOUSANDS = int(os.environ.get("SEAWAL_ROUNDS", 1000 if LONG else 30))
BUSY = 5
SLACK_MS = 2  # both sides round to whole milliseconds

# A process that begins to read, says so, and ends when its input does.
READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
before = connection.execute("SELECT count(*), max(seq) FROM ledger").fetchone()
print("reading", flush=True)
sys.stdin.read()
assert connection.execute("SELECT count(*), max(seq) FROM ledger").fetchone() == before
connection.execute("COMMIT")
"""


def wall_ms(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def resets(daemon):
    """How often the daemon has said that the log may begin again."""
    return sum(event["reset"] == "yes" for event in daemon.events("checkpoint"))


def log_size(path):
    return os.path.getsize(path + "-wal")


class Unnoticed(Case):
    def refused(self, path):
        """(wall clock ms before and after, extended code) of each time that the writer was told busy."""
        if not os.path.exists(path):
            return []
        with open(path, encoding="ascii") as lines:
            return [tuple(int(word) for word in line.split()) for line in lines]

    def end(self, writer):
        writer.terminate()
        self.assertIn(writer.wait(PATIENCE), (0, -15))  # -15: before it could listen

    def committed(self, path):
        with workload.closing(path) as connection:
            return workload.newest(connection)[0]

    def test_refused_only_inside_a_reset(self):
        """busy_timeout=0 and never a pause: refused only while a round of ours held the write lock, and plainly."""
        replica, path = self.folder(), self.database(transactions=10)
        daemon = self.daemon(path, replica)
        writer = self.start_writer(path, refused=self.path("refused"), busy_timeout=0, count=THOUSANDS * 1000, rows=300)
        self.assertEqual(writer.wait(PATIENCE + THOUSANDS * 60), 0)
        self.assertEqual(daemon.stop(), DONE, daemon.log()[-2000:])

        resets = [(int(event["began_ms"]), wall_ms(event["time"])) for event in daemon.events("checkpoint")
            if int(event["write_lock_us"]) > 0]
        refused = self.refused(self.path("refused"))
        # The writer may be stopped for long between the lock that it did not get and a look at the clock.
        outside = [(asked, told) for asked, told, _ in refused
            if not any(began - SLACK_MS <= told and asked <= ended + SLACK_MS for began, ended in resets)]
        print(f"{THOUSANDS},000 commits, {len(resets)} resets with the write lock, {len(refused)} times refused, "
            f"{len(outside)} outside, {sum(ended - began for began, ended in resets) / 1000:.1f} s inside", file=sys.stderr)
        self.assertEqual(outside, [])
        self.assertEqual({code for _, _, code in refused} - {BUSY}, set())
        self.check_same(path, self.restore(replica))

    def test_never_refused_with_a_timeout(self):
        """A timeout of five seconds is never used up, however often the log is reset."""
        replica, path = self.folder(), self.database(transactions=10)
        daemon = self.daemon(path, replica, settings={"min-checkpoint-page-count": 100})
        writer = self.start_writer(path, refused=self.path("refused"), busy_timeout=5000, rows=300)
        wait_for(lambda: (resets(daemon), self.committed(path)), PATIENCE + THOUSANDS * 20, "resets and commits", 0.2,
            until=lambda found: found[0] >= 5 and found[1] >= THOUSANDS * 300)
        self.end(writer)
        self.assertEqual(daemon.stop(), DONE, daemon.log()[-2000:])
        self.assertEqual(self.refused(self.path("refused")), [])
        self.check_same(path, self.restore(replica))

    def test_log_is_bounded_under_a_writer_that_never_pauses(self):
        """It begins again three times before it has grown to two gigabytes, and its file is cut when the writer is slower."""
        replica, path = self.folder(), self.database(transactions=10)
        daemon = self.daemon(path, replica, settings={"truncate-size": "8MiB"})
        writer = self.start_writer(path, rows=300, pause_us=1000 if SANITIZED else 0)

        def count_resets():
            self.assertLess(log_size(path), 2 << 30)
            return resets(daemon)

        wait_for(count_resets, 600, "three resets", 0.2, until=lambda found: found >= 3)
        self.end(writer)
        largest = log_size(path)
        writer = self.start_writer(path, rows=300, pause_us=20000)
        wait_for(lambda: log_size(path), what=f"a log of {largest} bytes is cut",
            until=lambda size: size <= 8 << 20)
        self.end(writer)
        self.assertEqual(daemon.stop(), DONE, daemon.log()[-2000:])
        self.check_same(path, self.restore(replica))

    def test_long_reader_is_named_and_its_log_is_cut(self):
        """WARN once with age, since when, and which process; the log falls below its cap as soon as it ends."""
        replica, path = self.folder(), self.database(transactions=10)
        daemon = self.daemon(path, replica, settings={"min-checkpoint-page-count": 200, "truncate-size": "2MiB"})
        writer = self.start_writer(path, rows=300, pause_us=3000)
        reader = subprocess.Popen([sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(reader)
        self.assertEqual(reader.stdout.readline(), "reading\n")
        [named] = wait_for(lambda: daemon.events("long reader"), what="it is named")
        self.assertEqual((named["level"], named["db"]), ("warn", path))
        self.assertIn(int(named["pid"]), (reader.pid, 0))
        if int(named["pid"]) != 0:
            with open(f"/proc/{reader.pid}/comm", encoding="ascii") as name:
                self.assertEqual(named["process"], name.read().strip())
        self.assertLess(wall_ms(named["since"]), wall_ms(named["time"]) - 4000)
        wait_for(lambda: log_size(path), what="the log grows behind it", until=lambda size: size > 6 << 20)
        told = [wall_ms(event["time"]) for event in daemon.events("long reader")]
        self.assertEqual([later - earlier for earlier, later in zip(told, told[1:]) if later - earlier < 290_000], [])

        reader.stdin.close()
        self.assertEqual(reader.wait(PATIENCE), 0)
        wait_for(lambda: log_size(path), what="the log is cut although the writer goes on",
            until=lambda size: size <= 2 << 20)
        wait_for(lambda: daemon.events("long reader ended"), what="its end is told")
        self.end(writer)
        self.assertEqual(daemon.stop(), DONE, daemon.log()[-2000:])
        self.check_same(path, self.restore(replica))

    def test_a_read_that_becomes_a_write_keeps_its_snapshot(self):
        """BEGIN, SELECT, UPDATE without another writer: never SQLITE_BUSY_SNAPSHOT, whatever we do to the log meanwhile.

        Plain SQLITE_BUSY there may be, while we hold the write lock: SQLite asks no busy handler then.
        """
        replica, path = self.folder(), self.database(transactions=10)
        daemon = self.daemon(path, replica, settings={"min-checkpoint-page-count": 50, "truncate-size": "64KiB"})
        codes = []
        with workload.closing(path, timeout=5) as connection:
            connection.execute("CREATE TABLE wide(id INTEGER PRIMARY KEY, body BLOB)")
            turn = 0
            until = time.monotonic() + PATIENCE
            while turn < 300 or (resets(daemon) == 0 and time.monotonic() < until):
                turn += 1
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM wide").fetchone()
                time.sleep(0.05 if turn % 10 == 9 else 0)
                try:
                    connection.execute("INSERT INTO wide(body) VALUES(zeroblob(20000))")
                    connection.execute("COMMIT")
                except sqlite3.OperationalError as error:
                    codes.append(error.sqlite_errorcode)
                    connection.execute("ROLLBACK")
        self.assertEqual(set(codes) - {BUSY}, set())
        self.assertGreater(resets(daemon), 0)
        self.assertEqual(daemon.stop(), DONE, daemon.log()[-2000:])
        self.check_same(path, self.restore(replica))
