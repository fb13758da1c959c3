"""Damaged replicas: a restore proves its result or fails; it never succeeds with less."""
import glob

from harness import DAMAGED, DONE, Case, both_stores, differing_pages, expand, remove_database


@expand
class Damage(Case):
    def make(self, replica):
        """A replica with a snapshot and several log segments; the newest state is self.good."""
        path = self.database(transactions=30)
        daemon = self.daemon(path, replica)
        for number in range(4):
            self.write(path, 6)
            self.wait_restorable(replica, 36 + 6 * number)
        self.assertEqual(daemon.stop(), DONE)
        self.good = self.restore(replica)
        self.check_same(path, self.good)
        self.assertGreaterEqual(len(replica.segments("0")), 3)

    def check_damage(self, replica, what, harmless_allowed=False):
        """Restore must fail as damaged; where the bytes carry no content it may give the exact result."""
        out = self.path(f"damaged-{self.next_number()}.db")
        result = self.seawal("restore", "-o", out, replica.url, environment=replica.environment)
        if result.code == DONE and harmless_allowed:
            self.assertEqual(differing_pages(self.good, out), [], what)
            remove_database(out)
            return
        self.assertEqual(result.code, DAMAGED, f"{what}: {result}")
        self.assertEqual(glob.glob(out + "*"), [], what)

    def with_body(self, replica, key, body, what, **options):
        """Damage one object, look, and put it right again."""
        good = replica.get(key)
        replica.put(key, body)
        self.check_damage(replica, f"{what} {key}", **options)
        replica.put(key, good)

    @both_stores
    def test_flipped_bytes(self, replica):
        self.make(replica)
        per_object = 12 if replica.kind == "folder" else 4
        for key in replica.segments():
            good = replica.get(key)
            places = {0, len(good) // 2, len(good) - 1} | {self.random.randrange(len(good)) for _ in range(per_object)}
            for place in sorted(places):
                bad = bytearray(good)
                bad[place] ^= 1 << self.random.randrange(8)
                with self.subTest(key=key, place=place):
                    self.with_body(replica, key, bytes(bad), f"byte {place} of", harmless_allowed=True)
        self.assertEqual(differing_pages(self.good, self.restore(replica)), [])

    @both_stores
    def test_truncated_and_empty(self, replica):
        self.make(replica)
        for key in replica.segments():
            good = replica.get(key)
            for size in (0, 1, len(good) // 2, len(good) - 1):
                with self.subTest(key=key, size=size):
                    self.with_body(replica, key, good[:size], f"cut to {size}")
            with self.subTest(key=key, size="longer"):
                self.with_body(replica, key, good + b"\0", "one byte longer")

    @both_stores
    def test_swapped(self, replica):
        """An object under another one's name."""
        self.make(replica)
        keys = replica.segments("0")
        for left, right in zip(keys, keys[1:]):
            with self.subTest(left=left, right=right):
                one, two = replica.get(left), replica.get(right)
                replica.put(left, two)
                replica.put(right, one)
                self.check_damage(replica, f"{left} and {right} swapped")
                replica.put(left, one)
                replica.put(right, two)

    @both_stores
    def test_missing(self, replica):
        """Each object that is needed, removed: not a shorter history, an error."""
        self.make(replica)
        keys = replica.segments("0")[:-1] + ["seawal.json"] + [
            key for key in replica.keys() if key.startswith("timelines/")]
        for key in keys:
            with self.subTest(key=key):
                good = replica.get(key)
                replica.delete(key)
                self.check_damage(replica, f"without {key}")
                replica.put(key, good)

    @both_stores
    def test_of_another_database(self, replica):
        """A segment of another history with fitting names."""
        self.make(replica)
        stranger = type(replica)(self.path("stranger")) if replica.kind == "folder" else self.bucket(replica.server)
        other = self.database("other.db", 40)
        result = self.seawal("replicate", "-once", other, stranger.url, environment=stranger.environment)
        self.assertEqual(result.code, DONE, str(result))
        snapshot, foreign = replica.segments("snapshot")[0], stranger.segments("snapshot")[0]
        self.with_body(replica, snapshot, stranger.get(foreign), "another database's")

    @both_stores
    def test_foreign_objects(self, replica):
        """What we do not understand under our prefix is an error that names it, for readers and writers."""
        self.make(replica)
        timeline = replica.segments("0")[0].split("/")[0]
        for key in ("hello.txt", f"{timeline}/0/hello.seg", f"{timeline}/0/0000000000000001-1.seg", f"{timeline}/x/y"):
            with self.subTest(key=key):
                replica.put(key, b"hello")
                out = self.path("out.db")
                result = self.seawal("restore", "-o", out, replica.url, environment=replica.environment)
                self.assertEqual(result.code, DAMAGED, str(result))
                self.assertIn(key.rsplit("/", 1)[-1], result.err)
                replica.delete(key)
        self.assertEqual(differing_pages(self.good, self.restore(replica)), [])
