"""Checks TLS in nginx: settings, the check of the certificate, and a change of the certificate.

python3 -m unittest discover tests/deploy
"""

import contextlib
import os
import shutil
import signal
import ssl
import stat
import subprocess
import tempfile
import time
import unittest
from functools import partial
from pathlib import Path

from test_nginx import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20
# The watcher checks for changes every 5 s.
RELOAD_SECONDS = 20
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
VARIABLES = ["NGINX_TLS_LISTEN", "NGINX_TLS", "NGINX_REDIRECT", "NGINX_HSTS"]


class Directory(unittest.TestCase):
    """Tests with a directory for files, which other users can read."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.directory.chmod(0o755)

    def make_certificate(self, name="tls", clock="+0"):
        """Create a certificate that is valid for two days, and its key; return the files."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        output = ["-days", "2", "-nodes", "-keyout", key, "-out", certificate]
        env = os.environ | {"LD_PRELOAD": FAKETIME, "FAKETIME": clock}
        subprocess.run([*command, *names, *output], env=env, check=True, capture_output=True)
        return certificate, key


class Settings(Directory):
    """nginx/variables.sh."""

    def variables(self, **settings):
        """Source variables.sh with these settings; return the exit code, variables and errors."""
        output = "; ".join(f'printf "%s\\n" "${name}"' for name in VARIABLES)
        script = f". nginx/variables.sh; {output}"
        path = os.environ["PATH"]
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=ROOT,
            env={"PATH": f"{self.directory}:{path}", "WEB_DIR": "/web"} | settings,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    def test_settings_that_contradict_each_other_are_refused(self):
        own = {"TLS_CERT": "/cert.pem", "TLS_KEY": "/key.pem"}
        for settings, words in [
            ({"TLS": "on"}, ["TLS=on", "self-signed"]),
            ({"TLS_CERT": "/cert.pem"}, ["TLS_CERT=/cert.pem", "TLS_KEY"]),
            ({"TLS_KEY": "/key.pem"}, ["TLS_CERT", "TLS_KEY=/key.pem"]),
            ({"TLS_CERT": "cert.pem", "TLS_KEY": "/key.pem"}, ["TLS_CERT=cert.pem", "absolute"]),
            ({"TLS": "self-signed"}, ["TLS_DIR", "absolute"]),
            ({"TLS": "self-signed", "TLS_DIR": "/tls"} | own, ["TLS_CERT"]),
            ({"TLS": "self-signed", "TLS_DIR": "/tls", "HSTS_SECONDS": "60"}, ["HSTS_SECONDS"]),
            ({"HSTS_SECONDS": "60"}, ["HSTS_SECONDS", "TLS_CERT"]),
            ({"HSTS_SECONDS": "60", "PUBLIC_URL": "http://a.example"}, ["HSTS_SECONDS", "https"]),
            ({"HSTS_SECONDS": "1d"} | own, ["HSTS_SECONDS=1d"]),
        ]:
            with self.subTest(settings):
                code, _, errors = self.variables(**settings)
                self.assertEqual((code, errors.count("\n")), (64, 1), errors)
                for word in words:
                    self.assertIn(word, errors)

    def test_origins_that_would_have_no_effect_are_refused(self):
        for name, value in [
            ("CORS_ORIGINS", "https://a.example,https://b.example"),
            ("CORS_ORIGINS", "https://a.example/ https://b.example"),
            ("CORS_ORIGINS", "https://a.example https://b.example/"),
            ("FRAME_ANCESTORS", "https://a.example, https://b.example"),
            ("FRAME_ANCESTORS", "https://a.example; script-src *"),
            ("FRAME_ANCESTORS", 'https://a.example" always; return 200 "'),
            ("FRAME_ANCESTORS", "https://$host"),
            ("FRAME_ANCESTORS", "https://a.example\\"),
        ]:
            with self.subTest(f"{name}={value}"):
                code, _, errors = self.variables(**{name: value})
                self.assertEqual((code, errors.count("\n")), (64, 1), errors)
                self.assertIn(f"{name}={value} is invalid", errors)
        for value in ["*", "https://a.example", " https://a.example http://[::1]:8080 ", ""]:
            code, _, errors = self.variables(CORS_ORIGINS=value, FRAME_ANCESTORS=value)
            self.assertEqual((code, errors), (0, ""), value)

    def test_without_a_setting_nothing_is_configured(self):
        nothing = {"TLS": "", "TLS_CERT": "", "TLS_KEY": "", "HSTS_SECONDS": ""}
        for settings in [{}, nothing, {"TLS": "off", "NGINX_HTTP_LISTEN": "80"}]:
            self.assertEqual(self.variables(**settings), (0, [""] * 4, ""))

    def test_a_setting_enables_hsts_with_tls_in_nginx_or_in_a_proxy(self):
        own = {"TLS_CERT": "/cert.pem", "TLS_KEY": "/key.pem"}
        for settings in [own, {"PUBLIC_URL": "https://cameras.example"}]:
            code, variables, _ = self.variables(HSTS_SECONDS="60", **settings)
            self.assertEqual((code, variables[3]), (0, "max-age=60"))

    def test_http_2_is_configured_in_the_syntax_of_the_installed_nginx(self):
        for version, listen, directive in [
            ("1.22.1", "ssl http2", ""),
            ("1.25.0", "ssl http2", ""),
            ("1.25.1", "ssl", "http2 on;"),
            ("1.30.0 (Ubuntu)", "ssl", "http2 on;"),
            ("2.0.0", "ssl", "http2 on;"),
        ]:
            nginx = self.directory / "nginx"
            nginx.write_text(f"#!/bin/sh\necho 'nginx version: nginx/{version}' >&2\n")
            nginx.chmod(0o755)
            with self.subTest(version):
                code, variables, errors = self.variables(TLS="self-signed", TLS_DIR="/tls")
                self.assertEqual((code, variables[0]), (0, listen), errors)
                self.assertEqual(variables[1].startswith(f"{directive} ssl_certificate "), True)
                self.assertIn('ssl_certificate_key "/tls/key.pem";', variables[1])


class Check(Directory):
    """nginx/check-certificate."""

    def check(self, certificate, key, user=None, **settings):
        """Check a certificate; return the exit code and the messages."""
        script = self.directory / "check-certificate"
        shutil.copy(ROOT / "nginx/check-certificate", script)
        done = subprocess.run(
            [script, certificate, key],
            cwd=self.directory,
            env=os.environ | settings,
            user=user,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr

    def test_a_certificate_that_nginx_can_use_passes(self):
        certificate, key = self.make_certificate()
        key.chmod(0o600)
        self.assertEqual(self.check(certificate, key), (0, ""))

    def test_errors_name_the_files_that_nginx_cannot_use_and_their_settings(self):
        certificate, key = self.make_certificate()
        other, other_key = self.make_certificate("other")
        text, secret = self.directory / "text", self.directory / "secret.key"
        text.write_text("text\n")
        encrypt = ["openssl", "pkey", "-aes256", "-passout", "pass:word"]
        subprocess.run([*encrypt, "-in", key, "-out", secret], check=True)
        missing, no_file = self.directory / "missing", "cannot be read: No such file or directory"
        no_key = "does not contain an unencrypted private key"
        for files, words in [
            ((missing, key), f"TLS_CERT={missing} {no_file}"),
            ((certificate, missing), f"TLS_KEY={missing} {no_file}"),
            ((self.directory, key), f"TLS_CERT={self.directory} cannot be read: Is a directory"),
            ((text, key), f"TLS_CERT={text} does not contain a certificate"),
            ((certificate, text), f"TLS_KEY={text} {no_key}"),
            ((certificate, secret), f"TLS_KEY={secret} {no_key}"),
            ((certificate, other_key), f"TLS_KEY={other_key} is not the key of"),
            ((other, key), f"in TLS_CERT={other}"),
        ]:
            with self.subTest(words):
                code, errors = self.check(*files)
                self.assertEqual((code, errors.count("\n")), (64, 1), errors)
                self.assertIn(words, errors)
        _, errors = self.check(missing, key, TLS="self-signed")
        self.assertIn(f"TLS_DIR: {missing} cannot be read", errors)

    @unittest.skipIf(os.getuid() != 0, "only root can run a program as another user")
    def test_the_error_names_a_file_that_the_user_of_nginx_cannot_read(self):
        certificate, key = self.make_certificate()
        key.chmod(0o600)
        code, errors = self.check(certificate, key, user="nobody")
        self.assertEqual(code, 64)
        self.assertIn(f"TLS_KEY={key} cannot be read: Permission denied", errors)

    def test_an_expired_certificate_is_only_a_warning(self):
        certificate, key = self.make_certificate(clock="-3d")
        code, errors = self.check(certificate, key)
        self.assertEqual(code, 0)
        self.assertRegex(errors, f"^warning: TLS_CERT={certificate} expired at .* GMT;")


class Nginx(Directory):
    """nginx with the shipped template and a certificate."""

    def start_nginx(self, listens_everywhere=False, **settings):
        """Start nginx with these settings; return its port.

        nginx listens on 127.0.0.1 or, if it `listens_everywhere`, on all addresses.
        """
        port = free_port()
        web = self.directory / "web"
        (web / ".well-known/acme-challenge").mkdir(parents=True)
        (web / ".well-known/acme-challenge/token").write_text("response of Certbot")
        (web / "index.html").write_text("the page")
        variables = {
            "NGINX_USER": "www-data" if os.getuid() == 0 else os.environ.get("USER", "root"),
            "NGINX_LISTEN": port if listens_everywhere else f"127.0.0.1:{port}",
            "NGINX_RUN_DIR": self.directory,
            "MANAGER_ADDR": "127.0.0.1:1",
            "STREAM_DIR": self.directory,
            "WEB_DIR": web,
            "CORS_ORIGINS": "*",
            "START_WAIT_SECONDS": "10",
            "NGINX_ACCESS_LOG": "/dev/null",
            "NGINX_ERROR_LOG": "stderr",
        } | settings
        configuration = self.directory / "nginx.conf"
        render = ["bash", "-euc", '. deploy/lib.sh; render_nginx "$@"', "bash", configuration]
        values = [f"{name}={value}" for name, value in variables.items()]
        subprocess.run([*render, *values], cwd=ROOT, check=True)
        self.start(["nginx", "-e", "stderr", "-c", configuration, "-g", "daemon off;"])
        self.wait(f"nginx listens on {port}", START_SECONDS, lambda: fingerprint(port))
        return port

    def start(self, command):
        """Start a process that is ended at the end of the test; return the file with its output."""
        log = self.directory / f"{Path(command[0]).name}.log"
        with log.open("w") as output:
            child = subprocess.Popen(command, stdout=output, stderr=output)
        self.addCleanup(child.wait, START_SECONDS)
        self.addCleanup(child.terminate)
        return log

    def wait(self, what, seconds, condition):
        """Wait until a condition is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.05)
        logs = [log.read_text() for log in self.directory.glob("*.log")]
        self.fail(f"{what} did not happen in {seconds} s: {logs}")

    def curl(self, *arguments):
        """Send a request; return the version, status, location and HSTS, and the body."""
        output = "\n%{http_version} %{http_code} %{redirect_url} %header{strict-transport-security}"
        command = ["curl", "-sS", "--insecure", "--write-out", output, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        body, _, result = done.stdout.rpartition("\n")
        return result.strip(), body

    def test_the_page_uses_http_2_and_http_is_redirected(self):
        certificate, key = self.make_certificate()
        key.chmod(0o600)
        plain = free_port()
        port = self.start_nginx(
            TLS_CERT=certificate,
            TLS_KEY=key,
            NGINX_HTTP_LISTEN=f"127.0.0.1:{plain}",
            HSTS_SECONDS="60",
        )
        origin = f"//localhost:{port}"
        result = self.curl("--http2", f"https:{origin}/")
        self.assertEqual(result, ("2 200  max-age=60", "the page"))
        # A redirect with status 308 keeps the method and the body.
        for arguments in [[], ["--data", "text"]]:
            result, _ = self.curl(*arguments, f"http:{origin}/a?b=c")
            self.assertEqual(result, f"1.1 308 https:{origin}/a?b=c")
        result, _ = self.curl(f"http://localhost:{plain}/a?b=c")
        self.assertEqual(result, "1.1 308 https://localhost/a?b=c")
        for url in [f"http://localhost:{plain}", f"https:{origin}"]:
            _, body = self.curl(f"{url}/.well-known/acme-challenge/token")
            self.assertEqual(body, "response of Certbot")

    def test_all_addresses_of_a_port_have_tls(self):
        certificate, key = self.make_certificate()
        plain = free_port()
        port = self.start_nginx(
            listens_everywhere=True, TLS_CERT=certificate, TLS_KEY=key, NGINX_HTTP_LISTEN=plain
        )
        for host in ["127.0.0.1", "[::1]"]:
            result, _ = self.curl("--http2", f"https://{host}:{port}/")
            self.assertEqual(result, "2 200")
            result, _ = self.curl(f"http://{host}:{plain}/")
            self.assertEqual(result, f"1.1 308 https://{host}/")

    def test_the_redirect_leads_to_the_public_address(self):
        certificate, key = self.make_certificate()
        plain = free_port()
        self.start_nginx(
            TLS_CERT=certificate,
            TLS_KEY=key,
            NGINX_HTTP_LISTEN=f"127.0.0.1:{plain}",
            PUBLIC_URL="https://cameras.example:8443/cameras",
        )
        result, _ = self.curl(f"http://localhost:{plain}/cameras/")
        self.assertEqual(result, "1.1 308 https://cameras.example:8443/cameras/")

    def test_a_changed_certificate_is_loaded_as_soon_as_the_key_matches(self):
        certificate, key = self.make_certificate()
        port = self.start_nginx(TLS_CERT=certificate, TLS_KEY=key)
        watch = [ROOT / "nginx/watch-certificate", self.directory / "nginx.pid", certificate, key]
        log = self.start(watch)
        first = fingerprint(port)
        other, other_key = self.make_certificate("other")
        other.replace(certificate)
        refusal = "nginx keeps the certificate"
        self.wait("the refusal", RELOAD_SECONDS, lambda: refusal in log.read_text())
        self.assertIn(f"TLS_KEY={key} is not the key of", log.read_text())
        self.assertEqual(fingerprint(port), first)
        other_key.replace(key)
        self.wait("the change", RELOAD_SECONDS, lambda: fingerprint(port) != first)
        self.assertEqual(log.read_text().count("error:"), 1, log.read_text())

    def test_the_watcher_continues_if_stderr_cannot_be_written(self):
        # bash cannot trap a signal that it inherits as ignored, for example from nohup.
        inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGHUP, inherited)
        certificate, key = self.make_certificate()
        stalled, full_pipe = os.pipe()
        os.set_blocking(full_pipe, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(full_pipe, b"x"):
                pass
        os.set_blocking(full_pipe, True)
        reader, closed_pipe = os.pipe()
        os.close(reader)
        full_disk = os.open("/dev/full", os.O_WRONLY)
        for descriptor in [stalled, full_pipe, closed_pipe, full_disk]:
            self.addCleanup(os.close, descriptor)
        # Each watcher has a process of its own in place of nginx. The process writes a line for
        # each signal to reload.
        count_signals = 'trap "echo reload >>$0" HUP; echo $$ >"$1"; while :; do sleep 0.1; done'
        watchers = []
        for name, target in [
            ("full-disk", full_disk),
            ("closed-pipe", closed_pipe),
            ("stalled-pipe", full_pipe),
            ("closed-stderr", None),
        ]:
            pid_file, reloads = self.directory / f"{name}.pid", self.directory / name
            reloads.touch()
            self.start(["bash", "-c", count_signals, reloads, pid_file])
            self.wait("a process id", START_SECONDS, pid_file.exists)
            watch = [ROOT / "nginx/watch-certificate", pid_file, certificate, key]
            if target is None:
                watch = ["sh", "-c", 'exec "$@" 2>&-', "sh", *watch]
            watcher = subprocess.Popen(watch, stderr=target)
            self.addCleanup(watcher.wait, START_SECONDS)
            self.addCleanup(watcher.terminate)
            watchers.append((name, watcher, reloads))
        for count in [1, 2]:
            for name, watcher, _ in watchers:
                self.wait(f"a pause ({name})", START_SECONDS, partial(is_pausing, watcher.pid))
            for old, new in zip((certificate, key), self.make_certificate("next"), strict=True):
                new.rename(old)
            for name, _, reloads in watchers:
                with self.subTest(name, change=count):
                    self.wait(
                        f"reload {count} ({name})",
                        RELOAD_SECONDS,
                        partial(has_reloaded, reloads, count),
                    )

    def test_the_files_are_executable(self):
        for name in ["check-certificate", "watch-certificate", "40-certificate.sh"]:
            self.assertTrue((ROOT / "nginx" / name).stat().st_mode & stat.S_IXUSR, name)


def is_pausing(pid):
    """Return whether a watcher waits for its next check."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    names = [Path(f"/proc/{child}/comm").read_text().strip() for child in children]
    return names == ["sleep"]


def has_reloaded(reloads, count):
    """Return whether the process that replaces nginx has got this number of signals."""
    return reloads.read_text().count("reload") >= count


def fingerprint(port):
    """Return the certificate that the server on a port presents; None if it does not respond."""
    try:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=START_SECONDS)
    except OSError:
        return None


if __name__ == "__main__":
    unittest.main()
