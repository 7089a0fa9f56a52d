"""The machine that the benchmark runs on: who else works on it, what a program uses, what it consists of."""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# CPU-seconds a second of everybody else from which on a run counts as disturbed.
DISTURBED = 0.1
# Seconds after which a program is taken for one that does not come back.
HANGS = 1800


def die(message):
    sys.exit(f"scripts/bench-peers: {message}")


def say(message):
    print(message, file=sys.stderr, flush=True)


def call(command, hint="", **options):
    """Runs a command that prepares something, or ends the script."""
    try:
        return subprocess.run([str(word) for word in command], check=True, **options)
    except (subprocess.CalledProcessError, OSError) as e:
        die(f"{' '.join(map(str, command))} failed: {e}{hint and '; ' + hint}")


def output(command):
    return call(command, stdout=subprocess.PIPE, text=True).stdout


def busy():
    """CPU-seconds that the whole machine has worked, or None where the system does not say it that way."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(seconds):
    end = time.monotonic() + seconds
    while busy() is not None and time.monotonic() < end:
        before = busy()
        time.sleep(1)
        if busy() - before < DISTURBED:
            return


def run(command, where, variables, log):
    """Runs a program, its errors into `log`; returns what it printed and what it used."""
    before, start = busy(), time.monotonic()
    words = [str(word) for word in command]
    with open(log, "w") as errors:
        program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=where, env=variables)
    stopper = threading.Timer(HANGS, program.kill)
    stopper.start()
    text = program.stdout.read()
    _, status, usage = os.wait4(program.pid, 0)
    stopper.cancel()
    program.returncode = os.waitstatus_to_exitcode(status)
    seconds, own = time.monotonic() - start, usage.ru_utime + usage.ru_stime
    if program.returncode:
        raise RuntimeError(f"exit status {program.returncode}, see {log}")
    others = None if before is None else round(max(0.0, busy() - before - own) / seconds, 2)
    unit = 1 if sys.platform == "darwin" else 1024
    used = {"others": others, "seconds": round(seconds, 1), "rss_mb": round(usage.ru_maxrss * unit / 1e6)}
    return text, used


def disturbed(row):
    """Whether somebody else worked during the run; not, where the system does not say."""
    return (row["others"] or 0) > DISTURBED


def describe(kiln, built):
    """What the figures depend on beside the peers; the commit only where the command was built of this tree."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.platform()
    version = output([kiln, "--version"]).split()[-1]
    if built and (ROOT / ".git").exists():
        version += f" ({output(['git', '-C', ROOT, 'describe', '--always', '--dirty']).strip()})"
    return {
        "processor": model, "threads": os.cpu_count(), "system": system, "date": time.strftime("%-d %B %Y"),
        "kiln": version, "python": platform.python_version(), "load": round(os.getloadavg()[0], 2),
        "adapter": adapter(kiln),
    }


def adapter(kiln):
    """The one that `--device gpu` takes: hardware first. None where there is none."""
    found = [d for d in json.loads(output([kiln, "devices", "--json"]))["devices"] if d["type"] != "cpu"]
    found.sort(key=lambda d: d["type"] == "software")
    return {name: found[0][name] for name in ("name", "driver", "type")} if found else None
