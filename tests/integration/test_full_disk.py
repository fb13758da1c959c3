"""No room for the spool: the application goes on, it is said at once, and making room is all it takes to end it."""
import contextlib
import os
import re
import sqlite3
import subprocess
import threading
import time
import unittest
import urllib.request

import workload
from harness import DONE, FAILED, PATIENCE, Case, fill, small_disk, wait_for


def fill_names(folder):
    """Take all the file names that the file system can have."""
    os.makedirs(folder)
    with contextlib.suppress(OSError):
        for number in range(100000):
            with open(os.path.join(folder, str(number)), "w", encoding="ascii"):
                pass


@contextlib.contextmanager
def read_only(path):
    """A folder that cannot be written while the block runs, though what is open in it stays open."""
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


class Updater(threading.Thread):
    """An application that changes the rows of a small table, and counts what it is answered."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.commits, self.refusals, self.ending = path, 0, 0, False
        self.start()

    def run(self):
        with workload.closing(self.path) as connection:
            while not self.ending:
                try:
                    connection.execute("UPDATE small SET body = randomblob(2000) WHERE id = abs(random()) % 100")
                    self.commits += 1
                except sqlite3.OperationalError:
                    self.refusals += 1
                time.sleep(0.0005)

    def end(self):
        self.ending = True
        self.join()


class FullDisk(Case):
    def setUp(self):
        super().setUp()
        self.replica = self.folder()

    def start(self, path, **settings):
        daemon = self.daemon(path, self.replica, settings={"addr": "127.0.0.1:0", **settings})
        self.port = wait_for(lambda: daemon.events("metrics"), what="the metrics' address")[0]["port"]
        return daemon

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        return float(re.search(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE).group(1))

    def status(self, daemon):
        result = self.seawal("status", "-json", "-config", daemon.config)
        return result.code, result.json[0]["status"]

    def errors(self, daemon, what="capture"):
        return [line for line in daemon.events("failed") if line["what"] == what and line["level"] == "error"]

    def wait_full(self, daemon):
        wait_for(lambda: self.errors(daemon), what="an error")
        self.wait_metric(1)

    def wait_metric(self, value):
        wait_for(lambda: self.metric("litestream_disk_full"), what=f"the metric to be {value}",
            until=lambda found: found == value)

    def check_recovered(self, daemon, path, last):
        self.wait_restorable(self.replica, last)
        self.wait_metric(0)
        wait_for(lambda: self.status(daemon), what="a good status", until=lambda found: found == (DONE, "ok"))
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def keep_out(self, disk, take_room, give_back):
        """The spool's disk has no room while a writer writes; afterwards every transaction is there."""
        path = self.database(transactions=10)
        daemon = self.start(path, **{"state-dir": os.path.join(disk, "state")})
        self.write(path, 1)
        self.wait_restorable(self.replica, 11)
        take_room()
        began = time.monotonic()
        writer = self.start_writer(path, self.path("record"), mix="small", seconds=3, pause_us=2000)
        self.wait_full(daemon)
        self.assertEqual(writer.wait(PATIENCE), 0, "the application was disturbed")
        self.assertEqual(self.status(daemon), (FAILED, "disk full"))
        # One try a second, whatever the application does, and told once a minute.
        tries = self.metric("litestream_sync_error_count")
        self.assertLess(tries, 5 + 2 * (time.monotonic() - began))
        self.assertLess(len(self.errors(daemon)), 2 + (time.monotonic() - began) / 30)
        last = max(workload.read_record([self.path("record")]))
        give_back()
        self.check_recovered(daemon, path, last)
        self.assertEqual(daemon.events("resynced"), [], "the log was not held")

    def test_disk_of_the_spool_is_full(self):
        """Not a block is free: said at once, held in the log meanwhile, and nothing is lost."""
        with small_disk(self, "8m") as disk:
            ballast = os.path.join(disk, "ballast")
            self.keep_out(disk, lambda: fill(ballast), lambda: os.unlink(ballast))

    def test_no_more_files(self):
        """Room, but no inodes: the same."""
        with small_disk(self, "8m,nr_inodes=100") as disk:
            names = os.path.join(disk, "names")
            self.keep_out(disk, lambda: fill_names(names), lambda: subprocess.run(["rm", "-r", names], check=True))

    def test_disk_of_the_database_is_full(self):
        """Log, database and spool have one disk: the log is let go, so that the application can use it again."""
        with small_disk(self, "16m") as disk:
            path = os.path.join(disk, "app.db")
            workload.create(path)
            with workload.closing(path) as connection:
                connection.execute("CREATE TABLE small(id INTEGER PRIMARY KEY, body BLOB)")
                connection.executemany("INSERT INTO small VALUES(?, randomblob(2000))", [(n,) for n in range(100)])
            daemon = self.start(path)
            self.wait_restorable(self.replica, 0)
            updater = Updater(path)
            # SQLite uses the log's file again after a thousand pages: by then it has the size that it needs.
            wait_for(lambda: updater.commits, what="commits", until=lambda count: count > 3000)
            fill(os.path.join(disk, "ballast"))
            self.wait_full(daemon)
            wait_for(lambda: [line for line in daemon.events() if "let go" in line.get("event", "")], what="letting go")
            before = updater.commits
            wait_for(lambda: updater.commits, what="commits of the application with a full disk",
                until=lambda count: count > before + 1000)
            self.assertIsNone(daemon.process.poll(), daemon.log())
            os.unlink(os.path.join(disk, "ballast"))
            self.wait_metric(0)
            updater.end()
            self.assertIn("resynced", [line.get("continuity") for line in daemon.events("following")])
            self.assertEqual(daemon.stop(), DONE, daemon.log())
            self.check_same(path, self.restore(self.replica))

    def test_state_folder_becomes_read_only(self):
        """It says so, lets the application alone, and goes on when it can write again."""
        with small_disk(self, "16m") as disk:
            path = self.database(transactions=10)
            daemon = self.start(path, **{"state-dir": os.path.join(disk, "state")})
            self.wait_restorable(self.replica, 10)
            with read_only(disk):
                self.write(path, 20)
                wait_for(lambda: self.errors(daemon) and self.errors(daemon, "open"), what="errors")
                self.write(path, 20)
                self.assertIsNone(daemon.process.poll(), daemon.log())
            self.check_recovered(daemon, path, 50)

    def test_the_last_part_of_the_disk_is_left_alone(self):
        """The store is away and all the database changes: what waits stops before the reserve, also after a restart."""
        with small_disk(self, "32m") as disk:
            path = self.database(transactions=10)
            daemon = self.start(path, **{"state-dir": os.path.join(disk, "state")})
            self.wait_restorable(self.replica, 10)
            with read_only(self.replica.path):
                for _ in range(120):
                    with workload.closing(path) as connection:
                        connection.execute("CREATE TABLE IF NOT EXISTS filler(body BLOB)")
                        connection.execute("INSERT INTO filler VALUES(randomblob(300000))")
                    time.sleep(0.02)
                self.wait_full(daemon)
                space = os.statvfs(disk)
                self.assertGreater(space.f_bavail / space.f_blocks, 0.02)  # a transaction may reach into it
                self.assertEqual(self.status(daemon)[1], "disk full")
                daemon.kill()
                daemon.start(wait=False)
                wait_for(lambda: self.errors(daemon, "open") or self.errors(daemon), what="an error after the restart")
            self.port = wait_for(lambda: daemon.events("metrics"), what="the metrics' address")[0]["port"]
            self.write(path, 1)
            self.check_recovered(daemon, path, 11)


if __name__ == "__main__":
    unittest.main()
