"""Files that hold whole networks: TorchScript, exported programs, ONNX."""
