"""Certificates for the tests, made by the openssl command."""

import fcntl
import os
import subprocess

_CONFIG = """
[ca]
default_ca = this
[this]
database         = index.txt
new_certs_dir    = issued
rand_serial      = yes
default_md       = sha256
default_crl_days = 3650
policy           = any
unique_subject   = no
copy_extensions  = none
[any]
commonName       = supplied
organizationName = optional
[req]
distinguished_name = name
[name]
[root]
basicConstraints     = critical, CA:TRUE
keyUsage             = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = CA:FALSE
extendedKeyUsage = clientAuth
"""

_LONG = ("20200101000000Z", "20491231000000Z")
_PAST = ("20200101000000Z", "20200201000000Z")

# The name of a file pair, key type, host names.
_SERVERS = [
    ("localhost", "ec", ["localhost", "127.0.0.1"]),
    ("localhost-rsa", "rsa", ["localhost", "127.0.0.1"]),
    ("a", "ec", ["a.test"]),
    ("b", "ec", ["b.test"]),
    ("b-renewed", "ec", ["b.test"]),
    ("c", "ec", ["c.test"]),
    ("wildcard", "ec", ["*.wild.test"]),
    ("origin", "ec", ["origin.test", "127.0.0.1"]),
]


class Certs:
    """A folder of PEM files.  str() of it is the folder's path.

    ca.crt, other-ca.crt   two authorities; ca.crl revokes client-revoked and
                           origin-revoked
    NAME.crt, NAME.key     of _SERVERS and: client, client-expired,
                           client-revoked, client-deep (through deep-ca.crt),
                           client-other (of other-ca), origin-revoked,
                           origin-deeper (through deeper-ca and deep-ca.crt)
    encrypted.key          localhost.key under the password in password.txt
    """

    def __init__(self, folder):
        self.folder = folder

    def __str__(self):
        return self.folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def pair(self, name):
        return self.path(name + ".crt"), self.path(name + ".key")

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def serial(self, name):
        """The serial number, as $ssl_client_serial writes it."""
        text = self.openssl("x509", "-in", self.path(name + ".crt"), "-noout", "-serial")
        return text.partition("=")[2].strip()

    def fingerprint(self, name):
        text = self.openssl("x509", "-in", self.path(name + ".crt"), "-noout",
                            "-fingerprint", "-sha1")
        return text.partition("=")[2].strip().replace(":", "").lower()

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False)
        assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
        return done.stdout

    def make(self):
        """Makes all of them, once, whoever comes first."""
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        with open(self.path("lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(self.path("made")):
                self._make_all()
                self._write("made", "")

    def _make_all(self):
        os.makedirs(self.path("issued"), exist_ok=True)
        for name in ("index.txt", "other-index.txt"):
            self._write(name, "")
        self._write("openssl.cnf", _CONFIG)
        self._root("ca", "weir test authority")
        self._root("other-ca", "another authority")
        for name, kind, hosts in _SERVERS:
            self.issue_server(name, hosts, kind)
        self.issue_server("expired", ["localhost"], dates=_PAST)
        self._issue("client", "/CN=client/O=weir tests", "client")
        self._issue("client-expired", "/CN=expired", "client", dates=_PAST)
        self._issue("client-revoked", "/CN=revoked", "client")
        self._issue("client-other", "/CN=other", "client", authority="other-ca")
        self._issue("deep-ca", "/CN=intermediate authority", "root")
        self._issue("client-deep", "/CN=deep", "client", authority="deep-ca")
        self._write("client-deep-chain.crt",
                    self.read("client-deep.crt") + self.read("deep-ca.crt"))
        self._issue("deeper-ca", "/CN=authority of an intermediate one", "root", authority="deep-ca")
        self.issue_server("origin-deeper", ["origin.test"], authority="deeper-ca")
        self._write("origin-deeper-chain.crt", "".join(
            self.read(f"{name}.crt") for name in ("origin-deeper", "deeper-ca", "deep-ca")))
        self.issue_server("origin-revoked", ["origin.test"])
        self._write("both-ca.crt", self.read("ca.crt") + self.read("other-ca.crt"))
        self._ca("ca", "-gencrl", "-out", "empty.crl")
        self._ca("ca", "-revoke", "client-revoked.crt")
        self._ca("ca", "-revoke", "origin-revoked.crt")
        self._ca("ca", "-gencrl", "-out", "ca.crl")
        self._write("password.txt", "wrong one\nsesame\n")
        self.openssl("pkcs8", "-topk8", "-in", "localhost.key", "-out", "encrypted.key",
                     "-v2", "aes-256-cbc", "-passout", "pass:sesame")

    def issue_server(self, name, hosts, kind="ec", dates=_LONG, authority="ca"):
        """Makes NAME.crt and NAME.key for the hosts."""
        alternatives = ",".join(("IP:" if host[0].isdigit() else "DNS:") + host for host in hosts)
        section = f"server-{name}"
        with open(self.path(f"{section}.cnf"), "w", encoding="ascii") as file:
            file.write(f"{_CONFIG}\n[{section}]\nbasicConstraints = CA:FALSE\n"
                       f"subjectAltName = {alternatives}\n")
        self._issue(name, f"/CN={hosts[0]}", section, kind, dates, authority,
                    config=f"{section}.cnf")

    def _root(self, name, title):
        self._key(name, "ec")
        self.openssl("req", "-new", "-x509", "-config", "openssl.cnf", "-extensions", "root",
                     "-key", f"{name}.key", "-subj", f"/CN={title}", "-days", "3650",
                     "-out", f"{name}.crt")

    def _issue(self, name, subject, section, kind="ec", dates=_LONG, authority="ca",
               config="openssl.cnf"):
        self._key(name, kind)
        self.openssl("req", "-new", "-config", "openssl.cnf", "-key", f"{name}.key",
                     "-subj", subject, "-out", f"{name}.csr")
        self._ca(authority, "-config", config, "-extensions", section, "-startdate", dates[0],
                 "-enddate", dates[1], "-notext", "-in", f"{name}.csr", "-out", f"{name}.crt")

    def _key(self, name, kind):
        how = (["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec"
               else ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        self.openssl("genpkey", "-algorithm", *how, "-out", f"{name}.key")
        os.chmod(self.path(f"{name}.key"), 0o644)       # some are read by workers

    def _ca(self, authority, *arguments):
        if "-config" not in arguments:
            arguments = ("-config", "openssl.cnf", *arguments)
        self.openssl("ca", "-batch", "-cert", f"{authority}.crt", "-keyfile", f"{authority}.key",
                     *arguments)

    def _write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
