"""The programs of scripts/bench-peers: how each is made ready, started, and what it prints."""

import json
import os
import platform
import shutil
import statistics
import sys
from pathlib import Path

from machine import ROOT, call, describe, die, output, run, say

PROGRAMS = Path(__file__).resolve().parent


class Net:
    """What is trained: a dense net, or by its name one of convolutions or of sequences, of which some steps are an epoch."""

    def __init__(self, batch, optimizer, hidden=None):
        self.batch, self.optimizer, self.hidden = batch, optimizer, hidden


NETS = {
    "784-512-10": Net(128, "RMSprop", hidden=512), "784-100-10": Net(32, "RMSprop", hidden=100),
    "cnn": Net(200, "Adam"), "lenet": Net(128, "Adam"), "resnet": Net(128, "Adam"),
    "lstm": Net(128, "Adam"), "gru": Net(128, "Adam"), "simple_rnn": Net(128, "Adam"), "lstm50": Net(64, "Adam"),
    "transformer": Net(32, "Adam"),
}
SAMPLES, EPOCHS = 60_000, 5
# An epoch of a net that is not dense: on the CPU, on a GPU, and on a software adapter.
FEW_STEPS = {"cpu": 30, "gpu": 100, "software": 4}
PACKAGES = {
    "jax": ["jax==0.10.2", "jaxlib==0.10.2", "keras==3.15.1", "numpy==2.4.6"],
    "tensorflow": ["tensorflow-cpu==2.21.0", "keras==3.15.1"],
}


class Bench:
    """What all programs are told."""

    def __init__(self, options):
        self.folder, self.options = options.dir.resolve(), options
        if options.kiln:
            self.kiln = options.kiln.resolve()
        else:
            need_cargo()
            call(["cargo", "build", "--release"], cwd=ROOT)
            self.kiln = ROOT / "target" / "release" / "kiln"
        # Said of the second time on, whether or not it had to be fetched.
        told = [output([self.kiln, "data", "get", "mnist"]) for _ in range(2)][1]
        self.data = Path(told.splitlines()[0].split(" is already in ", 1)[1])
        self.machine = describe(self.kiln, built=not options.kiln)

    def cache(self, what):
        """Where programs keep compiled kernels and tuning: a folder a net, so that each begins without."""
        return self.folder / "cache" / what

    def empty_caches(self, wanted):
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        for cache in map(self.cache, wanted):
            cache.mkdir(parents=True)
            # Burn reads it where it is started; without it, it keeps its tuning beside the outermost Cargo.toml.
            (cache / "cubecl.toml").write_text(f"[environment]\npath = {{ directory = '{cache / 'cubecl'}' }}\n")

    def run(self, peer, what, command, variables={}):
        cache, log = self.cache(what), self.folder / f"{peer.name}-{what}.log"
        # Mesa keeps its kernels in the user's cache.
        fixed = {"XDG_CACHE_HOME": str(cache), "KILN_DATA": str(self.data)}
        return run(command, cache, os.environ | fixed | variables, log)

    def software(self):
        return self.machine["adapter"]["type"] == "software"


class Peer:
    """A program that prints its figures as a line of JSON."""

    def __init__(self, name, title, device, note="", variables={}, has_products=True, has_named=False):
        self.name, self.title, self.device, self.note = name, title, device, note
        self.variables, self.has_products, self.has_named = variables, has_products, has_named

    def measures(self, what):
        """Whether there is something of the sort to measure: products, or a net."""
        return self.has_products if what == "products" else bool(NETS[what].hidden) or self.has_named

    def train(self, bench, name):
        net, software = NETS[name], self.device == "gpu" and bench.software()
        steps, which = bench.options.steps if software else None, ["--hidden", net.hidden]
        if not net.hidden:
            steps, which = FEW_STEPS["software" if software else self.device], ["--net", name]
        limit = ["--limit", steps * net.batch] if steps else []
        settings = ["--data", bench.data, *which, "--batch", net.batch, "--epochs", EPOCHS, *limit]
        return self.figures(bench, name, ["train", *settings])

    def products(self, bench):
        return self.figures(bench, "products", ["products"])

    def figures(self, bench, what, arguments):
        text, used = bench.run(self, what, [*self.program(bench), *arguments], self.variables)
        return json.loads(text.splitlines()[-1]) | used


class Python(Peer):
    """A script in an environment of its own."""

    def __init__(self, name, title, environment, script, **more):
        super().__init__(name, title, "cpu", **more)
        self.environment, self.script = environment, script

    def python(self, bench):
        return bench.folder / f"python-{self.environment}" / "bin" / "python"

    def program(self, bench):
        return [self.python(bench), "-B", PROGRAMS / self.script]

    def prepare(self, bench):
        if sys.version_info < (3, 11):
            die(f"the Python peers need Python 3.11 or later, and this is {platform.python_version()}")
        python, wanted = self.python(bench), PACKAGES[self.environment]
        if python.exists():
            code = "import importlib.metadata as m; [print(d.name + '==' + d.version) for d in m.distributions()]"
            # A package's name may be written with either.
            if set(wanted) <= set(output([python, "-c", code]).replace("_", "-").split()):
                return
        say(f"{self.environment}: making an environment with {', '.join(wanted)}")
        hint = "Debian and Ubuntu have venv in the package python3-venv"
        call([sys.executable, "-m", "venv", python.parent.parent], hint)
        call([python, "-m", "pip", "install", "--quiet", *wanted], "pip must reach a package index")


class Keras(Python):
    """Its environments are named by its backends. Products are those of the backend."""

    def __init__(self, name, title, backend):
        variables = {"KERAS_BACKEND": backend}
        more = {"variables": variables, "has_products": False, "has_named": True}
        super().__init__(name, title, backend, "peer_keras.py", **more)


class Rust(Peer):
    """A package of its own, built from a copy: its lock and target folder stay out of the source tree."""

    def __init__(self, name, title, device, folder, features="", note="", has_named=False):
        super().__init__(name, title, device, note, has_named=has_named)
        self.source, self.features = folder, features

    def program(self, bench):
        return [bench.folder / "bin" / self.name]

    def prepare(self, bench):
        need_cargo()
        sources = bench.folder / "sources"
        shutil.copytree(PROGRAMS, sources, dirs_exist_ok=True)
        say(f"{self.name}: building, which takes long the first time (burn: half an hour of a processor)")
        target = bench.folder / "cargo"
        features = ["--features", self.features] if self.features else []
        call(["cargo", "build", "--release", "--target-dir", target, *features], cwd=sources / self.source)
        program = self.program(bench)[0]
        program.parent.mkdir(exist_ok=True)
        shutil.copy2(target / "release" / f"{self.source}-peer", program)


class Kiln(Peer):
    """The command itself."""

    def prepare(self, bench):
        pass

    def train(self, bench, name):
        net, batch = NETS[name], NETS[name].batch
        if not net.hidden:
            return self.named(bench, name)
        fixed = [bench.kiln, "train", "mnist", "--device", self.device, "--optimizer", "rmsprop", "--json"]
        settings = [*fixed, "--hidden", net.hidden, "--batch-size", batch]
        # An epoch of one step, kernels and upload included.
        text, _ = bench.run(self, name, [*settings, "--epochs", 1, "--limit", batch])
        first = json.loads(text.splitlines()[0])["seconds"]
        text, used = bench.run(self, name, [*settings, "--epochs", EPOCHS])
        *epochs, result = map(json.loads, text.splitlines())
        step = statistics.median(epoch["seconds"] for epoch in epochs[1:]) / -(-SAMPLES // batch)
        return used | {
            "version": bench.machine["kiln"], "adapter": result["device"],
            "us_per_step": round(step * 1e6, 1), "first_step_ms": round(first * 1e3, 1),
            "loss": round(epochs[-1]["loss"], 4), "accuracy": result["test_accuracy"],
        }

    def named(self, bench, name):
        """On samples of its own: what a step takes does not depend on them."""
        command = [bench.kiln, "bench", "--model", name, "--round-ms", 3000, "--device", self.device, "--json"]
        text, used = bench.run(self, name, command)
        result = json.loads(text)
        [model] = result["models"]
        return used | {
            "version": bench.machine["kiln"], "adapter": result["device"], "accuracy": None,
            "us_per_step": round(model["step_seconds"] * 1e6, 1),
            "first_step_ms": round(model["first_step_seconds"] * 1e3, 1),
        }

    def products(self, bench):
        command = [bench.kiln, "bench", "--only", "products", "--device", self.device, "--json"]
        text, used = bench.run(self, "products", command)
        result = json.loads(text)
        rates = {
            f"{p['what']} {p['m']}x{p['n']}x{p['k']}": round(p["flops_per_second"] / 1e9, 2) for p in result["products"]
        }
        peak = round(result["peak_flops_per_second"] / 1e9, 1)
        return used | {"version": bench.machine["kiln"], "adapter": result["device"], "peak": peak, "products": rates}


def need_cargo():
    if not shutil.which("cargo"):
        die("cargo is not installed: see https://rustup.rs")


PEERS = [
    Kiln("kiln-cpu", "Kiln", "cpu", has_named=True),
    Python("jax", "JAX", "jax", "peer_jax.py", note="runs a step written by hand, a jit call each"),
    Python("numpy", "NumPy", "jax", "peer_numpy.py", note="runs a step written by hand"),
    Keras("keras-jax", "Keras", "jax"),
    Keras("keras-tensorflow", "Keras", "tensorflow"),
    Rust("burn-flex", "burn-flex", "cpu", "burn", "flex", has_named=True),
    Rust("candle", "candle", "cpu", "candle", note="has no RMSprop: it is written with candle's tensor operations"),
    Kiln("kiln-gpu", "Kiln", "gpu", has_named=True),
    Rust("burn-wgpu", "burn-wgpu", "gpu", "burn", "wgpu", "is built with fusion and autotuning", has_named=True),
    Rust(
        "meganeura", "meganeura", "gpu", "meganeura",
        note="has no RMSprop: Adam with beta_1 = 0, the same with its bias corrected; without the epoch's short batch",
    ),
]
NAMES = {peer.name: peer for peer in PEERS}
