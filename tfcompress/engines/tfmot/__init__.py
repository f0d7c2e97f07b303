"""The engine that works on tf_keras models, by TensorFlow's model optimization toolkit."""
