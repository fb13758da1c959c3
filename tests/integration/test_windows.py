"""Windows of time as merged segments: beside the log while it runs, through kill -9, and enough without the log."""
import re
import time

from harness import DONE, PATIENCE, Case, content_hash, expand, both_stores, remove_database, wait_for
from test_metrics import Scraped

SHORT_MS, LONG_MS = 2000, 6000
RULES = {"retention": "[{every: transaction, keep: 24h}, {every: 2s, keep: 48h}, {every: 6s, keep: 96h}]"}
NAME = re.compile(r"([0-9a-f]{8})/(\w+)/([0-9a-f]{16})-([0-9a-f]{16})-(\d{13})\.seg$")


def named(replica, level):
    """(first txid, last txid, time in ms) of the segments of a level, by their ends."""
    found = [NAME.match(key).groups() for key in replica.segments(level)]
    return sorted(((int(first, 16), int(last, 16), int(ms)) for _, _, first, last, ms in found), key=lambda one: one[1])


def window_ends(log, every_ms):
    """The last transactions of the windows that a later transaction closes."""
    return [this[1] for this, after in zip(log, log[1:]) if this[2] // every_ms != after[2] // every_ms]


@expand
class Windows(Case):
    def content(self, replica, txid):
        path = self.restore(replica, "-txid", str(txid))
        try:
            return content_hash(path)
        finally:
            remove_database(path)

    def remove_level(self, replica, level):
        """As retention may: of a window that a kill lost, the finer segments stay until a coarser one covers them."""
        coarser = [segment for other in "12" if other > level for segment in named(replica, other)]
        removed = 0
        for key in replica.segments(level):
            first, last = (int(part, 16) for part in NAME.match(key).groups()[2:4])
            if any(one[0] <= first and last <= one[1] for one in coarser):
                replica.delete(key)
                removed += 1
        self.assertGreater(removed, 0)

    @both_stores
    def test_ends_restore_without_the_log(self, replica):
        path = self.database(transactions=10)
        daemon = self.daemon(path, replica, settings=RULES)
        self.wait_restorable(replica, 10)
        writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=600, pause_us=20000, rows=300)
        for _ in range(3):
            time.sleep(self.random.uniform(0.5, 3))
            daemon.kill()
            time.sleep(self.random.uniform(0, 1))
            daemon.start()
        time.sleep(LONG_MS / 1000 + 2)
        writer.terminate()
        writer.wait(PATIENCE)
        self.wait_restorable(replica, self.state(path))  # so that no other window ends later

        def is_merged():
            log = named(replica, "0")
            ends = {last for level in "12" for _, last, _ in named(replica, level)}
            long_ends = {last for _, last, _ in named(replica, "2")}
            missing = (set(window_ends(log, SHORT_MS)) - ends) | (set(window_ends(log, LONG_MS)) - long_ends)
            return not missing or sorted(missing)

        wait_for(is_merged, what="a merged segment for the end of each window", pause=0.5, until=lambda found: found is True)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.assertEqual(daemon.events("a window cannot be merged; its log stays"), [])
        self.check_same(path, self.restore(replica))
        self.assertEqual(self.history(replica)["timelines"][0]["gaps"], [])

        told = self.seawal("history", replica.url, environment=replica.environment).out
        for level in "012":
            self.assertRegex(told, rf"(?m)^ +{level} +{len(replica.segments(level))} ")

        log = named(replica, "0")
        short, long = window_ends(log, SHORT_MS), window_ends(log, LONG_MS)
        self.assertGreaterEqual(len(short), 5)
        self.assertGreaterEqual(len(long), 1)
        for txid in self.random.sample(range(2, log[-1][1]), 5):
            self.restored_state(replica, "-txid", str(txid))
        chosen = self.random.sample(short, 5)
        contents = {txid: self.content(replica, txid) for txid in {*chosen, *long}}
        self.remove_level(replica, "0")
        for txid, content in contents.items():
            self.assertEqual(self.content(replica, txid), content, f"transaction {txid} without the log")
        self.remove_level(replica, "1")
        for txid in long:
            self.assertEqual(self.content(replica, txid), contents[txid], f"transaction {txid} from long windows")


class Requests(Scraped):
    """What windows cost: a PUT each, nothing is listed or fetched, and in the end nothing at all is asked."""

    RULES = {"retention": "[{every: transaction, keep: 24h}, {every: 2s, keep: 48h}, {every: 4s, keep: 96h}]"}
    FENCE_S, FENCE_COUNT = 60, 50  # how often a writer looks for others: by time, and by what it stores
    QUIET_S = 15

    def counts(self, daemon, path):
        scrape = self.scrape(daemon)
        found = {verb: scrape.get("seawal_store_requests_total", path, f'verb="{verb}"') for verb in ("put", "get", "list", "remove")}
        for name in ("seawal_segments_stored_total", "seawal_merged_segments_total", "seawal_snapshots_stored_total",
                "seawal_merge_windows_lost_total"):
            found[name] = scrape.get(name, path)
        return found

    def test_steady_and_idle(self):
        path, replica = self.database(transactions=10), self.folder()
        daemon = self.start_daemon(path, replica, settings=self.RULES)
        self.wait_restorable(replica, 10)
        writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=600, pause_us=10000, rows=300)
        wait_for(lambda: self.counts(daemon, path)["seawal_merged_segments_total"] >= 2, what="two windows")
        began, before = time.monotonic(), self.counts(daemon, path)
        wait_for(lambda: self.counts(daemon, path)["seawal_merged_segments_total"]
            >= before["seawal_merged_segments_total"] + 5, what="five more")
        after, elapsed = self.counts(daemon, path), time.monotonic() - began
        spent = {name: after[name] - before[name] for name in after}
        lost = after["seawal_merge_windows_lost_total"]
        # One that a slow machine did not merge in time is looked for in the store, level by level.
        self.assertLessEqual(spent["list"], 3 * lost, spent)
        self.assertEqual(spent["remove"], 0, spent)
        if lost == 0:
            stored = spent["seawal_segments_stored_total"]
            self.assertLessEqual(spent["get"], elapsed / self.FENCE_S + stored / self.FENCE_COUNT + 2, spent)
        self.assertLessEqual(spent["seawal_merged_segments_total"], elapsed * (1 / 2 + 1 / 4) + 3 + lost, spent)
        # A request that is under way is counted when it began, what it stored when it is done.
        self.assertLessEqual(abs(spent["put"] - spent["seawal_segments_stored_total"]
            - spent["seawal_merged_segments_total"]), 3, spent)
        writer.terminate()
        writer.wait(PATIENCE)

        quiet = {"since": time.monotonic(), "counts": None}

        def is_quiet():
            now = self.counts(daemon, path)
            if now != quiet["counts"]:
                quiet.update(since=time.monotonic(), counts=now)
            return time.monotonic() - quiet["since"] > self.QUIET_S

        wait_for(is_quiet, what="no request any more", pause=0.5)
        log, merged = named(replica, "0"), named(replica, "2")
        self.assertEqual(merged[-1][1], log[-1][1], "the last window was closed by the clock")
        self.assertEqual(daemon.stop(), DONE, daemon.log())
