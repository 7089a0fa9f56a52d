"""What the Python peers share: arguments, MNIST, the loop over epochs, the timing of products, the JSON line.

Usage of each, the same as that of the Rust peers:

    python PROGRAM train --data FOLDER --hidden N|--net NAME --batch N [--epochs N] [--limit N]
    python PROGRAM products

The net is 784-N-10 with relu and softmax cross-entropy, trained by RMSprop (0.001, rho 0.9, epsilon 1e-7) in f32; or one
of convolutions or of sequences, where the program has it, trained by Adam (0.001, epsilon 1e-7).
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

# Peers of the CPU backend; set before a framework is imported.
os.environ |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}

import numpy as np

# What `kiln bench` calls them: rows, columns, the extent that is summed over, and which operand is stored transposed.
PRODUCTS = {
    "square 512x512x512": (512, 512, 512, ""),
    "square 1024x1024x1024": (1024, 1024, 1024, ""),
    "forward 128x512x784": (128, 512, 784, ""),
    "dW 784x512x128": (784, 512, 128, "a"),
    "dX 128x784x512": (128, 784, 512, "b"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["train", "products"])
    parser.add_argument("--data", type=Path, help="the folder that `kiln data get mnist` names")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--net", help="a net other than the dense one")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, help="train on the first samples only, and do not evaluate")
    return parser.parse_args()


def read_idx(path):
    raw = path.read_bytes()
    axes = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def mnist(folder, part, limit=None):
    """Pixels of (samples, 784) in 0..1 and labels, of `train` or `t10k`."""
    x = read_idx(folder / f"{part}-images-idx3-ubyte")[:limit].reshape(-1, 784).astype(np.float32) / 255
    return x, read_idx(folder / f"{part}-labels-idx1-ubyte")[:limit].astype(np.int32)


def initial(hidden):
    """Weights and biases of both layers, Glorot-uniform and zero."""
    random = np.random.default_rng(1)
    layers = []
    for inputs, outputs in ((784, hidden), (hidden, 10)):
        limit = (6 / (inputs + outputs)) ** 0.5
        layers += [random.uniform(-limit, limit, (inputs, outputs)).astype(np.float32), np.zeros(outputs, np.float32)]
    return layers


def train(peer, version, a, step, scores):
    """Runs `step(x, y)`, which returns the loss or what becomes it, and prints the figures."""
    x, y = mnist(a.data, "train", a.limit)
    samples, first, epochs = len(x), None, []
    for epoch in range(a.epochs):
        start = time.perf_counter()
        order = np.random.default_rng(epoch).permutation(samples)
        for i in range(0, samples, a.batch):
            rows = order[i : i + a.batch]
            loss = step(x[rows], y[rows])
            if first is None:
                float(loss)
                first = time.perf_counter() - start
        loss = float(loss)
        epochs.append(time.perf_counter() - start)
    accuracy = None
    if a.limit is None:
        x, y = mnist(a.data, "t10k")
        accuracy = float((np.asarray(scores(x)).argmax(1) == y).mean())
    report_training(peer, version, a, samples, epochs, first, loss, accuracy)


def report_training(peer, version, a, samples, epochs, first, loss, accuracy):
    """The line of a run: a step's time is that of the median epoch but the first."""
    step = statistics.median(epochs[1:] or epochs) / -(-samples // a.batch)
    figures = {"us_per_step": round(step * 1e6, 1), "first_step_ms": round(first * 1e3, 1), "loss": round(loss, 4)}
    net = {"net": a.net or f"784-{a.hidden}-10", "batch": a.batch}
    print(json.dumps({"peer": peer, "version": version} | net | figures | {"accuracy": accuracy}), flush=True)


def products(peer, version, function, store, wait):
    """Prints GFLOP/s of each product: the median of five rounds of 100 ms or more. `function` has the op that takes
    operands as stored, by which of them is transposed; `store` makes an operand; `wait` waits for a result."""
    random, rates = np.random.default_rng(0), {}
    for name, (m, n, k, transposed) in PRODUCTS.items():
        op = function[transposed]
        a = store(random.uniform(-1, 1, (k, m) if transposed == "a" else (m, k)).astype(np.float32))
        b = store(random.uniform(-1, 1, (n, k) if transposed == "b" else (k, n)).astype(np.float32))

        def timed(count):
            start = time.perf_counter()
            for _ in range(count):
                y = op(a, b)
            wait(y)
            return time.perf_counter() - start

        # What is compiled is compiled here.
        timed(2)
        count = 1
        while timed(count) < 0.1:
            count *= 2
        seconds = statistics.median(timed(count) for _ in range(5)) / count
        rates[name] = round(2 * m * n * k / seconds / 1e9, 2)
    print(json.dumps({"peer": peer, "version": version, "products": rates}), flush=True)
