"""Translation of Keras networks to ONNX graphs."""
