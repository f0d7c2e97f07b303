"""Who does the work of stages: natively on Keras 3, or by tfmot on Keras 2."""
