"""Nets of convolutions in Keras on MNIST, beside `kiln train mnist --layers`: milliseconds a step.

    KERAS_BACKEND=tensorflow python benches/peers/keras_images.py FOLDER cnn|lenet [STEPS]

FOLDER is what `kiln data get mnist` names. Prints the median of the epochs after the first.
"""

import statistics
import sys
import time
from pathlib import Path

from common import mnist

import keras
from keras import layers

folder, name, steps = Path(sys.argv[1]), sys.argv[2], int((sys.argv[3:] or ["30"])[0])
NETS = {
    "cnn": (200, lambda: [
        layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Dropout(0.25), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.5)]),
    "lenet": (128, lambda: [
        layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu")]),
}
batch, inner = NETS[name]
x, y = mnist(folder, "train", batch * steps)
x = x.reshape(-1, 28, 28, 1)
model = keras.Sequential([keras.Input((28, 28, 1)), *inner(), layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
times = []
for _ in range(4):
    start = time.perf_counter()
    model.fit(x, y, batch_size=batch, verbose=0)
    times.append((time.perf_counter() - start) / steps)
print(f"{name}, batch {batch}, Keras {keras.__version__} on {keras.backend.backend()}: "
      f"{statistics.median(times[1:]) * 1e3:.1f} ms a step")
