#!/usr/bin/env python3
"""Times a training step of 784-512-10 (RMSprop, batch 128, real MNIST) in Kiln's CPU backend and in Keras, in turn.

Usage, from the repository root, on a machine that does nothing else:

    cargo build --release && target/release/kiln data get mnist
    python3 -m venv .cache/keras
    .cache/keras/bin/pip install keras==3.15.1 jax==0.10.2 numpy==2.4.6
    .cache/keras/bin/python benches/peers/mnist_keras.py FOLDER [ROUNDS]

FOLDER is the one that `kiln data get mnist` names. Keras' figure is the median epoch of five but the first, in which
it compiles; Kiln's is the whole of its five epochs, start included. Prints a row a round and the medians.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH, EPOCHS = 128, 5


def read_idx(folder, name):
    import numpy as np

    raw = (folder / name).read_bytes()
    axes = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def keras_step(folder):
    """Microseconds a step of Keras' own fit."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    x = read_idx(folder, "train-images-idx3-ubyte").reshape(-1, 784).astype("float32") / 255
    y = read_idx(folder, "train-labels-idx1-ubyte").astype("int32")
    model = keras.Sequential([keras.layers.Dense(512, activation="relu"), keras.layers.Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = [time.perf_counter()]
    tick = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.append(time.perf_counter()))
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[tick])
    times = [end - start for start, end in zip(clock, clock[1:])]
    return statistics.median(times[1:]) / -(-len(x) // BATCH) * 1e6


def kiln_step(folder):
    """Microseconds a step of `kiln train mnist`."""
    command = ["target/release/kiln", "train", "mnist", "--device", "cpu", "--epochs", str(EPOCHS), "--json"]
    # The folder is looked for as `mnist` under KILN_DATA, or as KILN_DATA itself.
    environment = os.environ | {"KILN_DATA": str(folder)}
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return 1e6 / json.loads(printed.splitlines()[-1])["steps_per_second"]


def main():
    if sys.argv[1:2] == ["--keras"]:
        print(keras_step(Path(sys.argv[2])))
        return
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    pairs = []
    for i in range(rounds):
        alone = [sys.executable, __file__, "--keras", str(folder)]
        keras = float(subprocess.run(alone, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])
        pairs.append((kiln_step(folder), keras))
        print(f"round {i + 1}: kiln {pairs[-1][0]:.0f} us, keras {keras:.0f} us, ratio {pairs[-1][0] / keras:.2f}", flush=True)
    kiln, keras = (statistics.median(side) for side in zip(*pairs))
    ratio = statistics.median(k / other for k, other in pairs)
    print(f"median: kiln {kiln:.0f} us, keras {keras:.0f} us, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
