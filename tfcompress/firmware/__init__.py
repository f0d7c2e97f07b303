"""What a firmware with TensorFlow Lite Micro needs of a file: C arrays, ops to register, arena size, a golden test."""
