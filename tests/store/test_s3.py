"""What the S3 driver makes of refusals, wrong settings and network faults, against a real server.

Each test runs store_tool, which is one call of store.h, directly or through fault_proxy.py.
"""

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from fault_proxy import Delay, Edit, FaultProxy, LoseAnswer, Reset, Stall, Status, StatusAfter, Truncate

TOOL = os.environ["STORE_TOOL"]
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
HOST, PORT = ENDPOINT.removeprefix("http://").split(":")
BUCKET, TLS, CA = os.environ["S3_BUCKET"], os.environ["S3_TLS_URL"], os.environ["S3_CA"]
LARGE = 11 << 20
PATIENCE = 300  # seconds that a call may take on the slowest machine


class Result:
    def __init__(self, process, seconds):
        self.seconds, self.out = seconds, process.stdout
        lines = process.stderr.decode("utf-8", "replace").splitlines()
        self.text = lines[-1] if lines else ""
        self.code = self.text.partition(":")[0]
        self.retries = self.requests = None
        if len(lines) > 1 and "retries" in lines[-2]:
            self.retries, self.requests = (int(part.split()[0]) for part in lines[-2].split(","))
        if process.returncode < 0:
            raise AssertionError(f"killed by signal {-process.returncode}: {process.stderr.decode()}")


def put(request):
    return request.method == "PUT"


def put_object(request):
    return request.method == "PUT" and "partNumber" not in request.query and "probe" not in request.path


def get(request):
    return request.method == "GET"


def head(request):
    return request.method == "HEAD"


class Case(unittest.TestCase):
    def setUp(self):
        self.proxy = FaultProxy(HOST, int(PORT))
        self.addCleanup(self.proxy.__exit__)
        folder = tempfile.TemporaryDirectory(prefix="seawal-test-s3-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.prefix = f"faults/{random.SystemRandom().getrandbits(64):016x}"
        self.direct = f"s3://{BUCKET}/{self.prefix}"
        self.faulty = f"{self.direct}?endpoint=http://127.0.0.1:{self.proxy.port}"

    def tool(self, url, *arguments, options=(), **environment):
        started = time.monotonic()
        process = subprocess.run([TOOL, *options, url, *arguments], capture_output=True, timeout=PATIENCE,
            env={**os.environ, "HOME": self.folder, **environment})
        return Result(process, time.monotonic() - started)

    def file(self, body):
        path = os.path.join(self.folder, f"body-{random.getrandbits(64):x}")
        with open(path, "wb") as out:
            out.write(body)
        return path

    def ready(self):
        """The probe for conditional writes is done once, so that tests count their own requests only."""
        self.assertEqual(self.tool(self.direct, "conditional").out, b"yes\n")

    def holds(self, key, body):
        result = self.tool(self.direct, "get", key, "0", "0")
        self.assertEqual(result.code, "ok", result.text)
        self.assertTrue(result.out == body, f"{len(result.out)} bytes, expected {len(body)}")

    def keys(self):
        result = self.tool(self.direct, "list", "")
        self.assertEqual(result.code, "ok", result.text)
        return [line.rsplit(" ", 1)[0] for line in result.out.decode().splitlines()]


class Refusals(Case):
    def check(self, result, code, *words):
        self.assertEqual(result.code, code, result.text)
        for word in words:
            self.assertIn(word, result.text)

    def test_wrong_secret_is_denied(self):
        for command in (("list", ""), ("get", "k", "0", "0"), ("put", "k", self.file(b"x"))):
            result = self.tool(self.direct, *command, AWS_SECRET_ACCESS_KEY="wrong")
            self.check(result, "denied", "403", "credentials" if result.text.count("HEAD") else "secret access key")
            self.assertNotIn("wrong", result.text)

    def test_unknown_access_key_is_denied(self):
        self.check(self.tool(self.direct, "list", "", AWS_ACCESS_KEY_ID="NOBODY"), "denied", "access key id")

    def test_missing_bucket_is_never_an_empty_store(self):
        missing = "s3://no-such-bucket-here/p"
        for command in (("list", ""), ("get", "k", "0", "0"), ("get", "k", "3", "4"), ("tail", "k", "5"),
                ("put", "k", self.file(b"x")), ("replace", "k", self.file(b"x")), ("remove", "k"),
                ("remove", "k", "l"), ("upload", "k", self.file(bytes(LARGE)))):
            self.check(self.tool(missing, *command), "usage", "create the bucket")

    def test_missing_key_is_not_found(self):
        self.check(self.tool(self.direct, "get", "k", "0", "0"), "not-found", "NoSuchKey")

    def test_refused_connection_is_told_and_tried_again(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"{self.direct}?endpoint=http://127.0.0.1:{closed.getsockname()[1]}"
            result = self.tool(url, "list", "", options=("-deadline", "3000"))
        self.check(result, "net", "attempts", "refused")
        self.assertLess(result.seconds, PATIENCE)

    def test_unknown_host_is_told(self):
        result = self.tool(f"{self.direct}?endpoint=http://no-such-host.invalid", "list", "", options=("-deadline", "800"))
        self.check(result, "net", "no-such-host.invalid")

    def test_a_server_that_is_no_s3_server_is_never_an_empty_store(self):
        for body in ("<html>Hello</html>", "", "not xml at all <", "<Error><Code>Nope</Code></Error>"):
            for status in (200, 404):
                self.proxy.clear()
                self.proxy.fault(get, Status(status, body=body), times=None)
                result = self.tool(self.faulty, "list", "", options=("-deadline", "20000"))
                self.assertIn(result.code, ("corrupt", "usage"), result.text)
                result = self.tool(self.faulty, "get", "k", "0", "0", options=("-deadline", "20000"))
                if status == 404:
                    self.check(result, "usage", "endpoint")

    def test_a_server_that_stores_nothing_is_not_believed(self):
        self.ready()
        for body in ("<html>Log in to go on</html>", ""):
            self.proxy.clear()
            self.proxy.fault(lambda request: request.method in ("PUT", "HEAD"), Status(200, body=body), times=None)
            result = self.tool(self.faulty, "put", "k", self.file(b"x"), options=("-deadline", "1000"))
            self.check(result, "net", "without an ETag", "check endpoint")
        self.proxy.clear()
        self.proxy.fault(put_object, Status(200, body=""))
        self.assertEqual(self.tool(self.faulty, "put", "k", self.file(b"x")).code, "ok")
        self.holds("k", b"x")

    def test_redirects_are_told_and_not_followed(self):
        elsewhere = f"Location: http://127.0.0.1:{PORT}/"
        self.proxy.fault(get, Status(301, "PermanentRedirect", headers=[elsewhere]), times=None)
        self.check(self.tool(self.faulty, "list", ""), "usage", "301", "region")

    def test_tls_needs_the_authority(self):
        self.check(self.tool(f"{self.direct}?endpoint={TLS}&ca-file={CA}", "list", ""), "ok")
        self.check(self.tool(f"{self.direct}?endpoint={TLS}", "list", ""), "denied", "certificate", "ca-file")
        self.check(self.tool(f"{self.direct}?endpoint={TLS}", "list", "", AWS_CA_BUNDLE=CA), "ok")
        self.check(self.tool(f"{self.direct}?endpoint={TLS}&skip-verify=true", "list", ""), "ok")
        self.check(self.tool(f"{self.direct}?endpoint={TLS}&ca-file=/no/such/file", "list", ""), "usage", "/no/such/file")

    def test_tls_needs_the_right_name(self):
        other = TLS.replace("localhost", "localhost.localdomain")
        result = self.tool(f"{self.direct}?endpoint={TLS.replace('localhost', '127.0.0.2')}&ca-file={CA}", "list", "",
            options=("-deadline", "1500"))
        self.assertIn(result.code, ("denied", "net"), (result.text, other))

    def test_no_credentials_names_the_places(self):
        result = self.tool(self.direct, "list", "", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
        self.check(result, "denied", "AWS_ACCESS_KEY_ID", "~/.aws/credentials")

    def test_profile_is_used(self):
        os.mkdir(os.path.join(self.folder, ".aws"))
        with open(os.path.join(self.folder, ".aws/credentials"), "w", encoding="utf-8") as out:
            out.write(f"[other]\naws_access_key_id = x\n\n[work]\naws_access_key_id = {os.environ['AWS_ACCESS_KEY_ID']}\n"
                f"aws_secret_access_key={os.environ['AWS_SECRET_ACCESS_KEY']}\n")
        without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        self.check(self.tool(self.direct, "list", "", AWS_PROFILE="work", **without), "ok")
        self.check(self.tool(f"{self.direct}?profile=work", "list", "", **without), "ok")
        self.check(self.tool(self.direct, "list", "", AWS_PROFILE="other", **without), "usage", "only one")
        self.check(self.tool(self.direct, "list", "", AWS_PROFILE="none", **without), "usage", "none")


class Faults(Case):
    def test_reset_before_the_request_is_tried_again(self):
        self.ready()
        self.proxy.fault(put_object, Reset(), times=2)
        result = self.tool(self.faulty, "put", "k", self.file(b"body"))
        self.assertEqual((result.code, result.retries > 0), ("ok", True), result.text)
        self.holds("k", b"body")

    def test_own_success_is_found_when_the_answer_is_lost(self):
        for body in (b"body", bytes(3 << 20)):
            self.proxy.clear()
            self.ready()
            key = f"lost-{len(body)}"
            self.proxy.fault(put_object, LoseAnswer())
            result = self.tool(self.faulty, "put", key, self.file(body))
            self.assertEqual(result.code, "ok", result.text)
            self.holds(key, body)

    def test_own_success_is_found_behind_a_500_and_a_409(self):
        self.ready()
        for status in (500, 409, 503, 412):
            self.proxy.clear()
            self.proxy.fault(put_object, StatusAfter(status, {412: "PreconditionFailed"}.get(status, "InternalError")))
            result = self.tool(self.faulty, "put", f"k{status}", self.file(b"body"))
            self.assertEqual(result.code, "ok", result.text)
            bodies = [request for request in self.proxy.requests if put_object(request)]
            self.assertEqual(len(bodies), 1, "the body must not be sent twice")

    def test_another_writers_object_is_found_when_the_answer_is_lost(self):
        self.ready()
        self.assertEqual(self.tool(self.direct, "put", "k", self.file(b"theirs")).code, "ok")
        for fault in (LoseAnswer(), StatusAfter(500), Reset()):
            self.proxy.clear()
            self.proxy.fault(put_object, fault)
            result = self.tool(self.faulty, "put", "k", self.file(b"theirs"))
            self.assertEqual(result.code, "exists", result.text)
        self.holds("k", b"theirs")

    def test_retry_after_is_respected(self):
        self.proxy.fault(get, Status(503, "SlowDown", headers=["Retry-After: 2"]))
        result = self.tool(self.faulty, "list", "")
        self.assertEqual(result.code, "ok", result.text)
        self.assertGreaterEqual(result.seconds, 2)

    def test_retry_after_beyond_the_deadline_ends_at_once(self):
        self.proxy.fault(get, Status(503, "SlowDown", headers=["Retry-After: 3000"]))
        result = self.tool(self.faulty, "list", "", options=("-deadline", "1000000"))
        self.assertEqual(result.code, "net", result.text)
        self.assertIn("SlowDown", result.text)
        self.assertLess(result.seconds, PATIENCE)

    def test_a_server_that_stays_away_ends_with_the_deadline(self):
        self.proxy.fault(get, Status(503, "SlowDown"), times=None)
        result = self.tool(self.faulty, "list", "", options=("-deadline", "2000"))
        self.assertEqual(result.code, "net", result.text)
        self.assertIn("attempts", result.text)
        self.assertTrue(0.5 < result.seconds < PATIENCE, result.seconds)

    def test_truncated_bodies_are_fetched_again(self):
        body = random.Random(1).randbytes(1 << 20)
        self.assertEqual(self.tool(self.direct, "put", "k", self.file(body)).code, "ok")
        for command, expected in ((("get", "k", "0", "0"), body), (("get", "k", "1000", "500000"), body[1000:501000]),
                (("tail", "k", "300000"), body[-300000:])):
            self.proxy.clear()
            self.proxy.fault(get, Truncate(123456), times=2)
            result = self.tool(self.faulty, *command)
            self.assertEqual((result.code, result.retries), ("ok", 2), result.text)
            self.assertTrue(result.out == expected)

    def test_truncated_listings_are_fetched_again(self):
        for number in range(5):
            self.assertEqual(self.tool(self.direct, "put", f"k{number}", self.file(b"")).code, "ok")
        self.proxy.fault(get, Truncate(700))
        result = self.tool(self.faulty, "list", "")
        self.assertEqual((result.code, result.retries), ("ok", 1), result.text)
        self.assertEqual(result.out.decode().split()[::2], [f"k{number}" for number in range(5)])

    def test_a_cut_listing_without_a_length_is_no_listing(self):
        def cut(answer):
            top, _, body = answer.partition(b"\r\n\r\n")
            body = body[:body.index(b"<IsTruncated>")]
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

        self.proxy.fault(get, Edit(cut), times=None)
        result = self.tool(self.faulty, "list", "", options=("-deadline", "20000"))
        self.assertEqual(result.code, "corrupt", result.text)

    def test_a_late_answer_is_waited_for(self):
        self.proxy.fault(get, Delay(1.5))
        result = self.tool(self.faulty, "list", "")
        self.assertEqual((result.code, result.retries), ("ok", 0), result.text)

    def test_a_stalled_answer_ends_with_the_deadline(self):
        self.ready()
        self.proxy.fault(put_object, Stall(), times=None)
        result = self.tool(self.faulty, "put", "k", self.file(b"x"), options=("-deadline", "1500"))
        self.assertEqual(result.code, "net", result.text)
        self.assertLess(result.seconds, PATIENCE)

    def test_cancel_ends_a_stalled_request_and_a_pause(self):
        self.proxy.fault(get, Stall(), times=None)
        result = self.tool(self.faulty, "list", "", options=("-cancel-after", "300"))
        self.assertEqual(result.code, "cancelled", result.text)
        self.assertLess(result.seconds, PATIENCE)
        self.proxy.clear()
        self.proxy.fault(get, Status(503, "SlowDown", headers=["Retry-After: 900"]), times=None)
        result = self.tool(self.faulty, "list", "", options=("-deadline", "1000000", "-cancel-after", "300"))
        self.assertEqual(result.code, "cancelled", result.text)
        self.assertLess(result.seconds, PATIENCE)


class Corrections(Case):
    def test_the_servers_clock_is_taken_over(self):
        """A false complaint moves our clock to 2000; the real server's true one moves it back."""
        self.proxy.fault(get, Status(403, "RequestTimeTooSkewed", headers=["Date: Sat, 01 Jan 2000 00:00:30 GMT"]))
        result = self.tool(self.faulty, "list", "")
        self.assertEqual(result.code, "ok", result.text)
        dates = [request.headers["x-amz-date"] for request in self.proxy.requests]
        self.assertEqual(len(dates), 3)
        self.assertRegex(dates[1], "^20000101T0000[345]")
        self.assertEqual(dates[2][:8], dates[0][:8])

    def test_a_clock_that_cannot_be_helped_is_denied(self):
        self.proxy.fault(get, Status(403, "RequestTimeTooSkewed"), times=None)
        result = self.tool(self.faulty, "list", "")
        self.assertEqual(result.code, "denied", result.text)
        self.assertIn("set the clock", result.text)

    def test_the_region_is_taken_over(self):
        for fault in (Status(301, "PermanentRedirect", headers=["x-amz-bucket-region: eu-south-7"]),
                Status(400, body="<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-south-7</Region></Error>")):
            self.proxy.clear()
            self.proxy.fault(get, fault)
            result = self.tool(self.faulty, "list", "")
            self.assertEqual(result.code, "ok", result.text)
            self.assertIn("/us-east-1/s3/", self.proxy.requests[0].headers["authorization"])
            self.assertIn("/eu-south-7/s3/", self.proxy.requests[1].headers["authorization"])

    def test_a_region_that_changes_nothing_ends(self):
        self.proxy.fault(get, Status(301, "PermanentRedirect", headers=["x-amz-bucket-region: eu-south-7"]), times=None)
        result = self.tool(self.faulty, "list", "")
        self.assertEqual(result.code, "usage", result.text)
        self.assertLessEqual(len(self.proxy.requests), 3)

    def test_the_schemes_own_port_is_not_signed(self):
        """Through an HTTP proxy that takes the place of the server at port 80."""
        def relative(request):
            request.head = request.head.replace(b"http://localhost/", b"/").replace(b"http://localhost:80/", b"/")
            return False

        self.proxy.fault(relative, Reset(), times=None)
        result = self.tool(f"{self.direct}?endpoint=http://localhost:80", "list", "",
            http_proxy=f"http://127.0.0.1:{self.proxy.port}")
        self.assertEqual(result.code, "ok", result.text)
        self.assertEqual(self.proxy.requests[0].headers["host"], "localhost")

    def test_only_host_and_amz_headers_are_signed(self):
        self.ready()
        self.tool(self.faulty, "put", "k", self.file(b"x"))
        self.tool(self.faulty, "get", "k", "0", "1")
        self.tool(self.faulty, "remove", "k", "l")
        for request in self.proxy.requests:
            signed = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
            self.assertEqual([name for name in signed if name != "host" and not name.startswith("x-amz-")], [])
            self.assertIn("host", signed)
            self.assertRegex(request.headers["x-amz-content-sha256"], "^[0-9a-f]{64}$")
            self.assertNotIn("transfer-encoding", request.headers)
            self.assertNotIn("expect", request.headers)
            if request.method in ("PUT", "POST"):
                self.assertIn("content-length", request.headers)


class Unconditional(Case):
    """Servers that refuse or overlook If-None-Match."""

    def overlook(self):
        def without(request):
            if "if-none-match" in request.headers:
                request.head = b"\r\n".join(line for line in request.head.split(b"\r\n")
                    if not line.lower().startswith(b"if-none-match"))
            return False

        self.proxy.fault(without, Reset(), times=None)

    def check_put(self):
        self.assertEqual(self.tool(self.faulty, "conditional").out, b"no\n")
        self.assertEqual(self.tool(self.faulty, "put", "k", self.file(b"first")).code, "ok")
        self.assertEqual(self.tool(self.faulty, "put", "k", self.file(b"second")).code, "exists")
        self.assertEqual(self.tool(self.faulty, "put", "k", self.file(b"first")).code, "exists")
        self.holds("k", b"first")
        self.assertEqual(self.keys(), ["k"])

    def test_a_server_that_refuses_conditions(self):
        self.proxy.fault(lambda request: "if-none-match" in request.headers, Status(501, "NotImplemented"), times=None)
        self.check_put()

    def test_a_server_that_overlooks_conditions(self):
        self.overlook()
        self.check_put()

    def test_uploads_on_a_server_that_overlooks_conditions(self):
        self.overlook()
        self.assertEqual(self.tool(self.faulty, "put", "k", self.file(b"first")).code, "ok")
        result = self.tool(self.faulty, "upload", "k", self.file(bytes(LARGE)))
        self.assertEqual(result.code, "exists", result.text)
        self.holds("k", b"first")

    def test_a_lost_answer_without_conditions(self):
        self.overlook()
        self.tool(self.faulty, "conditional")
        self.proxy.fault(put_object, LoseAnswer())
        self.proxy.rules.reverse()
        result = self.tool(self.faulty, "put", "k", self.file(b"first"))
        self.assertEqual(result.code, "ok", result.text)


class Multipart(Case):
    def setUp(self):
        super().setUp()
        self.body = random.Random(2).randbytes(LARGE)

    def uploads(self):
        """Unfinished uploads of this test, as the server lists them."""
        script = (f"curl -fsS --aws-sigv4 aws:amz:us-east-1:s3 -u $AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY "
            f"-H x-amz-content-sha256:UNSIGNED-PAYLOAD '{ENDPOINT}/{BUCKET}?uploads='")
        listing = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode()
        return listing.count(f"<Key>{self.prefix}/")

    def upload(self, *conditions, key="k", **options):
        for condition, fault, times in conditions:
            self.proxy.fault(condition, fault, times)
        return self.tool(self.faulty, "upload", key, self.file(self.body), **options)

    def test_parts_are_tried_again(self):
        def part(request):
            return "partNumber=2" in request.query

        result = self.upload((part, Reset(), 1), (part, LoseAnswer(), 1), (part, Status(503, "SlowDown"), 1))
        self.assertEqual((result.code, result.retries > 1), ("ok", True), result.text)
        self.holds("k", self.body)
        self.assertEqual(self.uploads(), 0)

    def test_own_completion_is_found_when_the_answer_is_lost(self):
        def complete(request):
            return request.method == "POST" and "uploadId" in request.query

        for number, fault in enumerate((LoseAnswer(), StatusAfter(500, "InternalError"),
                StatusAfter(200, body="<Error><Code>InternalError</Code></Error>"))):
            self.proxy.clear()
            result = self.upload((complete, fault, 1), key=f"k{number}")
            self.assertEqual(result.code, "ok", result.text)
            self.holds(f"k{number}", self.body)
        self.assertEqual(self.uploads(), 0)

    def test_a_failure_behind_a_200_is_a_failure(self):
        def complete(request):
            return request.method == "POST" and "uploadId" in request.query

        denied = Status(200, body="<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        result = self.upload((complete, denied, None))
        self.assertEqual(result.code, "denied", result.text)
        self.assertEqual((self.keys(), self.uploads()), ([], 0))

    def test_a_failed_part_leaves_nothing(self):
        result = self.upload((lambda request: "partNumber=2" in request.query, Status(403, "AccessDenied"), None))
        self.assertEqual(result.code, "denied", result.text)
        self.assertEqual((self.keys(), self.uploads()), ([], 0))

    def test_a_cancelled_upload_leaves_nothing(self):
        result = self.upload((lambda request: "partNumber=2" in request.query, Stall(), None),
            options=("-cancel-after", "1500"))
        self.assertEqual(result.code, "cancelled", result.text)
        self.assertEqual((self.keys(), self.uploads()), ([], 0))

    def test_a_key_that_is_taken_meanwhile_is_kept(self):
        def complete(request):
            if request.method == "POST" and "uploadId" in request.query:
                self.put = self.tool(self.direct, "put", "k", self.file(b"theirs")).code
                return True
            return False

        result = self.upload((complete, Status(412, "PreconditionFailed"), 1))
        self.assertEqual((result.code, self.put), ("exists", "ok"), result.text)
        self.holds("k", b"theirs")
        self.assertEqual(self.uploads(), 0)


class Removals(Case):
    def put_keys(self, *keys):
        for key in keys:
            self.assertEqual(self.tool(self.direct, "put", key, self.file(b"")).code, "ok")

    def test_keys_that_were_not_removed_are_named(self):
        answer = ("<DeleteResult><Error><Key>p/b</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
            "<Error><Key>p/c</Key><Code>InternalError</Code></Error></DeleteResult>")
        self.proxy.fault(lambda request: request.method == "POST", Status(200, body=answer))
        result = self.tool(self.faulty, "remove", "a", "b", "c")
        self.assertEqual(result.code, "denied", result.text)
        self.assertIn("2 objects were not removed, the first is 'p/b': AccessDenied", result.text)

    def test_failures_that_may_pass_are_tried_again(self):
        self.put_keys("a", "b")
        answer = "<DeleteResult><Error><Key>p/b</Key><Code>InternalError</Code></Error></DeleteResult>"
        self.proxy.fault(lambda request: request.method == "POST", Status(200, body=answer))
        result = self.tool(self.faulty, "remove", "a", "b")
        self.assertEqual((result.code, self.keys()), ("ok", []), result.text)

    def test_one_by_one_where_batches_are_not_offered(self):
        self.put_keys("a", "b", "c")
        self.proxy.fault(lambda request: request.method == "POST", Status(501, "NotImplemented"), times=None)
        result = self.tool(self.faulty, "remove", "a", "b", "missing", "c")
        self.assertEqual((result.code, self.keys()), ("ok", []), result.text)

    def test_a_lost_answer_is_no_failure(self):
        self.put_keys("a", "b")
        self.proxy.fault(lambda request: request.method == "POST", LoseAnswer())
        result = self.tool(self.faulty, "remove", "a", "b")
        self.assertEqual((result.code, self.keys()), ("ok", []), result.text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
