"""The store is away for a while: nothing is lost, nobody has to restart anything."""
import os
import re
import time
import urllib.request

import workload
from harness import (COULD_NOT_TELL, DONE, FAILED, NOT_THERE, PATIENCE, SANITIZED, Case, S3Server, parse_fields,
    peak_memory, wait_for)


class Outage(Case):
    def setUp(self):
        super().setUp()
        self.server = S3Server()
        self.addCleanup(self.server.stop)
        self.replica = self.bucket(self.server)

    def check_log_is_let_go(self, path):
        """Into the spool, since the store is away; at the latest when the writer is slower than the machine."""
        writer = self.start_writer(path, self.path("record"), seed=2, pause_us=20000)
        wait_for(lambda: os.path.getsize(path + "-wal"), what="the log to be let go", until=lambda size: size < 64 << 20)
        writer.terminate()
        self.assertIn(writer.wait(PATIENCE), (0, -15))  # -15: before it could listen

    def test_server_down_for_a_while(self):
        """Writes go on while the server is down; all of it arrives once it is back, in bounded memory."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        durable = wait_for(daemon.durable, what="what was stored is durable")
        self.server.down()
        writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=12, pause_us=1000)
        self.assertEqual(writer.wait(PATIENCE), 0)
        self.assertIsNone(daemon.process.poll(), daemon.log())
        self.assertEqual(daemon.durable(), durable, "called durable while the store was away")
        self.check_log_is_let_go(path)
        self.server.up()
        last = max(workload.read_record([self.path("record")]))
        self.wait_restorable(self.replica, last)
        peak = peak_memory(daemon.process.pid)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        if not SANITIZED:  # sanitizers take memory of their own
            self.assertLessEqual(peak, 24 << 20, f"{peak >> 20} MB")
        self.check_same(path, self.restore(self.replica))

    def test_server_that_does_not_answer(self):
        """It accepts connections and says nothing: the log is still let go, and all arrives afterwards."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.pause()
        try:
            writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=5, pause_us=500)
            self.assertEqual(writer.wait(PATIENCE), 0)
            self.check_log_is_let_go(path)
        finally:
            self.server.resume()
        last = max(workload.read_record([self.path("record")]))
        self.wait_restorable(self.replica, last)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def test_restart_during_the_outage(self):
        """Killed and started again while the store is away: the spool still brings everything."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.down()
        self.write(path, 20)
        time.sleep(0.5)
        daemon.kill()
        daemon.start(wait=False)
        self.write(path, 20)
        time.sleep(1)
        self.assertIsNone(daemon.process.poll(), daemon.log())
        self.server.up()
        self.wait_restorable(self.replica, 50)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def test_started_without_a_store(self):
        """The first start ever, with the store away: it waits for it."""
        path = self.database(transactions=10)
        self.server.down()
        daemon = self.daemon(path, self.replica, start=False)
        daemon.start(wait=False)
        self.write(path, 5)
        time.sleep(2)
        self.assertIsNone(daemon.process.poll(), daemon.log())
        self.server.up()
        self.wait_restorable_when_made(15)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(self.replica))

    def wait_restorable_when_made(self, seq):
        wait_for(lambda: self.replica.segments("snapshot"), what="a snapshot")
        self.wait_restorable(self.replica, seq)

    def test_stop_during_the_outage(self):
        """TERM while the store is away: it ends in time, and says that not all is durable."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica)
        self.wait_restorable(self.replica, 10)
        self.server.down()
        self.write(path, 20)
        self.assertIn(daemon.stop(), (FAILED, COULD_NOT_TELL), daemon.log())
        self.server.up()
        daemon.start()
        self.assertEqual(daemon.stop(), DONE)
        self.check_same(path, self.restore(self.replica))

    def test_restore_without_a_store(self):
        """Could not tell is not the same as not there."""
        path = self.database(transactions=10)
        result = self.seawal("replicate", "-once", path, self.replica.url, environment=self.replica.environment)
        self.assertEqual(result.code, DONE, str(result))
        self.server.down()
        self.restore(self.replica, expect=COULD_NOT_TELL, seconds=200)
        self.server.up()
        self.assertEqual(self.restored_state(self.replica), 10)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class LongOutage(Case):
    """The store is away for so long that many times the spool's cap is written."""

    CAP = 300_000
    KILLS = 4

    def setUp(self):
        super().setUp()
        self.server = S3Server()
        self.addCleanup(self.server.stop)
        self.replica = self.bucket(self.server)

    def spool_size(self, path):
        """Bytes in the spool, and those of level 0 among them."""
        merged = level0 = 0
        for folder, _, names in os.walk(os.path.join(os.path.dirname(path), ".app.db-seawal/spool")):
            for name in names:
                try:
                    size = os.path.getsize(os.path.join(folder, name))
                except FileNotFoundError:
                    continue
                if folder.endswith("/1"):
                    merged += size
                else:
                    level0 += size
        return merged + level0, level0

    def merges(self, daemon):
        """What every run of the daemon has said of merging."""
        with open(daemon.log_path, encoding="utf-8", errors="replace") as lines:
            found = [parse_fields(line) for line in lines if "spool merged" in line]
        return [line for line in found if line.get("event") == "spool merged"]

    def requests(self, daemon):
        """Requests that the daemon has made to the store."""
        port = wait_for(lambda: daemon.events("metrics"), 60, "the metrics' address")[0]["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(r"^seawal_store_requests_total{[^}]*} (\S+)$", text, re.MULTILINE))

    def kill_and_restart(self, daemon, path, writer):
        """At random moments, so in the middle of merges as well, while the writer writes."""
        largest = written = 0
        for _ in range(self.KILLS):
            until = time.monotonic() + self.random.uniform(0.5, 2.5)
            while time.monotonic() < until and writer.poll() is None:
                size, level0 = self.spool_size(path)
                largest, written = max(largest, size), max(written, level0)
                time.sleep(0.05)
            daemon.kill()
            daemon.start(wait=False)
        return largest

    def test_spool_is_bounded_and_everything_drains(self):
        """Many times the cap is written, the daemon is killed again and again: lag, and nothing else."""
        path = self.database(transactions=10)
        daemon = self.daemon(path, self.replica, settings={"spool-size": str(self.CAP), "addr": "127.0.0.1:0"})
        self.wait_restorable(self.replica, 10)
        before = wait_for(daemon.durable, 60, "something durable")
        self.server.down()
        writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=12, pause_us=500, rows=300)
        largest = self.kill_and_restart(daemon, path, writer)
        self.assertEqual(writer.wait(120), 0)
        wait_for(lambda: len(self.merges(daemon)) >= 2, 60, "merges")
        size = os.path.getsize(path)
        # 1.5 databases and the cap; while merging, one database more, and as much as a killed one left.
        self.assertLess(largest, 4 * size + 2 * self.CAP + (8 << 20))
        wait_for(lambda: self.spool_size(path)[0] < 1.5 * size + self.CAP + (1 << 20), 60, "the bound")
        self.assertLess(os.path.getsize(path + "-wal"), 64 << 20, "the log was not let go into the spool")

        # Waiting costs next to nothing: some requests at an ever slower pace, hardly any time.
        requests, used = self.requests(daemon), cpu_seconds(daemon.process.pid)
        time.sleep(3)
        self.assertLess(self.requests(daemon) - requests, 100)
        if not SANITIZED:
            self.assertLess(cpu_seconds(daemon.process.pid) - used, 1)
            self.assertLess(peak_memory(daemon.process.pid), 24 << 20)

        self.server.up()
        last = max(workload.read_record([self.path("record")]))
        self.wait_restorable(self.replica, last, 300)
        self.write(path, 5)
        self.assertEqual(daemon.stop(seconds=120), DONE, daemon.log())
        merged = self.merges(daemon)
        self.assertGreater(sum(int(line["lost_points"]) for line in merged), 100)
        self.check_same(path, self.restore(self.replica))

        # Before the outage and after it every transaction can be chosen, in it those between two merges.
        self.assertEqual(self.restored_state(self.replica, "-txid", str(before)), 10)
        final = daemon.durable()
        self.assertEqual(self.restored_state(self.replica, "-txid", str(final - 3)), last + 2)
        self.assertLess(self.restored_state(self.replica, "-txid", merged[-1]["to_txid"]), last + 1)
        self.restore(self.replica, "-txid", str(int(merged[-1]["to_txid"]) - 1), expect=NOT_THERE)
