"""Everything that knows what a `.tflite` file is. NumPy, flatbuffers and ai-edge-litert only."""
