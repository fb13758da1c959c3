"""What no rule keeps goes from a replica in two steps; what is held stays; what went is certainly not there."""
import os

from harness import DAMAGED, DONE, FAILED, NOT_THERE, USAGE, Case, both_stores, expand, wait_for

RULES = ("-retention", "transaction=0s")  # the newest state alone
NOW = RULES + ("-grace", "0s")


@expand
class Retention(Case):
    def make(self, replica, transactions=12):
        """A history of nearly as many segments, and a late snapshot; the daemon is gone."""
        path = self.database(transactions=1)
        daemon = self.daemon(path, replica, sync_interval="0", settings={"snapshot": "{interval: 1ms}"})
        for count in range(1, transactions + 1):
            self.write(path, 1)
            self.wait_restorable(replica, count)
        self.wait_restorable(replica, transactions)

        def has_late_snapshot():
            snapshots = self.history(replica)["timelines"][0]["snapshots"]
            self.write(path, 1)
            return snapshots[-1]["usable_txid"] > transactions - 2

        wait_for(has_late_snapshot, what="a late snapshot", pause=0.2)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.newest = daemon.durable()
        return path

    def ask(self, replica, *arguments):
        return self.seawal(*arguments, replica.url, environment=replica.environment)

    def expire(self, replica, *flags, expect=DONE):
        result = self.ask(replica, "expire", "-json", *flags)
        self.assertEqual(result.code, expect, str(result))
        return result.json if expect == DONE else result

    def restorable(self, replica):
        """The transactions that restore; all others must be certainly not there."""
        found = []
        for txid in range(1, self.newest + 1):
            out = self.path(f"try-{txid}.db")
            result = self.ask(replica, "restore", "-o", out, "-txid", str(txid))
            self.assertIn(result.code, (DONE, NOT_THERE), str(result))
            if result.code == DONE:
                found.append(txid)
                os.unlink(out)
        return found

    @both_stores
    def test_two_steps(self, replica):
        path = self.make(replica)
        held = 5
        result = self.ask(replica, "hold", "-json", "-txid", str(held), "before-v2")
        self.assertEqual((result.code, result.json["txid"]), (DONE, held), str(result))
        self.assertEqual(self.ask(replica, "hold", "before-v2").code, FAILED)
        listed = self.ask(replica, "hold", "-list", "-json").json
        self.assertEqual([(row["name"], row["txid"]) for row in listed], [("before-v2", held)])

        keys = set(replica.keys())
        plan = self.expire(replica, "-dry-run", *RULES)
        self.assertEqual(set(replica.keys()), keys)
        self.assertGreater(plan["objects"], 1)
        self.assertEqual(sum(row["size"] for row in plan["object_list"]), plan["bytes"])

        done = self.expire(replica, *NOW)
        self.assertEqual((done["condemned"], done["removed"]), (plan["objects"], 0))
        self.assertTrue(keys < set(replica.keys()))
        done = self.expire(replica, *NOW)
        self.assertEqual((done["removed"], done["removed_bytes"]), (plan["objects"], plan["bytes"]))
        gone = {row["key"] for row in plan["object_list"]}
        self.assertEqual({key for key in keys if key not in set(replica.keys())}, gone)

        self.assertEqual(self.history(replica)["timelines"][0]["gaps"], [])
        left = self.restorable(replica)
        self.assertIn(held, left)
        self.assertIn(self.newest, left)
        lost = {txid for row in plan["points"] for txid in range(row["first_txid"], row["last_txid"] + 1)}
        self.assertEqual(set(range(1, self.newest + 1)) - set(left), lost)
        out, within = self.path("lost.db"), max(lost)
        result = self.ask(replica, "restore", "-o", out, "-txid", str(within))
        self.assertEqual(result.code, NOT_THERE, str(result))
        self.assertIn(f"nearest that are: {max(t for t in left if t < within)} (", result.err)
        self.assertIn(f" and {min(t for t in left if t > within)} (", result.err)

        # The daemon goes on behind it, and what was held can be let go.
        daemon = self.daemon(path, replica)
        self.write(path, 2)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.check_same(path, self.restore(replica))
        self.assertEqual(self.ask(replica, "hold", "-release", "before-v2").code, DONE)
        self.assertEqual(self.ask(replica, "hold", "-release", "before-v2").code, NOT_THERE)
        self.expire(replica, *NOW)
        self.expire(replica, *NOW)
        self.newest = daemon.durable()
        self.assertNotIn(held, self.restorable(replica))
        self.check_same(path, self.restore(replica))

    @both_stores
    def test_an_instant_between_points(self, replica):
        """By its time: the nearest point before it, and the answer says which one was taken."""
        self.make(replica, transactions=6)
        history = self.history(replica)["timelines"][0]
        last = history["windows"][-1]["last_time"]
        out = self.path("later.db")
        result = self.ask(replica, "restore", "-o", out, "-timestamp", "2100-01-01T00:00:00Z")
        self.assertEqual(result.code, DONE, str(result))
        self.assertIn(f"not later than 2100-01-01T00:00:00.000Z is transaction {self.newest} of {last}", result.err)

    def test_what_is_asked_wrongly(self):
        replica = self.folder()
        self.make(replica, transactions=3)
        keys = set(replica.keys())
        for flags, words in (((), "-retention default"),
                             (("-retention", "1m=7d"), "every transaction"),
                             (("-retention", "transaction"), "every=keep"),
                             (("-retention", "transaction=soon"), "'soon' is not a duration"),
                             (("-retention", "transaction=1h,1m=30m"), "less time")):
            result = self.expire(replica, *flags, expect=USAGE)
            self.assertIn(words, result.err)
        self.assertEqual(self.ask(replica, "hold", "a b").code, USAGE)
        self.assertEqual(self.ask(replica, "hold", "-list", "a").code, USAGE)
        self.assertEqual(self.ask(replica, "hold", "-txid", "99999", "a").code, NOT_THERE)
        self.assertEqual(self.ask(self.folder("none"), "expire", "-dry-run").code, NOT_THERE)
        self.assertEqual(set(replica.keys()), keys)

    def test_a_foreign_object_stops_it(self):
        replica = self.folder()
        self.make(replica, transactions=3)
        replica.put("notes.txt", b"mine")
        keys = set(replica.keys())
        result = self.expire(replica, *NOW, expect=DAMAGED)
        self.assertIn("notes.txt", result.err)
        self.assertEqual(set(replica.keys()), keys)

    @both_stores
    def test_the_daemon_does_it(self, replica):
        """Old points go while it runs; what is left restores."""
        path = self.database(transactions=1)
        daemon = self.daemon(path, replica, settings={
            "snapshot": "{interval: 1ms}", "retention": "[{every: transaction, keep: 1s}]",
            "retention-check-interval": "200ms", "retention-grace": "1s"})
        self.wait_restorable(replica, 1)

        def has_removed():
            self.write(path, 1)
            return [event for event in daemon.events("retention") if int(event["removed"]) > 0]

        wait_for(has_removed, what="something removed", pause=0.1)
        self.assertEqual(daemon.stop(), DONE, daemon.log())
        self.assertEqual(daemon.events("retention failed"), [])
        self.check_same(path, self.restore(replica))
        self.assertEqual(self.history(replica)["timelines"][0]["gaps"], [])
        self.assertGreater(self.history(replica)["timelines"][0]["snapshots"][0]["first_txid"], 1)
