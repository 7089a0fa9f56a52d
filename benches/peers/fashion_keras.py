#!/usr/bin/env python3
"""Trains the three nets of docs/fashion-mnist.md in Keras, three seeds each, and prints the last epoch's figures.

Usage, from the repository root, in the environment that benches/peers/mnist_keras.py describes:

    target/release/kiln data get fashion-mnist
    .cache/keras/bin/python benches/peers/fashion_keras.py FOLDER

FOLDER is the one that `kiln data get fashion-mnist` names.
"""

import gzip
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

FIGURES = ["loss", "accuracy", "val_loss", "val_accuracy"]


def read(folder, name, head):
    """The bytes behind an IDX file's head."""
    plain = folder / name
    raw = plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=head)


def train(x, y, hidden, seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(100, activation=hidden)] if hidden else []
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=5, batch_size=32, validation_split=0.2, verbose=0).history
    return [history[name][-1] for name in FIGURES]


def main():
    folder = Path(sys.argv[1])
    x = read(folder, "train-images-idx3-ubyte", 16).reshape(-1, 784).astype("float32") / 255
    y = read(folder, "train-labels-idx1-ubyte", 8)
    print("hidden", "seed", *FIGURES)
    for hidden in [None, "sigmoid", "relu"]:
        for seed in range(3):
            print(hidden, seed, *(f"{figure:.4f}" for figure in train(x, y, hidden, seed)), flush=True)


if __name__ == "__main__":
    main()
