"""Files of an exported network: packed bits, ONNX, QONNX, each with a card."""
