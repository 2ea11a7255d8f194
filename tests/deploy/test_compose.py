"""Checks that docker-compose.yml and the Dockerfile match each other and the repository.

The tests do not need Docker. They read the files, and run the demo camera with a real manager.

    MANAGER_BIN=target/debug/stream-manager python3 -m unittest discover tests/deploy
"""

import fnmatch
import json
import os
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

try:
    import yaml
except ImportError as error:
    raise SystemExit("yaml is missing; install it with: apt-get install python3-yaml") from error

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DEMO = SERVICES["demo-camera"]
KEY = "admin-secret-000001"
START_SECONDS = 30


def read_stages():
    """Return the Dockerfile's stages: a dict of lists of instructions, each as (word, rest)."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages[rest.split()[-1]] = instructions = []
        elif word:
            instructions.append((word, " ".join(rest.split())))
    return stages


STAGES = read_stages()


def copies(stage):
    """Yield each COPY of a stage, as (source stage or None, source paths, target)."""
    for word, rest in STAGES[stage]:
        if word == "COPY":
            *options, target = rest.split()
            flags = [option for option in options if option.startswith("--")]
            origin = next((flag.partition("=")[2] for flag in flags if "--from" in flag), None)
            sources = [option for option in options if option not in flags]
            yield origin, sources if origin else expand(sources), target


def expand(patterns):
    """Return the paths that match the patterns. A pattern without matches is returned unchanged."""
    found = [(pattern, sorted(ROOT.glob(pattern))) for pattern in patterns]
    return [
        str(path.relative_to(ROOT)) if path else pattern
        for pattern, paths in found
        for path in paths or [None]
    ]


def send(url, method, path, body=None):
    """Send a request to the manager; return the response's body, parsed as JSON."""
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
        return json.load(response)


def is_sent(path):
    """Return whether .dockerignore lets a file be sent to the builder."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        parents = [path, *Path(path).parents]
        if not line.startswith("#") and any(fnmatch.fnmatch(str(p), pattern) for p in parents):
            sent = line.startswith("!")
    return sent


class Images(unittest.TestCase):
    """The stages and files from which the images are built."""

    def test_services_are_built_from_stages_of_the_dockerfile(self):
        for name, service in SERVICES.items():
            self.assertEqual(service["build"]["context"], ".", name)
            self.assertIn(service["build"]["target"], STAGES, name)

    def test_copied_files_exist_and_are_sent_to_the_builder(self):
        for number, stage in enumerate(STAGES):
            earlier = list(STAGES)[:number]
            for origin, sources, _ in copies(stage):
                if origin:
                    self.assertIn(origin, earlier, stage)
                    continue
                for source in sources:
                    self.assertTrue((ROOT / source).exists(), f"{source} ({stage}) is missing")
                    self.assertTrue(is_sent(source), f".dockerignore excludes {source}")

    def test_private_files_and_build_results_are_not_sent_to_the_builder(self):
        for path in [".env", ".git/config", "streams.db", "target/tools", "nginx/web/dist"]:
            self.assertFalse(is_sent(path), path)


class Demo(unittest.TestCase):
    """The profile `demo` of docker-compose.yml, which starts the demo camera."""

    def test_only_the_profile_starts_the_demo_camera(self):
        profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
        self.assertEqual(profiles, {"manager": None, "nginx": None, "demo-camera": ["demo"]})

    def test_the_demo_cameras_command_is_in_the_image_and_can_be_run(self):
        instructions = STAGES[DEMO["build"]["target"]]
        [command] = [json.loads(rest) for word, rest in instructions if word == "CMD"]
        self.assertNotIn("command", DEMO)
        copied = [
            f"{target.rstrip('/')}/{Path(source).name}"
            for _, sources, target in copies(DEMO["build"]["target"])
            for source in sources
        ]
        # All files keep their repository paths, because the command finds the camera by its path.
        self.assertIn(command[0], copied)
        for path in copied:
            self.assertTrue((ROOT / path).is_file(), path)
        for program in [command[0], "tests/camera/camera.py"]:
            self.assertTrue(os.access(ROOT / program, os.X_OK), f"{program} is not executable")

    def test_camera_and_manager_reach_each_other_on_loopback(self):
        self.assertEqual(DEMO["network_mode"], "service:manager")
        self.assertEqual(DEMO["depends_on"]["manager"]["condition"], "service_healthy")
        self.assertNotIn("ports", DEMO)
        self.assertIn("API_KEYS", DEMO["environment"])
        settings = " ".join(rest for word, rest in STAGES["manager"] if word == "ENV")
        self.assertIn("BIND_ADDR=::", settings)
        self.assertIn("PORT=8088", settings)
        self.assertIn('"http://127.0.0.1:8088"', (ROOT / "deploy/demo-camera").read_text())

    def test_gstreamer_can_write_its_registry_in_the_read_only_container(self):
        self.assertTrue(DEMO["read_only"])
        [registry] = [
            re.search(r"GST_REGISTRY=(\S+)", rest)[1]
            for word, rest in STAGES[DEMO["build"]["target"]]
            if word == "ENV"
        ]
        mounted = [mount.partition(":")[0] for mount in DEMO["tmpfs"]]
        self.assertIn(str(Path(registry).parent), mounted)


class Run(unittest.TestCase):
    """The demo camera's command, with a real manager."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        # Three keys: one as a hash, one with another role, and the one that the camera must use.
        keys = f"old:admin:sha256:{'0' * 64},wall:viewer:viewer-secret-00001,me:admin:{KEY}"
        self.environment = {"PATH": os.environ["PATH"], "API_KEYS": keys}

    def start_manager(self):
        """Start the manager and return its address."""
        settings = {
            "PORT": "0",
            "STREAM_DIR": str(self.directory / "streams"),
            "DATABASE_URL": f"sqlite:{self.directory}/cameras.db",
        }
        program = os.environ.get("MANAGER_BIN", ROOT / "target/debug/stream-manager")
        log = self.directory / "log"
        self.start([program], log, settings)
        return "http://" + self.wait_for(r"listening.* address=(\S+)", log)

    def start_camera(self, url):
        """Start the demo camera for the manager at `url`; return the process and its log's path."""
        log = self.directory / "camera"
        settings = {"MANAGER_URL": url, "DEMO_CAMERA_PORT": "0"}
        return self.start([ROOT / "deploy/demo-camera"], log, settings), log

    def start(self, command, log, settings):
        """Start a program that is terminated at the end of the test."""
        with log.open("w") as output:
            environment = self.environment | settings
            child = subprocess.Popen(command, cwd=self.directory, env=environment, stderr=output)
        self.addCleanup(child.wait, START_SECONDS)
        self.addCleanup(child.terminate)
        return child

    def wait_for(self, pattern, log):
        """Wait until a log matches a pattern; return the first group of the match."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, log.read_text()):
                return found[1]
            time.sleep(0.1)
        return self.fail(f"no {pattern} in: {log.read_text()}")

    def test_the_demo_camera_is_added_and_plays(self):
        url = self.start_manager()
        camera, log = self.start_camera(url)
        self.assertEqual(self.wait_for(r"added as camera (\S+)", log), "demo")
        # The response arrives when the stream is playable.
        send(url, "POST", "/api/stream/start", {"indicator_id": "demo"})
        status = send(url, "GET", "/api/stream/status?indicator_id=demo")
        self.assertEqual(status["state"], "live", status)
        camera.terminate()
        self.assertEqual(camera.wait(START_SECONDS), 0, "exit code after SIGTERM")

    def test_the_demo_cameras_command_fails_if_the_manager_is_unreachable(self):
        camera, log = self.start_camera("http://127.0.0.1:1")
        self.assertEqual(camera.wait(START_SECONDS), 1)
        self.assertIn("cannot reach the manager", log.read_text())


if __name__ == "__main__":
    unittest.main()
