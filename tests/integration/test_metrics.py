"""Numbers for Prometheus: what a scrape says is what is so, and asking costs the databases nothing."""
import contextlib
import os
import re
import socket
import sqlite3
import urllib.error
import urllib.request

from harness import DONE, PATIENCE, USAGE, Case, FolderReplica, wait_for

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?\d+(?:\.\d+)?)')


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Scrape:
    """One answer, read as strictly as Prometheus reads it."""

    def __init__(self, text):
        self.samples, self.types = {}, {}
        assert text.endswith("\n"), text[-200:]
        family = None
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                assert family not in self.types, f"{family} stands in two places"
                self.types[family] = kind
            elif not line.startswith("# HELP "):
                match = SAMPLE.fullmatch(line)
                assert match, f"not a sample: {line}"
                name, labels, value = match.groups()
                assert name == family or (self.types[family] == "histogram"
                    and name in (family + "_bucket", family + "_sum", family + "_count")), line
                key = (name, labels or "")
                assert key not in self.samples, f"twice: {line}"
                self.samples[key] = float(value)

    def get(self, name, database, *labels):
        """One number of a database; LABELS as they are written: 'work="open"'."""
        return self.samples[name, ",".join([f'db="{database}"', *labels])]


class Scraped(Case):
    """A daemon that answers Prometheus."""

    def start_daemon(self, database, replica, address="127.0.0.1:0", **options):
        settings = {"addr": f'"{address}"', **options.pop("settings", {})}
        return self.daemon(database, replica, settings=settings, **options)

    def url(self, daemon, path="/metrics"):
        event = wait_for(lambda: daemon.events("metrics"), what="the metrics' address")[0]
        return f"http://127.0.0.1:{event['port']}{path}"

    def scrape(self, daemon):
        with OPENER.open(self.url(daemon), timeout=PATIENCE) as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            return Scrape(answer.read().decode("utf-8"))


class Metrics(Scraped):
    def scrape_until(self, daemon, true, what):
        """The first scrape for which TRUE holds."""
        def look():
            scrape = self.scrape(daemon)
            return scrape if true(scrape) else None
        return wait_for(look, what=what, pause=0.1)

    def wait_equal(self, daemon, database, expected):
        """Until each number (a name, or a name and a label) is what EXPECTED calls for at that moment."""
        differences = {}

        def look():
            now = self.scrape(daemon)
            differences.clear()
            for key, wanted in expected.items():
                name, *labels = [key] if isinstance(key, str) else key
                found = now.get(name, database, *labels)
                wanted = wanted() if callable(wanted) else wanted
                if found != wanted:
                    differences[key] = (found, wanted)
            return not differences and now
        try:
            return wait_for(look, pause=0.1)
        except AssertionError:
            raise AssertionError(f"(scraped, true): {differences}") from None

    def test_numbers_are_the_state(self):
        """While it replicates: transactions, sizes, requests and stored objects are those that can be counted."""
        path, other = self.database(transactions=5), self.database("other \"x\".db", transactions=1)
        replica, other_replica = self.folder(), self.folder("other")
        daemon = self.start_daemon([(path, replica), (other, other_replica)], None)
        self.scrape_until(daemon, lambda now: now.get("seawal_durable_txid", path) == 1, "the first snapshot")
        label = other.replace('"', '\\"')
        self.scrape_until(daemon, lambda now: now.get("seawal_durable_txid", label) == 1, "that of the other")
        self.write(path, 40)
        with contextlib.closing(sqlite3.connect(path)) as keep:  # else the last one to close removes the log
            size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            self.wait_equal(daemon, path, {
                "litestream_txid": 41,
                "seawal_durable_txid": 41,
                "seawal_transactions_total": 40,
                "litestream_wal_size": lambda: os.path.getsize(path + "-wal"),
                "litestream_db_size": lambda: keep.execute(size).fetchone()[0],
                "seawal_segments_stored_total": lambda: len(replica.segments("0")),
                "seawal_snapshots_stored_total": 1,
                "seawal_spool_bytes": 0,
                "seawal_spool_segments": 0,
                "seawal_lag_seconds": 0,
                "seawal_following": 1,
                "seawal_refused": 0,
                "seawal_resyncs_total": 0,
                **{("seawal_failures_total", f'work="{work}"'): 0
                    for work in ("open", "capture", "upload", "snapshot")},
            })
        wait_for(lambda: daemon.durable(path), what="the log says so", until=lambda txid: txid == 41)
        now = self.scrape(daemon)
        self.assertGreaterEqual(now.get("litestream_total_wal_bytes", path), 40 * (4096 + 24))
        self.assertGreaterEqual(now.get("seawal_store_requests_total", path, 'verb="put"'), len(replica.keys()))
        self.assertGreaterEqual(now.get("seawal_store_sent_bytes_total", path), replica.stored_bytes())
        self.assertEqual(now.get("litestream_txid", label), 1)
        self.assertEqual(now.samples["seawal_databases", ""], 2)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_outage_shows(self):
        """A store that cannot be written: lag and spool grow, the upload is failing; afterwards all is 0 again."""
        path, replica = self.database(transactions=5), self.folder()
        daemon = self.start_daemon(path, replica)
        self.scrape_until(daemon, lambda now: now.get("seawal_durable_txid", path) >= 1, "the first snapshot")
        os.rename(replica.path, replica.path + ".away")
        with open(replica.path, "w", encoding="ascii"):
            pass
        self.write(path, 5)
        upload = 'work="upload"'
        now = self.scrape_until(daemon, lambda now: now.get("seawal_failing", path, upload) == 1
            and now.get("litestream_txid", path) == 6, "the outage")
        self.assertGreaterEqual(now.get("seawal_failures_total", path, upload), 1)
        lag = now.get("seawal_lag_seconds", path)
        now = self.scrape_until(daemon, lambda now: now.get("seawal_lag_seconds", path) > lag + 0.2, "more lag")
        self.assertEqual(now.get("seawal_durable_txid", path), 1)

        def spooled():
            return [size for name, size in FolderReplica(self.path(".app.db-seawal/spool")).keys().items()]
        self.wait_equal(daemon, path,
            {"seawal_spool_bytes": lambda: sum(spooled()), "seawal_spool_segments": lambda: len(spooled())})

        os.unlink(replica.path)
        os.rename(replica.path + ".away", replica.path)
        now = self.wait_equal(daemon, path, {"seawal_durable_txid": 6, "seawal_lag_seconds": 0, "seawal_spool_bytes": 0,
            "seawal_spool_segments": 0, ("seawal_failing", upload): 0})
        self.assertGreater(now.get("seawal_last_upload_timestamp_seconds", path), 1.6e9)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_long_reader_shows(self):
        """A reader that keeps the log from being reset has an age; when it ends, so does that, without a commit."""
        path, replica = self.database(transactions=5), self.folder()
        daemon = self.start_daemon(path, replica, settings={"min-checkpoint-page-count": 50, "check-interval": 0})
        self.scrape_until(daemon, lambda now: now.get("seawal_durable_txid", path) >= 1, "the first snapshot")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM ledger").fetchone()
            self.write(path, 60)
            first = self.scrape_until(daemon, lambda now: now.get("seawal_long_reader_seconds", path) > 0, "a reader")
            age = first.get("seawal_long_reader_seconds", path)
            now = self.scrape_until(daemon, lambda now: now.get("seawal_long_reader_seconds", path) > age, "its age")
            self.assertGreaterEqual(now.get("seawal_log_resets_total", path, 'result="reader"'), 1)
        now = self.scrape_until(daemon, lambda now: now.get("seawal_long_reader_seconds", path) == 0
            and now.get("seawal_log_resets_total", path, 'result="done"') >= 1, "the reader's end")
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_write_lock_holds_are_counted(self):
        """As many as the log tells of, in the buckets of their lengths."""
        path, replica = self.database(transactions=5), self.folder()
        daemon = self.start_daemon(path, replica, settings={"min-checkpoint-page-count": 50})
        writer = self.start_writer(path, pause_us=300)
        count = "seawal_write_lock_hold_seconds_count"
        self.scrape_until(daemon, lambda now: now.get(count, path) >= 2, "two holds")

        def holds():
            return [int(line["write_lock_us"]) for line in daemon.events("checkpoint")]
        wait_for(holds, what="a hold that the log tells of, at the end of its round", until=any)
        writer.terminate()
        writer.wait()
        told = holds()
        now = self.scrape(daemon)
        buckets = [value for (name, labels), value in now.samples.items()
            if name == "seawal_write_lock_hold_seconds_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], now.get(count, path))
        longest = now.get("seawal_write_lock_hold_max_seconds", path)
        self.assertGreaterEqual(longest, max(told) / 1e6)
        self.assertGreaterEqual(now.get("seawal_write_lock_hold_seconds_sum", path), longest)
        self.assertGreaterEqual(now.get(count, path), sum(us > 0 for us in told))
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_resync_shows(self):
        """What an application did while nobody looked is one resync with its pages."""
        path, replica = self.database(transactions=5), self.folder()
        daemon = self.start_daemon(path, replica)
        self.scrape_until(daemon, lambda now: now.get("seawal_durable_txid", path) >= 1, "the first snapshot")
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.write(path, 5)  # the log is gone when its last connection closes
        daemon.start()
        now = self.scrape_until(daemon, lambda now: now.get("seawal_durable_txid", path) == 2, "the resync")
        self.assertEqual(now.get("seawal_resyncs_total", path), 1)
        self.assertGreaterEqual(now.get("seawal_resync_pages_total", path), 1)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_asking_wakes_nobody(self):
        """A hundred scrapes are no reason for rounds of capturing, requests or open files; a few come anyway."""
        path, replica = self.database(transactions=5), self.folder()
        daemon = self.start_daemon(path, replica, settings={"check-interval": 0})
        self.wait_equal(daemon, path, {"seawal_lag_seconds": 0, "seawal_durable_txid": 1})
        counted = [("litestream_sync_count", ""), *(("seawal_store_requests_total", f'verb="{verb}"')
            for verb in ("put", "get", "list", "remove"))]
        files = f"/proc/{daemon.process.pid}/fd"
        before, opened = self.scrape(daemon), len(os.listdir(files))
        for _ in range(100):
            after = self.scrape(daemon)
        for name, label in counted:
            labels = [label] if label else []
            self.assertLess(after.get(name, path, *labels) - before.get(name, path, *labels), 10, f"{name} {label}")
        self.assertLess(len(os.listdir(files)) - opened, 10)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_nothing_else_is_answered(self):
        """Other paths and methods are refused in words, and the next scrape is served."""
        path, replica = self.database(transactions=1), self.folder()
        daemon = self.start_daemon(path, replica)
        for target, method, status in (("/debug/pprof/", "GET", 404), ("/metrics", "POST", 405), ("/", "DELETE", 405)):
            body = b"x" if method == "POST" else None
            request = urllib.request.Request(self.url(daemon, target), method=method, data=body)
            with self.assertRaises(urllib.error.HTTPError) as refused:
                OPENER.open(request, timeout=PATIENCE)
            self.assertEqual(refused.exception.code, status)
            refused.exception.close()
        with OPENER.open(self.url(daemon, "/"), timeout=PATIENCE) as answer:
            self.assertIn("/metrics", answer.read().decode())
        self.assertTrue(self.scrape(daemon).samples)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_without_a_host_it_is_loopback(self):
        """':PORT' is not reachable from elsewhere."""
        path, replica = self.database(transactions=1), self.folder()
        daemon = self.start_daemon(path, replica, address=":0")
        port = int(wait_for(lambda: daemon.events("metrics"))[0]["port"])
        with open("/proc/net/tcp", encoding="ascii") as table:
            places = {line.split()[1] for line in table.readlines()[1:] if line.split()[3] == "0A"}
        self.assertIn(f"0100007F:{port:04X}", places)
        self.assertNotIn(f"00000000:{port:04X}", places)
        self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_taken_address_does_not_stop_replication(self):
        """Somebody else listens there: an error in the log, and the database is replicated all the same."""
        path, replica = self.database(transactions=3), self.folder()
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
            daemon = self.start_daemon(path, replica, address=f"127.0.0.1:{taken.getsockname()[1]}")
            self.wait_restorable(replica, 3)
            self.assertEqual([line["level"] for line in daemon.events("no metrics")], ["error"])
            self.assertEqual(daemon.stop(), DONE, daemon.log())

    def test_bad_address_is_refused(self):
        """It is named with file and line before anything is replicated."""
        path, replica = self.database(transactions=1), self.folder()
        daemon = self.start_daemon(path, replica, address="9090", start=False)
        result = self.seawal("replicate", "-config", daemon.config)
        self.assertEqual(result.code, USAGE, str(result))
        self.assertIn(f"{daemon.config}:3: 'addr': '9090' is not HOST:PORT", result.err)
