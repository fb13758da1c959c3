"""A small S3 client of our own, so that tests look at and damage objects without the code under test."""
import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse
import xml.etree.ElementTree


class S3Client:
    def __init__(self, host, port, bucket, key_id, secret):
        self.host, self.port, self.bucket = host, port, bucket
        self.key_id, self.secret = key_id, secret

    def request(self, method, key="", query=None, body=b""):
        """(status, headers, body) of one signed request, path style."""
        path = urllib.parse.quote(f"/{self.bucket}/{key}" if key else f"/{self.bucket}", safe="/-_.~")
        pairs = sorted((query or {}).items())
        text = "&".join(f"{_escape(name)}={_escape(value)}" for name, value in pairs)
        headers = self._signed(method, path, text, body)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        try:
            connection.request(method, path + ("?" + text if text else ""), body=body, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def _signed(self, method, path, query, body):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": f"{self.host}:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(sorted(headers))
        canonical = "\n".join([method, path, query]
            + [f"{name}:{headers[name]}" for name in sorted(headers)] + ["", names, digest])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.secret.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}")
        return headers

    def expect(self, method, key="", query=None, body=b"", allowed=(200, 204)):
        status, _, answer = self.request(method, key, query, body)
        assert status in allowed, f"{method} {key}: {status} {answer[:300]!r}"
        return answer

    def create_bucket(self, name):
        other = S3Client(self.host, self.port, name, self.key_id, self.secret)
        other.expect("PUT", allowed=(200, 409))
        return other

    def get(self, key):
        return self.expect("GET", key)

    def put(self, key, body):
        self.expect("PUT", key, body=body)

    def delete(self, key):
        self.expect("DELETE", key)

    def list(self, prefix):
        """{key: size} of everything below PREFIX."""
        found, token = {}, None
        while True:
            query = {"list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            tree = xml.etree.ElementTree.fromstring(self.expect("GET", query=query))
            space = re.match(r"\{.*\}", tree.tag)
            space = space.group(0) if space else ""
            for entry in tree.iter(space + "Contents"):
                found[entry.find(space + "Key").text] = int(entry.find(space + "Size").text)
            token = tree.findtext(space + "NextContinuationToken")
            if not token:
                return found


def _escape(text):
    return urllib.parse.quote(text, safe="-_.~")
