"""Gradients of an Embedding's table as whole tables, where Keras runs on TensorFlow.

TensorFlow gives those of the rows that were read, one for each time that a row was. Keras 3.15 does not add up those of a row before
its optimizers square them (keras/src/backend/tensorflow/sparse.py, elementwise_unary): a row that a batch has twice gets the sum of two
squares where its gradient's square is meant, and clipping by norm is of those parts, too. On JAX, where such gradients are whole, Keras
trains as the optimizers' papers and Kiln do. Importing this makes them whole on TensorFlow, too.
"""

import keras

if keras.config.backend() == "tensorflow":
    import tensorflow

    apply = keras.optimizers.Optimizer.apply

    def apply_dense(self, grads, trainable_variables=None):
        whole = [tensorflow.convert_to_tensor(g) if isinstance(g, tensorflow.IndexedSlices) else g for g in grads]
        return apply(self, whole, trainable_variables)

    keras.optimizers.Optimizer.apply = apply_dense
