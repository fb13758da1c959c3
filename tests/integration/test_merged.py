"""A replica with merged segments: what it can restore is told as it is, and damage in them by name."""
import datetime
import os

from harness import DAMAGED, DONE, NOT_THERE, PATIENCE, Case, wait_for


class Merged(Case):
    """The store is away until the spool was merged; 10 transactions before, some behind."""

    def make(self):
        path, self.replica = self.database(transactions=10), self.folder()
        daemon = self.daemon(path, self.replica, settings={"spool-size": "300000"})
        self.wait_restorable(self.replica, 10)
        away = self.replica.path + ".away"
        os.rename(self.replica.path, away)
        with open(self.replica.path, "w", encoding="ascii") as stream:
            stream.write("not a folder")
        writer = self.start_writer(path, self.path("record"), mix="mixed", seconds=600, pause_us=500, rows=300)
        wait_for(lambda: daemon.events("spool merged"), what="a merged spool")
        writer.terminate()
        writer.wait(PATIENCE)
        os.unlink(self.replica.path)
        os.rename(away, self.replica.path)
        wait_for(lambda: self.replica.segments("1"), what="a merged segment in the replica")
        self.write(path, 3)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.assertEqual(daemon.events("spool not merged"), [])
        self.durable = daemon.durable()
        self.check_same(path, self.restore(self.replica))

    def test_is_told_as_it_is(self):
        self.make()
        timeline = self.history(self.replica)["timelines"][0]
        windows, merged = timeline["windows"], timeline["merged"]
        self.assertGreaterEqual(len(merged), 1)
        self.assertEqual(timeline["gaps"], [])
        self.assertEqual(windows[-1]["last_txid"], self.durable)
        for before, between, after in zip(windows, merged, windows[1:]):
            self.assertEqual(between["first_txid"], before["last_txid"] + 1)
            self.assertEqual(between["last_txid"], after["first_txid"])
            self.assertEqual(between["last_time"], after["first_time"])
        text = self.seawal("history", self.replica.url)
        self.assertEqual(text.code, DONE, str(text))
        self.assertIn("merged, to be restored as of their last transaction only", text.out)

        # Its ends are points, and nothing within it; a time within it gives what was before it.
        between, last_before = merged[0], windows[0]["last_txid"]
        self.assertGreater(between["last_txid"], between["first_txid"])
        for txid in (last_before, between["last_txid"]):
            self.restored_state(self.replica, "-txid", str(txid))
        within = (between["first_txid"] + between["last_txid"] - 1) // 2
        out = self.path("within.db")
        result = self.seawal("restore", "-o", out, "-txid", str(within), self.replica.url)
        self.assertEqual(result.code, NOT_THERE, str(result))
        self.assertFalse(os.path.exists(out))
        self.assertIn(f"nearest that are: {last_before} (", result.err)
        self.assertIn(f" and {between['last_txid']} (", result.err)
        before = datetime.datetime.fromisoformat(between["last_time"].replace("Z", "+00:00"))
        earlier = (before - datetime.timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
        result = self.seawal("restore", "-json", "-o", out, "-timestamp", earlier, self.replica.url)
        self.assertEqual(result.code, DONE, str(result))
        self.assertEqual(result.json["txid"], last_before)

    def test_damage_is_named(self):
        self.make()
        # What was stored while it was merged again is there as well: all of it is damaged at once.
        good = {key: self.replica.get(key) for key in self.replica.segments("1")}
        before = self.history(self.replica)["timelines"][0]["windows"][0]["last_txid"]
        for part in (0.01, 0.5, 0.99):
            for key, body in good.items():
                bad = bytearray(body)
                bad[int(len(bad) * part)] ^= 0x40
                self.replica.put(key, bytes(bad))
            with self.subTest(part=part):
                out = self.path(f"damaged-{part}.db")
                result = self.seawal("restore", "-o", out, self.replica.url)
                self.assertEqual(result.code, DAMAGED, str(result))
                self.assertTrue(any(key in result.err for key in good), str(result))
                self.assertFalse(os.path.exists(out))
                self.restored_state(self.replica, "-txid", str(before))
        for key in good:
            self.replica.delete(key)
        result = self.seawal("history", self.replica.url)
        self.assertEqual(result.code, DAMAGED, str(result))
        self.restore(self.replica, expect=DAMAGED)
        for key, body in good.items():
            self.replica.put(key, body)
        self.restore(self.replica)
